# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Workers that take tasks while the supervised ones restart: who sees what they know, and what becomes of their tasks.

The pool worker_fork is new in the run of these tests, so until its end none but such a worker takes its tasks.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import Any

import pytest
from shared import play, playbook, server

pytestmark = pytest.mark.thorough

SECRET = "razorbill-94d7"
VARIABLES = {
    "auth_workers": [
        {"name": "worker_fork", "queues": ["fork"], "pool": "prefork", "concurrency": 2, "memory_limit": "700MB"}
    ],
    "auth_program_settings": {"worker_fork": {"environment": {"LAB_TOKEN": SECRET}}},
}

# As somebody who may log in and no more; the files are there for moments only.
WATCHER = """
import glob, pathlib, time
seen = set()
while True:
    for name in glob.glob("/run/allianceauth-tuning-*.environment"):
        try:
            found = pathlib.Path(name).read_text()
        except OSError as why:
            found = type(why).__name__
        if (name, found) not in seen:
            seen.add((name, found))
            print(name, found, flush=True)
    time.sleep(0.002)
"""


@dataclass(frozen=True)
class Seen:
    """What was seen of the worker that took the tasks of worker_fork.

    ``by_others`` and ``by_its_user`` are what these users see of it, ``files`` what the watcher saw. ``states`` are
    those of its unit once it was past its memory limit, and once the run had ended; ``begun`` is what its task had done
    by then.
    """

    run: playbook.Run
    by_others: str
    by_its_user: str
    files: str
    states: tuple[str, str]
    begun: dict[str, list[str]]


def units(host: Any) -> list[str]:
    """Return the units of workers that take the tasks of worker_fork."""
    pattern = "allianceauth-tuning-myauth-worker-worker_fork_*"
    shown = server.run(host, f"systemctl list-units --all --plain --no-legend '{pattern}'")
    return [line.split()[0] for line in shown.splitlines()]


def fork(host: Any, key: str, task: str = "sleep", seconds: int = 1800, more: str = "") -> None:
    """Queue a task for worker_fork; its key will be KEY-0."""
    what = f"{task} --queue fork --seconds {seconds} --prefix {key} {more}"
    server.as_user(host, f"{server.VENV}/bin/python -m lab_tasks.send {what}")


def begun(host: Any, key: str) -> None:
    found = server.wait(lambda: server.ledger(host, key), bool)
    assert found == {f"{key}-0": ["start"]}


def state(host: Any, unit: str) -> str:
    return str(host.run(f"systemctl is-active {unit}").stdout.strip())


def looks(host: Any, unit: str) -> str:
    """Return the commands that show all that there is to see of a unit and its processes, two children among them."""
    main = server.run(host, f"systemctl show --property=MainPID --value {unit}").strip()
    pids = [main, *server.run(host, f"pgrep -P {main}").split()]
    assert len(pids) == 3
    files = " ".join(f"/proc/{pid}/environ" for pid in pids)
    return f"systemctl show {unit}; systemctl cat {unit}; cat {files}; ps axeww -o args; grep -rs razorbill /run /etc"


def as_somebody(host: Any, user: str, commands: str) -> str:
    done = host.run(f"runuser -u {user} -- sh -c {shlex.quote(commands)} 2>&1")
    return str(done.stdout)


@pytest.fixture(scope="module")
def seen(host: Any) -> Seen:
    """Change the server while a worker of its own is busy, and look at the one that takes tasks meanwhile."""
    watcher = "systemd-run --quiet --unit=lab-watcher --description=watcher --uid=nobody python3 -c"
    server.run(host, f"{watcher} {shlex.quote(WATCHER)}")
    server.keep_busy(host, "old")
    fork(host, "forked")
    running = play.start("apply", **VARIABLES)
    try:
        begun(host, "forked")
        (unit,) = units(host)
        commands = looks(host, unit)
        by_others, by_its_user = (as_somebody(host, user, commands) for user in ("nobody", server.USER))
        fork(host, "leak", "leak", seconds=1, more="--megabytes-per-second 800")
        replaced = server.wait(lambda: state(host, unit), lambda found: found != "active")
        fork(host, "beside", seconds=0)
        assert server.wait(lambda: server.done(host, "beside"), bool)
    finally:
        server.release(host, "old-0")
        run = playbook.finish(running)
    begun_by_then = server.ledger(host, "forked")
    files = server.run(host, "systemctl stop lab-watcher; journalctl -q -o cat -u lab-watcher")
    return Seen(run, by_others, by_its_user, files, (replaced, state(host, unit)), begun_by_then)


def test_other_users_see_nothing_of_its_environment(seen: Seen) -> None:
    assert f"LAB_TOKEN={SECRET}" in seen.by_its_user
    assert "Environment" in seen.by_others
    assert "Permission denied" in seen.by_others
    assert SECRET not in seen.by_others


def test_other_users_cannot_read_the_file_that_it_has_its_environment_from(seen: Seen) -> None:
    assert ".environment PermissionError" in seen.files
    assert SECRET not in seen.files


def test_a_task_in_a_child_of_a_worker_that_was_told_to_finish_is_done_once(seen: Seen, host: Any) -> None:
    assert seen.run.status == 0
    assert seen.states[-1] == "deactivating"
    assert seen.begun == {"forked-0": ["start"]}
    assert server.done_once_released(host, "forked")
    assert server.wait(lambda: units(host), lambda left: not left) == []
    assert server.done(host, "forked")
    # From now on the supervised one takes them.
    fork(host, "after", seconds=0)
    assert server.wait(lambda: server.done(host, "after"), bool)


def test_one_past_its_memory_limit_finishes_once_another_one_has_answered(seen: Seen, host: Any) -> None:
    assert seen.states[0] == "deactivating"
    said = " ".join(seen.run.output.split())
    assert re.search(
        r"another worker took the tasks of worker and worker_fork \(the one of worker_fork came to hold \d+ MB, more "
        r"than its limit of 700MB, and finished once another one had answered\)",
        said,
    )
    assert server.ledger(host, "leak-") == {"leak-0": ["start", "end"]}
    assert server.healthy(host)


@pytest.mark.usefixtures("seen")
def test_where_the_database_has_too_few_connections_nobody_takes_tasks(host: Any) -> None:
    server.run(host, "mariadb -e 'SET GLOBAL max_connections = 10'")
    try:
        run = play.run("apply", auth_worker_concurrency=11, **VARIABLES)
    finally:
        server.run(host, "mariadb -e 'SET GLOBAL max_connections = 151'")
    assert run.status == 0
    # For two pools and the second gunicorn, which comes all the same.
    said = " ".join(run.output.split())
    taken = r"nobody took tasks \(the database has 10 connections, of which \d+ are taken, and it takes up to 14 more; "
    assert re.search(taken, said)
    assert "a second gunicorn answered for the site meanwhile" in said
    assert re.search(r"beat was away for \d+ s", said)
