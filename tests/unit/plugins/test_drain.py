# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drains of a real supervisord's processes."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
import types
import xmlrpc.client
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils import drain, server
from ansible_collections.allianceauth.tuning.plugins.module_utils.daemon import Daemon, NotAnswering
from ansible_collections.allianceauth.tuning.plugins.modules import supervisor_programs

# As a Celery worker does: on TERM it finishes what it does, here until a file lets it, and says so.
WORKER = """
import os, signal, sys, time
name, patient = sys.argv[1], sys.argv[2] == "patient"
def say(what):
    with open("events", "a") as events:
        events.write(f"{what} {name}\\n")
def finish(number, frame):
    say("told")
    while patient and not os.path.exists("release"):
        time.sleep(0.02)
    say("finished")
    sys.exit(0)
signal.signal(signal.SIGTERM, finish)
say("began")
while True:
    signal.pause()
"""

Start = Callable[[str], Any]
Wait = Callable[[Callable[[], object]], None]
Orphan = Callable[[Path], subprocess.Popen[bytes]]

# A stage after which one more comes: the last one goes on for longer, so that the site is soon back.
MORE = ["nobody:nobody"]


def program(name: str, manner: str = "quick", **options: object) -> str:
    """Return the section of a program that is ``patient`` (stops when it is let) or ``quick`` to stop."""
    given = {
        "autorestart": "true",
        "autostart": "false",
        "startsecs": 0,
        "stopwaitsecs": 30,
        "directory": "{here}",
        **options,
    }
    lines = [f"{option} = {value}" for option, value in given.items()]
    return "\n".join(
        [f"[program:{name}]", f"command = {sys.executable} {{here}}/worker.py {name} {manner}", *lines, ""]
    )


@pytest.fixture
def running(supervisord: Start, wait: Wait) -> Iterator[Start]:
    """Start programs and wait until each has begun."""
    started = []

    def start(sections: str) -> Any:
        found = supervisord(sections)
        started.append(found)
        (found.folder / "worker.py").write_text(WORKER)
        names = [process.namespec for process in found.daemon.processes()]
        for name in names:
            found.daemon.call("startProcess", name, False)
        wait(lambda: len(found.lines("events")) == len(names))
        (found.folder / "events").unlink()
        return found

    yield start
    for found in started:
        release(found)


def release(found: Any) -> None:
    (found.folder / "release").touch()


def drained(found: Any, stages: Sequence[Sequence[str]], warm: Sequence[str] = (), **known: Any) -> drain.Drain:
    return drain.Drain(
        found.daemon, stages, frozenset(warm), known.get("told", {}), known.get("before", lambda names: None)
    )


def soon() -> float:
    return time.monotonic() + 0.5


def in_the_end() -> float:
    return time.monotonic() + 60


def test_a_stage_is_told_together_and_the_next_one_only_when_it_has_stopped(running: Start) -> None:
    found = running(program("one", "patient") + program("two", "patient") + program("site"))
    asked: list[Sequence[str]] = []
    work = drained(found, [["one:one", "two:two"], ["site:site"]], before=asked.append)
    assert {name for name, _state in work.run(soon())} == {"one:one", "two:two"}
    assert sorted(found.lines("events")) == ["told one", "told two"]
    release(found)
    assert work.run(in_the_end()) == []
    events = found.lines("events")
    assert sorted(events[2:4]) == ["finished one", "finished two"]
    assert events[4:] == ["told site", "finished site"]
    assert {process.state for process in found.daemon.processes()} == {"STOPPED"}
    assert asked == [["one:one", "two:two"], ["site:site"]]
    assert work.changed
    assert {name for name, told in work.told.items() if told["ended"] >= told["at"]} == {
        "one:one",
        "two:two",
        "site:site",
    }


def test_a_warm_worker_gets_longer_than_supervisord_would_give_it_and_stays_stopped(running: Start) -> None:
    found = running(program("worker", "patient", stopwaitsecs=1))
    work = drained(found, [["worker:worker"], MORE], warm=["worker:worker"])
    # Three times its stopwaitsecs.
    assert work.run(time.monotonic() + 3) == [("worker:worker", "RUNNING")]
    release(found)
    assert work.run(in_the_end()) == []
    # supervisord may have started it once more in between, and it was told again.
    assert found.lines("events")[:2] == ["told worker", "finished worker"]
    assert found.state("worker:worker") == "STOPPED"


def test_a_worker_that_is_not_warm_is_killed_by_supervisord_after_its_time(running: Start) -> None:
    found = running(program("worker", "patient", stopwaitsecs=1))
    assert drained(found, [["worker:worker"]]).run(in_the_end()) == []
    assert found.lines("events") == ["told worker"]


def test_a_drain_goes_on_where_an_earlier_call_has_stopped_and_tells_nobody_twice(running: Start) -> None:
    found = running(program("worker", "patient", stopwaitsecs=1) + program("site"))
    stages, warm = [["worker:worker"], ["site:site"]], ["worker:worker"]
    first = drained(found, stages, warm)
    assert first.run(soon()) == [("worker:worker", "RUNNING")]
    asked: list[Sequence[str]] = []
    second = drained(found, stages, warm, told=first.told, before=asked.append)
    assert second.run(soon()) == [("worker:worker", "RUNNING")]
    assert found.lines("events") == ["told worker"]
    release(found)
    assert second.run(in_the_end()) == []
    assert asked == [["site:site"]]


def test_a_drain_that_nobody_goes_on_with_leaves_the_worker_to_finish_and_run_again(running: Start, wait: Wait) -> None:
    found = running(program("worker", "patient", stopwaitsecs=1))
    before = found.process("worker:worker").pid
    work = drained(found, [["worker:worker"], MORE], warm=["worker:worker"])
    assert work.run(soon()) == [("worker:worker", "RUNNING")]
    release(found)
    wait(lambda: found.process("worker:worker").pid not in (0, before))
    assert found.state("worker:worker") == "RUNNING"
    assert found.lines("events")[:2] == ["told worker", "finished worker"]


def test_what_has_stopped_already_and_what_never_was_need_no_drain(running: Start) -> None:
    found = running(program("worker"))
    found.daemon.call("stopProcess", "worker:worker")
    work = drained(found, [["worker:worker", "worker:gone"]])
    assert work.run(soon()) == []
    assert not work.changed


@pytest.fixture
def orphan(wait: Wait) -> Iterator[Orphan]:
    """Start a process that no supervisord looks after."""
    started = []

    def start(folder: Path) -> subprocess.Popen[bytes]:
        (folder / "worker.py").write_text(WORKER)
        left = subprocess.Popen([sys.executable, "worker.py", "orphan", "patient"], cwd=folder)
        started.append(left)
        wait((folder / "events").exists)
        (folder / "events").unlink()
        return left

    yield start
    for left in started:
        left.kill()
        left.wait()


def name_of(process: subprocess.Popen[bytes]) -> str:
    return drain.orphan_name({"pid": process.pid, "start": server.start_ticks(process.pid)})


def test_an_orphan_is_told_once_and_awaited_before_the_site_stops(running: Start, orphan: Orphan) -> None:
    found = running(program("site"))
    left = orphan(found.folder)
    name = name_of(left)
    work = drained(found, [[name], ["site:site"]])
    assert work.run(soon()) == [(name, "ORPHAN")]
    release(found)
    assert work.run(in_the_end()) == []
    assert left.wait() == 0
    assert found.lines("events") == ["told orphan", "finished orphan", "told site", "finished site"]
    assert {name, "site:site"} == set(work.told)


def test_an_orphan_is_drained_though_no_supervisord_answers(orphan: Orphan, tmp_path: Path) -> None:
    class Dead(Daemon):
        def __init__(self) -> None:
            pass

        def call(self, method: str, *arguments: Any) -> Any:
            raise NotAnswering(method)

    left = orphan(tmp_path)
    work = drain.Drain(Dead(), [[name_of(left)]], frozenset(), {}, lambda names: None)
    assert work.run(soon()) == [(name_of(left), "ORPHAN")]
    (tmp_path / "release").touch()
    assert work.run(in_the_end()) == []
    stop, start = {"state": "stopped", "stages": [["myauth:beat"]]}, {"state": "running", "processes": ["myauth:beat"]}
    assert [supervisor_programs.predict(Dead(), given) for given in (stop, start)] == [False, True]


def test_a_later_process_with_an_orphans_number_is_left_alone(running: Start, orphan: Orphan) -> None:
    found = running(program("site"))
    left = orphan(found.folder)
    other = f"pid:{left.pid}@1"
    work = drained(found, [[other]])
    assert work.run(soon()) == []
    drain.kill(found.daemon, other)
    assert left.poll() is None


def test_an_orphan_whose_time_is_over_is_killed(running: Start, orphan: Orphan) -> None:
    found = running(program("site"))
    left = orphan(found.folder)
    drain.kill(found.daemon, name_of(left))
    assert left.wait() == -signal.SIGKILL


def test_a_call_on_a_process_that_has_just_stopped_is_no_error_and_one_on_an_unknown_one_is(running: Start) -> None:
    found = running(program("worker"))
    drain.call(found.daemon, "startProcess", "worker:worker", False)
    found.daemon.call("stopProcess", "worker:worker")
    drain.call(found.daemon, "stopProcess", "worker:worker", False)
    with pytest.raises(xmlrpc.client.Fault, match="BAD_NAME"):
        drain.call(found.daemon, "stopProcess", "worker:gone", False)


def test_check_mode_predicts_what_a_run_would_stop_and_start(running: Start) -> None:
    found = running(program("worker"))
    stop = {"state": "stopped", "stages": [["worker:worker"], ["worker:gone"]]}
    start = {"state": "running", "processes": ["worker:worker"]}
    assert [supervisor_programs.predict(found.daemon, given) for given in (stop, start)] == [True, False]
    found.daemon.call("stopProcess", "worker:worker")
    assert [supervisor_programs.predict(found.daemon, given) for given in (stop, start)] == [False, True]


def test_a_program_that_dies_at_once_is_told_of_with_its_last_words(supervisord: Start, wait: Wait) -> None:
    found = supervisord("[program:bad]\ncommand = /bin/sh -c 'echo No such option >&2; exit 1'\nstartretries = 0\n")
    wait(lambda: found.state("bad:bad") == "FATAL")
    said = supervisor_programs.obituary(found.daemon, found.process("bad:bad"))
    assert "bad:bad" in said
    assert "No such option" in supervisor_programs.last_lines(found.daemon, found.process("bad:bad"))


def test_a_command_that_is_not_there_is_named(supervisord: Start, wait: Wait) -> None:
    found = supervisord("[program:bad]\ncommand = /nowhere/celery\nstartretries = 0\n")
    wait(lambda: found.state("bad:bad") == "FATAL")
    assert "/nowhere/celery" in supervisor_programs.obituary(found.daemon, found.process("bad:bad"))


def test_a_process_counts_as_running_once_it_has_been_for_long_enough(running: Start) -> None:
    process = running(program("worker")).process("worker:worker")
    assert supervisor_programs.settled(process, 0)
    assert not supervisor_programs.settled(process, 3600)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        # It has died of it before, and is about to die again.
        (
            'Traceback:\n  File "a.py", line 1\nOSError: no\nREADY\nTraceback:\n  File "b.py", line 2\n    go()\n',
            "OSError: no",
        ),
        ("OSError: long ago\none\ntwo\nthree\nfour\n", "one / two / three / four"),
    ],
    ids=["in mid-traceback", "an old one"],
)
def test_the_last_words_are_what_it_died_of(supervisord: Start, wait: Wait, text: str, said: str) -> None:
    script = f"import sys; sys.stderr.write({text!r})"
    found = supervisord(
        f"[program:bad]\ncommand = {sys.executable} {{here}}/bad.py\nstartretries = 0\nautostart = false\n"
    )
    (found.folder / "bad.py").write_text(script)
    found.daemon.call("startProcess", "bad:bad", False)
    wait(lambda: found.process("bad:bad").state == "FATAL")
    assert supervisor_programs.last_lines(found.daemon, found.process("bad:bad")) == said


def test_a_supervisord_that_does_not_answer_yet_is_waited_for(supervisord: Start) -> None:
    found = supervisord(program("worker"))
    daemon, hidden = Daemon(str(found.folder / "supervisord.conf")), found.folder / "s.sock.not-yet"
    (found.folder / "s.sock").rename(hidden)
    given = {"processes": ["worker:worker"], "site": "", "settle": 0, "standby_of": "nobody"}
    module: Any = types.SimpleNamespace(params=given)

    def wait_for_it(seconds: float) -> dict[str, Any]:
        result: dict[str, Any] = {"changed": False, "pending": [], "site": None}
        supervisor_programs.start_with_patience(daemon, module, result, time.monotonic() + seconds)
        return result

    (absent,) = wait_for_it(0.3)["pending"]
    assert absent["name"] == "supervisord"
    assert "does not answer" in absent["state"]
    opened = threading.Timer(1, hidden.rename, [found.folder / "s.sock"])
    opened.start()
    result = wait_for_it(60)
    opened.join()
    daemon._proxy("close")()
    assert (result["pending"], result["changed"]) == ([], True)
    assert found.state("worker:worker") == "RUNNING"
