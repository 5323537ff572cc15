# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Talk to Celery nodes through one process, and have those take tasks again that were told to take no more.

    python3 -I consumers.py < STATE

The guard runs it so, which has nothing of the run left but what lies in its own folder; so it needs nothing but
Python's own library. Of the guard's state it reads ``celery``, which says how the project's Celery application is
loaded (``python`` and ``project``, and of `subprocess.Popen`'s arguments ``cwd``, ``env`` and those that name a user),
and ``consumers``: by process, its ``node``, the ``queues`` that it took tasks from, its ``pid`` and ``start``, in clock
ticks since boot; ``apart``, which says why these and workers with the installed code must not take tasks from one
queue, "" if they may; and ``waiting``, the workers with the installed code that take none until these do not, each with
its ``node`` and ``queues``, and the units that it ``replaces``. It prints a JSON object: ``said``, what has become of
each of these that still runs, and which of them are ``finishing``.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from typing import Any, Callable, Iterable, Mapping

# Sends each line's control command to nodes and says what they answer. Without Django's apps, which the command
# `celery` loads each time. What the project prints goes nowhere. Source: celery/app/control.py, broadcast
_TALK = """
import json, os, sys
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
from celery.app.utils import find_app
app = find_app(sys.argv[1])
for line in sys.stdin:
    said = app.control.broadcast(reply=True, **json.loads(line)) or []
    answers.write(json.dumps(said, default=str) + "\\n")
    answers.flush()
"""

# To load the project and reach the broker takes long on a busy host.
_LOAD_SECONDS = 180

# An answer comes within milliseconds; on a busy host later.
_ANSWER_SECONDS = 2

_SYSTEMD_SECONDS = 60

# A node answers that it will, and does so a moment later.
_ACT_SECONDS = 10
_LOOK_SECONDS = 0.05


# `Talk`, or what has one.
Ask = Callable[..., Mapping[str, Any]]


class NotAnswering(Exception):
    """The project does not load, or there is no way to the broker."""


class Talk:
    """A process that asks and tells nodes; it is started with the first question and ends with `close`."""

    def __init__(self, celery: Mapping[str, Any]) -> None:
        self.celery = dict(celery)
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self, command: str, nodes: Iterable[str], most: int = 0, **arguments: Any) -> dict[str, Any]:
        """Return what each node answers to a control command, as soon as all have; ``most`` is how many can.

        One whose answer is that it cannot counts as one that does not answer. Raises `NotAnswering`.
        """
        names = sorted(nodes)
        if not names:
            return {}
        asked = {
            "command": command,
            "arguments": arguments,
            "destination": names,
            "timeout": _ANSWER_SECONDS,
            "limit": most or len(names),
        }
        try:
            said = self._exchange(json.dumps(asked).encode() + b"\n")
        except NotAnswering:
            # An answer that comes late would be taken for that to the next question.
            self.close()
            raise
        answers = ((node, answer) for part in json.loads(said) for node, answer in part.items())
        return {node: answer for node, answer in answers if not failed(answer)}

    def _exchange(self, line: bytes) -> bytes:
        try:
            process = self._process = self._process or self._start()
            if process.stdin is None or process.stdout is None:
                raise NotAnswering("it has no pipes")
            process.stdin.write(line)
            process.stdin.flush()
            said, until = b"", time.monotonic() + _LOAD_SECONDS
            while not said.endswith(b"\n"):
                left = until - time.monotonic()
                if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
                    raise NotAnswering("it does not answer")
                part = os.read(process.stdout.fileno(), 65536)
                if not part:
                    raise NotAnswering("it has ended")
                said += part
        except OSError as why:
            raise NotAnswering(str(why)) from why
        return said

    def _start(self) -> subprocess.Popen[bytes]:
        given = dict(self.celery)
        python, project, environment = given.pop("python"), given.pop("project"), given.pop("env")
        return subprocess.Popen(
            # -B: it writes nothing, not even bytecode.
            [python, "-B", "-c", _TALK, project],
            env={**os.environ, **environment},
            **given,
            start_new_session=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def close(self) -> None:
        """End the process, with all that it may have started."""
        if self._process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            with contextlib.suppress(OSError), self._process:
                pass
            self._process = None


def failed(answer: Any) -> bool:
    """Whether a node says that it could not do what it was asked for."""
    # Source: kombu/pidbox.py, Node.dispatch
    return isinstance(answer, dict) and "error" in answer


def queue_names(answers: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the queues that each node takes tasks from, by its answer to ``active_queues``."""
    return {node: [queue["name"] for queue in said] for node, said in answers.items() if isinstance(said, list)}


def tell(talk: Ask, command: str, consumers: Mapping[str, Mapping[str, Any]]) -> None:
    """Send ``add_consumer`` or ``cancel_consumer`` for each queue of each node. Raises `NotAnswering`."""
    for queue in sorted({queue for known in consumers.values() for queue in known["queues"]}):
        talk(command, [known["node"] for known in consumers.values() if queue in known["queues"]], queue=queue)


def hand_over(talk: Ask, waiting: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Have workers take tasks from all of their queues; return the processes of those that have said that they will.

    One of the pool ``solo`` that has got a task says nothing else for a while. Raises `NotAnswering`.
    """
    # They take tasks until their successors do.
    replaced = [unit for one in waiting.values() for unit in one.get("replaces", [])]
    if replaced:
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(["systemctl", "stop", "--no-block", *replaced], timeout=_SYSTEMD_SECONDS, check=False)
    takes = dict(waiting)
    for queue in sorted({queue for one in waiting.values() for queue in one["queues"]}):
        asked = {name: one["node"] for name, one in takes.items() if queue in one["queues"]}
        said = talk("add_consumer", asked.values(), queue=queue)
        for name in [name for name, node in asked.items() if node not in said]:
            del takes[name]
    return list(takes)


def await_queues(talk: Ask, consumers: Mapping[str, Mapping[str, Any]], takes: bool) -> list[str]:
    """Return the processes whose nodes take tasks from all of their queues, or from none if not ``takes``.

    Asks until all do, for some seconds. Raises `NotAnswering`.
    """
    until = time.monotonic() + _ACT_SECONDS
    while True:
        now = queue_names(talk("active_queues", [known["node"] for known in consumers.values()]))
        answered = {name: known for name, known in consumers.items() if known["node"] in now}
        done = [
            name
            for name, known in answered.items()
            if (set(known["queues"]) <= set(now[known["node"]]) if takes else not now[known["node"]])
        ]
        # Whoever does not answer had the time for it.
        if len(done) == len(answered) or time.monotonic() >= until:
            return done
        time.sleep(_LOOK_SECONDS)


def give_back(state: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Have those workers of a state that still run take tasks again.

    Returns those that do, and those that were told to finish, after which supervisord starts them again: they do not
    answer, or others have been started by now whose code has other tasks, and each would discard the other's.
    """
    consumers = running(state)
    back = _taking_again(state["celery"], consumers) if consumers and not state.get("apart") else []
    finishing = [name for name in consumers if name not in back]
    for name in finishing:
        with contextlib.suppress(ProcessLookupError):
            os.kill(consumers[name]["pid"], signal.SIGTERM)
    if state.get("waiting"):
        # All others were told to finish, so that nobody else takes their tasks.
        talk = Talk(state["celery"])
        with contextlib.suppress(NotAnswering):
            hand_over(talk, state["waiting"])
        talk.close()
    return back, finishing


def _taking_again(celery: Mapping[str, Any], consumers: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Give workers their queues back; return those that take tasks from them."""
    talk = Talk(celery)
    try:
        tell(talk, "add_consumer", consumers)
        return await_queues(talk, consumers, takes=True)
    except NotAnswering:
        return []
    finally:
        talk.close()


def running(state: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the workers of a state that still run."""
    known = state.get("consumers", {})
    return {name: entry for name, entry in known.items() if _start_ticks(entry["pid"]) == entry["start"]}


def _start_ticks(pid: int) -> int | None:
    """Return when a process began, in clock ticks since boot, None if it is gone. Source: proc(5), stat."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            fields = stat.read().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[19]) if fields[0] != "Z" else None


def main() -> None:
    """Do it for the state on standard input."""
    state = json.load(sys.stdin)
    back, finishing = give_back(state)
    why = "runs the code from before" if state.get("apart") else "did not answer"
    said = [f"{name} takes tasks again" for name in back]
    said += [f"{name} {why} and was told to finish, after which supervisord starts it again" for name in finishing]
    json.dump({"said": said, "finishing": finishing}, sys.stdout)


if __name__ == "__main__":
    main()
