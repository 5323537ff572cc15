# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask the workers through Celery's own command."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import re
import signal
import subprocess
from dataclasses import dataclass, field
from typing import Any, Mapping, Sequence

from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import managed_file
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import privileges, supervisor_parser

# Exit code of `celery inspect` when no node replied. Source: celery/bin/control.py (EX_UNAVAILABLE).
_NOBODY_REPLIED = 69

# Django, with all apps of the site: some seconds, more on a busy host.
_LOAD_SECONDS = 180

# What the last line of a traceback begins with where Redis is not there, or not yet.
_NO_REDIS = re.compile(
    r"(django_)?redis\.exceptions\.(ConnectionError|TimeoutError|BusyLoadingError|ConnectionInterrupted): "
)

# Asks nodes until all have answered; one that says that it could not has not. One process for all questions, and
# without Django's apps, which the command `celery` loads each time. Its arguments: the application, a method of
# Celery's Inspect, seconds, nodes. Sources: celery/app/control.py; kombu/pidbox.py, Node.dispatch
_ASK = """
import json, sys, time
from celery.app.utils import find_app
app = find_app(sys.argv[1])
missing, answers = set(sys.argv[4:]), {}
until = time.monotonic() + float(sys.argv[3])
while missing and time.monotonic() < until:
    inspect = app.control.inspect(sorted(missing), timeout=1, limit=len(missing))
    said = getattr(inspect, sys.argv[2])() or {}
    answers.update((node, one) for node, one in said.items() if not (isinstance(one, dict) and "error" in one))
    missing -= set(answers)
    if missing:
        time.sleep(0.1)
print(json.dumps(answers, default=str))
"""

# To load the project and reach the broker, beside the time that nodes have to answer.
_ASK_SECONDS = 180


class CannotAskError(Exception):
    """Celery's command failed; the text is its own last words."""


@dataclass(frozen=True)
class Application:
    """A Celery application, the venv that holds its command, the user to run that as and that one's environment."""

    venv: str
    project: str
    project_dir: str
    user: str
    environment: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def configured(
        cls, given: Mapping[str, Any], main_conf: str, overlay: supervisor_parser.Overlay | None = None
    ) -> Application:
        """Return it with the environment that its workers have by supervisor's configuration."""
        celery = os.path.join(given["venv"], "bin", "celery")
        try:
            environment = supervisor_parser.environment(main_conf, celery, overlay)
        except supervisor_parser.InvalidError:
            # It may not need one; what is wrong with the configuration is told elsewhere.
            environment = {}
        return cls(**{key: given[key] for key in APPLICATION_SPEC}, environment=environment)

    def load(self, source: str) -> tuple[str, dict[str, Any]]:
        """Return why the project does not load, "" if it does, and what ``source``, which loads it, says last."""
        try:
            done = self._run("python", ["-c", source, self.project], _LOAD_SECONDS)
        except CannotAskError as why:
            return str(why), {}
        if done.returncode:
            return self._last_log_lines(done, 1), {}
        return "", _answer(done) or {}

    def gunicorn_problem(self, arguments: Sequence[str], seconds: float) -> str:
        """Return why gunicorn does not start with these arguments, "" if it would: it loads the project as well."""
        try:
            done = self._run("gunicorn", [*arguments, "--check-config"], seconds)
        except CannotAskError as why:
            return str(why)
        return self._last_log_lines(done, 1) if done.returncode else ""

    def ask(self, source: str, arguments: Sequence[str], seconds: float) -> dict[str, Any]:
        """Return the JSON object that a Python program says last, run in the project with the venv's Python."""
        # -B: it writes nothing, not even bytecode.
        done = self._run("python", ["-B", "-c", source, *arguments], seconds)
        answer = _answer(done)
        if done.returncode or answer is None:
            raise CannotAskError(self._last_log_lines(done, 1))
        return answer

    def call(self, task: str) -> str:
        """Queue ``task`` and return its id."""
        done = self._celery(["call", task], _LOAD_SECONDS)
        if done.returncode:
            raise CannotAskError(f"celery call {task} failed: {self._last_log_lines(done)}")
        return done.stdout.split()[-1]

    def inspect(self, what: str, seconds: int = 5) -> dict[str, Any]:
        """Return the answer to ``celery inspect WHAT`` of each node that answers within ``seconds``."""
        # A broker that accepts a connection and says nothing is waited for by Celery for ever.
        done = self._celery(["inspect", what, "--json", "--timeout", str(seconds)], seconds + _ASK_SECONDS)
        if done.returncode == _NOBODY_REPLIED:
            return {}
        try:
            answers = json.loads(done.stdout)
        except ValueError:
            answers = None
        if done.returncode or not isinstance(answers, dict):
            raise CannotAskError(f"celery inspect {what} failed: {self._last_log_lines(done)}")
        return answers

    def answers(self, what: str, nodes: Sequence[str], seconds: float) -> dict[str, Any]:
        """Return what nodes answer to a method of Celery's ``Inspect``, once all have or the time is over."""
        if not nodes:
            return {}
        done = self._run("python", ["-c", _ASK, self.project, what, str(seconds), *nodes], seconds + _ASK_SECONDS)
        try:
            found = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None
        except (ValueError, IndexError):
            found = None
        if not isinstance(found, dict):
            raise CannotAskError(f"Celery could not be asked for {what}: {self._last_log_lines(done)}")
        return found

    def _celery(self, arguments: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
        return self._run("celery", ["-A", self.project, *arguments], seconds)

    def talks(self) -> dict[str, Any]:
        """Return what `consumers_program.Talk` has to know, as JSON can hold it."""
        return {"python": os.path.join(self.venv, "bin", "python"), "project": self.project, **self._surroundings()}

    def _surroundings(self) -> dict[str, Any]:
        """Return what each process of the application has, in the words of `subprocess.Popen`."""
        user = pwd.getpwnam(self.user)
        names = {"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name}
        return {
            "cwd": self.project_dir,
            "env": {**names, **self.environment},
            # Before anything of the auth user's is run or its environment means anything: root would
            # run what is first in its PATH, and load what its LD_PRELOAD names.
            **privileges.of_user(user),
        }

    def _run(self, program: str, arguments: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
        path = os.path.join(self.venv, "bin", program)
        given = self._surroundings()
        try:
            running = subprocess.Popen(
                [path, *arguments],
                env={**os.environ, **given.pop("env")},
                **given,
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
            )
        except OSError as why:
            raise CannotAskError(f"{path} cannot be run: {why.strerror}") from why
        with running:
            try:
                said, problem = running.communicate(timeout=seconds)
            except subprocess.TimeoutExpired as why:
                # What it has started may keep our ends of its pipes open.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(running.pid, signal.SIGKILL)
                raise CannotAskError(f"{path} took longer than {seconds:.0f} s") from why
        return subprocess.CompletedProcess(running.args, running.returncode, said, problem)

    def _last_log_lines(self, done: subprocess.CompletedProcess[str], count: int = 3) -> str:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
        words = " ".join(lines[-count:]) or f"exit code {done.returncode}, without a word"
        return managed_file.redacted(words, managed_file.secret_values(self.environment))


def _answer(done: subprocess.CompletedProcess[str]) -> dict[str, Any] | None:
    """Return the JSON object that a program has said last, None if that is none."""
    try:
        answer = json.loads(done.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        return None
    return answer if isinstance(answer, dict) else None


def no_redis(problem: str) -> str:
    """Return a sentence if a project does not load because Redis does not answer, "" if ``problem`` is another one."""
    if not _NO_REDIS.match(problem):
        return ""
    return (
        "Redis does not answer, and Alliance Auth looks into its cache there while it loads "
        f"({problem.rstrip('.')}): start it (sudo systemctl start redis-server on its machine; redis.service by its "
        "other name), or correct its address in the project's settings"
    )


def differences(wanted: Mapping[str, Mapping[str, Any]], pools: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a sentence for each figure of a node's pool that is not as wanted."""
    return [
        f"Celery's {node} says that its {key} is {pools.get(node, {}).get(key)!r} and not {value!r}."
        for node, figures in wanted.items()
        for key, value in figures.items()
        if pools.get(node, {}).get(key) != value
    ]


def running_tasks(active: Mapping[str, Any], hostname: str, now: float) -> dict[str, list[dict[str, Any]]]:
    """Return what the workers of one host run, by the process names that supervisor gives them.

    ``active`` is the answer to ``inspect active``. A node is ``PROCESS@HOST``, or
    ``celery@PROCESS`` with Alliance Auth's own template. Each task has its ``name``,
    ``id`` and ``age`` in seconds.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for node, tasks in active.items():
        left, _at, right = node.partition("@")
        process = left if right == hostname else right if left == "celery" else None
        if process is not None:
            found[process] = [
                {"name": task["name"], "id": task["id"], "age": max(0, round(now - (task.get("time_start") or now)))}
                for task in tasks
            ]
    return found


APPLICATION_SPEC: Mapping[str, Any] = {
    "venv": {"type": "path", "required": True},
    "project": {"type": "str", "required": True},
    "project_dir": {"type": "path", "required": True},
    "user": {"type": "str", "required": True},
}
