# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drains of a real supervisord's processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import types
import xmlrpc.client
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.allianceauth.tuning.plugins.action import supervisor_programs as action
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.names import orphan_name
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import drain, guard, guard_program, proc
from ansible_collections.allianceauth.tuning.plugins.module_utils.server.supervisord import (
    Daemon,
    NotAnsweringError,
    Process,
    RefusedError,
)
from ansible_collections.allianceauth.tuning.plugins.modules import supervisor_programs

# As a Celery worker does: on TERM it finishes what it does, here until a file lets it, and says so.
WORKER = """
import os, signal, sys, time
name, patient = sys.argv[1], sys.argv[2] == "patient"
if os.path.exists("broken " + name):
    sys.exit("it is broken")
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
    # Not signal.pause(): Python would not see a signal that comes just before it, until the next one.
    time.sleep(0.05)
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


def drained(
    found: Any, stages: Sequence[Sequence[str]], warm_shutdowns: Sequence[str] = (), **known: Any
) -> drain.Drain:
    return drain.Drain(
        found.daemon,
        stages,
        frozenset(warm_shutdowns),
        known.get("stop_requests", {}),
        lambda names: known.get("before", lambda names: None)(names) or {},
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
    assert {
        name for name, stop_requests in work.stop_requests.items() if stop_requests["ended"] >= stop_requests["at"]
    } == {
        "one:one",
        "two:two",
        "site:site",
    }


def test_a_warm_worker_gets_longer_than_supervisord_would_give_it_and_stays_stopped(running: Start) -> None:
    found = running(program("worker", "patient", stopwaitsecs=1))
    work = drained(found, [["worker:worker"], MORE], warm_shutdowns=["worker:worker"])
    # Three times its stopwaitsecs.
    assert work.run(time.monotonic() + 3) == [("worker:worker", "RUNNING")]
    release(found)
    assert work.run(in_the_end()) == []
    # supervisord may have started it once more in between, and it was told again.
    assert found.lines("events")[:2] == ["told worker", "finished worker"]
    assert found.state("worker:worker") == "STOPPED"


def test_a_warm_worker_that_supervisord_does_not_count_as_running_yet_gets_as_long(running: Start, wait: Wait) -> None:
    found = running(program("worker", "patient", stopwaitsecs=1, startsecs=1000))
    assert found.state("worker:worker") == "STARTING"
    work = drained(found, [["worker:worker"], MORE], warm_shutdowns=["worker:worker"])
    assert work.run(time.monotonic() + 3) == [("worker:worker", "STARTING")]
    assert found.lines("events") == ["told worker"]
    release(found)
    assert work.run(in_the_end()) == []
    assert found.state("worker:worker") == "STOPPED"


def test_a_warm_worker_that_has_run_again_while_nobody_looked_may_have_tasks(running: Start, wait: Wait) -> None:
    found = running(program("worker", "patient", stopwaitsecs=1))
    before = found.process("worker:worker").pid
    work = drained(found, [["worker:worker"], MORE], warm_shutdowns=["worker:worker"])
    assert work.run(soon()) == [("worker:worker", "RUNNING")]
    release(found)
    wait(lambda: found.process("worker:worker").pid not in (0, before))
    wait(lambda: found.lines("events")[-1] == "began worker")
    (found.folder / "release").unlink()
    wait(lambda: time.time() - found.process("worker:worker").start > drain._WITHOUT_TASK_SECONDS)
    assert work.run(time.monotonic() + 3) == [("worker:worker", "RUNNING")]
    assert found.lines("events")[-1] == "told worker"
    release(found)
    assert work.run(in_the_end()) == []


@pytest.mark.parametrize("warm", [True, False])
def test_a_worker_that_takes_no_more_tasks_is_told_to_stop_once_it_has_finished_them(
    running: Start, warm: bool
) -> None:
    found = running(program("worker") + program("site"))
    stages, warm_shutdowns = [["worker:worker"], ["site:site"]], ["worker:worker"] if warm else []
    left = {"worker:worker"}

    def unfinished(waits: Mapping[str, Sequence[str]]) -> set[str]:
        return left & set(waits)

    first = drained(found, stages, warm_shutdowns, before=lambda names: {"worker:worker": ["a"]})
    first.unfinished = unfinished
    assert first.run(soon()) == [("worker:worker", "RUNNING")]
    begun = first.stop_requests["worker:worker"]["at"]
    pid = found.process("worker:worker").pid
    assert first.stop_requests == {"worker:worker": {"pid": pid, "at": begun, "waits": ["a"]}}
    # Another call goes on with it, and asks nobody again.
    second = drained(found, stages, warm_shutdowns, stop_requests=first.stop_requests)
    second.unfinished = unfinished
    assert second.run(soon()) == [("worker:worker", "RUNNING")]
    assert found.lines("events") == []
    left.clear()
    assert second.run(in_the_end()) == []
    assert found.lines("events")[0] == "told worker"
    # What it has begun meanwhile, which it held for its time, has as long as what it ran before.
    assert second.stop_requests["worker:worker"]["at"] > begun


def test_a_worker_that_ends_while_it_takes_no_more_tasks_is_stopped_when_it_runs_again(
    running: Start, wait: Wait
) -> None:
    found = running(program("worker"))
    before = found.process("worker:worker").pid
    work = drained(found, [["worker:worker"], MORE], ["worker:worker"], before=lambda names: {"worker:worker": ["a"]})
    assert work.run(soon()) == [("worker:worker", "RUNNING")]
    os.kill(before, signal.SIGKILL)
    assert work.run(in_the_end()) == []
    assert found.state("worker:worker") == "STOPPED"


def test_a_worker_that_is_not_warm_is_killed_by_supervisord_after_its_time(running: Start) -> None:
    found = running(program("worker", "patient", stopwaitsecs=1))
    assert drained(found, [["worker:worker"]]).run(in_the_end()) == []
    assert found.lines("events") == ["told worker"]


def test_a_drain_goes_on_where_an_earlier_call_has_stopped_and_tells_nobody_twice(running: Start) -> None:
    found = running(program("worker", "patient", stopwaitsecs=1) + program("site"))
    stages, warm_shutdowns = [["worker:worker"], ["site:site"]], ["worker:worker"]
    first = drained(found, stages, warm_shutdowns)
    assert first.run(soon()) == [("worker:worker", "RUNNING")]
    asked: list[Sequence[str]] = []
    second = drained(found, stages, warm_shutdowns, stop_requests=first.stop_requests, before=asked.append)
    assert second.run(soon()) == [("worker:worker", "RUNNING")]
    assert found.lines("events") == ["told worker"]
    release(found)
    assert second.run(in_the_end()) == []
    assert asked == [["site:site"]]


def test_a_drain_that_nobody_goes_on_with_leaves_the_worker_to_finish_and_run_again(running: Start, wait: Wait) -> None:
    found = running(program("worker", "patient", stopwaitsecs=1))
    before = found.process("worker:worker").pid
    work = drained(found, [["worker:worker"], MORE], warm_shutdowns=["worker:worker"])
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
    return orphan_name({"pid": process.pid, "start": proc.start_ticks(process.pid)})


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
    assert {name, "site:site"} == set(work.stop_requests)


def test_an_orphan_is_drained_though_no_supervisord_answers(orphan: Orphan, tmp_path: Path) -> None:
    class Dead(Daemon):
        def __init__(self) -> None:
            pass

        def call(self, method: str, *arguments: Any) -> Any:
            raise NotAnsweringError(method)

    left = orphan(tmp_path)
    work = drain.Drain(Dead(), [[name_of(left)]], frozenset(), {}, lambda names: {})
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


def test_a_worker_whose_time_is_over_is_killed_though_supervisord_knows_of_a_longer_one(
    running: Start, wait: Wait
) -> None:
    found = running(program("worker", "patient", stopwaitsecs=600))
    work = drained(found, [["worker:worker"], MORE])
    assert work.run(soon()) == [("worker:worker", "STOPPING")]
    drain.kill(found.daemon, "worker:worker")
    wait(lambda: found.state("worker:worker") == "STOPPED")
    assert found.lines("events") == ["told worker"]


def test_an_orphan_whose_time_is_over_is_killed(running: Start, orphan: Orphan) -> None:
    found = running(program("site"))
    left = orphan(found.folder)
    drain.kill(found.daemon, name_of(left))
    assert left.wait() == -signal.SIGKILL


def test_an_orphan_that_ends_before_it_is_told_needs_no_word(running: Start, orphan: Orphan) -> None:
    found = running(program("site"))
    left = orphan(found.folder)

    def end(names: Sequence[str]) -> None:
        left.kill()
        left.wait()

    work = drained(found, [[name_of(left)]], before=end)
    assert work.run(in_the_end()) == []
    assert (work.stop_requests, work.changed) == ({}, False)


def test_another_process_that_gets_an_orphans_number_before_it_is_told_is_left_alone(
    running: Start, orphan: Orphan, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = running(program("site"))
    left = orphan(found.folder)

    def replace(names: Sequence[str]) -> None:
        # The kernel gives a number away again when it likes; a start of its own is what such a process has.
        monkeypatch.setattr(proc, "start_ticks", lambda pid: 1)

    work = drained(found, [[name_of(left)], MORE], before=replace)
    assert work.run(in_the_end()) == []
    assert not work.changed
    assert left.poll() is None
    assert found.lines("events") == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_orphan_that_ends_just_before_its_signal_is_no_error(
    running: Start, orphan: Orphan, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    found = running(program("site"))
    left = orphan(found.folder)
    name = name_of(left)
    left.kill()
    left.wait()
    # What the last look before the signal has seen.
    monkeypatch.setattr(drain, "_orphan_lives", lambda name: True)
    if number == signal.SIGKILL:
        drain.kill(found.daemon, name)
    else:
        work = drained(found, [[name], MORE])
        assert work.run(time.monotonic()) == [(name, "ORPHAN")]
        assert not work.changed


class Module:
    """What a module's work asks of its AnsibleModule."""

    check_mode = False

    def __init__(self, params: dict[str, Any]) -> None:
        self.params = params

    def fail_json(self, **result: Any) -> None:
        raise Failed(result)


class Failed(Exception):
    """The module has failed; its argument is the result."""


class Action(action.ActionModule):
    """The action plugin on a real supervisord, without a connection between the two."""

    def __init__(self, found: Any, **arguments: Any) -> None:
        self.found = found
        task: Any = types.SimpleNamespace(args=arguments)
        self._task = task
        self._vars = {"inventory_hostname": "auth1"}

    def _call(self, **arguments: Any) -> dict[str, Any]:
        defaults = {
            "workers": [],
            "timeout_action": "abort",
            "celery": {},
            "site": "",
            "standby_of": "nobody",
            "guard": {},
        }
        given = {**defaults, **arguments}
        result: dict[str, Any] = {"changed": False, "pending": [], "tasks": {}, "site": None}
        # Shorter than the module's own: a slice shall end at every moment of the drain.
        until = time.monotonic() + 0.3
        module: Any = Module(given)
        if given["state"] == "stopped":
            supervisor_programs.stop(self.found.daemon, module, result, until)
        else:
            try:
                supervisor_programs.start_with_patience(self.found.daemon, module, result, until)
            except Failed as failed:
                return {**failed.args[0], "failed": True}
        return result

    def stop(self) -> dict[str, Any]:
        return self._stop({})


def test_a_task_goes_no_further_than_its_run_that_was_killed() -> None:
    task: Any = object.__new__(action.ActionModule)
    task._task = types.SimpleNamespace(args={})
    # Another one is our parent now.
    task._run_process = os.getppid() + 1
    with pytest.raises(AnsibleActionFail, match="The run was killed"):
        task._call(state="stopped")


def test_what_supervisord_kills_after_its_time_calls_no_drain_off(running: Start) -> None:
    found = running(program("bot", "patient", stopwaitsecs=2))
    result = Action(found, state="stopped", stages=[["bot:bot"], MORE], stopwaitsecs={"bot:bot": 2}).stop()
    assert not result.get("failed"), result["msg"]
    assert found.state("bot:bot") == "STOPPED"
    assert found.lines("events") == ["told bot"]


def aborted(found: Any, bot_seconds: int = 3) -> dict[str, Any]:
    """Call a drain off because of a busy worker; what has stopped before it and a slow bot beside it were told, too."""
    return Action(
        found,
        state="stopped",
        stages=[["beat:beat"], ["worker:worker", "bot:bot"], MORE],
        workers=["worker:worker"],
        stopwaitsecs={"worker:worker": 1, "bot:bot": bot_seconds},
    ).stop()


def test_a_drain_that_is_called_off_starts_also_what_was_still_stopping(running: Start) -> None:
    found = running(
        program("beat") + program("worker", "patient", stopwaitsecs=1) + program("bot", "patient", stopwaitsecs=3)
    )
    before = {process.namespec: process.pid for process in found.daemon.processes()}
    said = aborted(found)["msg"]
    assert said.startswith(
        "auth1: worker did not stop in time, so the run was called off. What was stopped was started"
    )
    after = found.daemon.processes()
    assert {process.state for process in after} == {"RUNNING"}
    assert {process.namespec for process in after if process.pid != before[process.namespec]} == {
        "beat:beat",
        "bot:bot",
    }


def test_a_drain_that_is_called_off_names_what_does_not_stop_in_time_to_be_started(
    running: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(action, "_AGAIN_SECONDS", 1)
    found = running(program("beat") + program("worker", "patient") + program("bot", "patient", stopwaitsecs=30))
    # What is on disk is not what runs.
    said = aborted(found, bot_seconds=1)["msg"]
    assert "Not all of it could be started again: after 1 s these do not run: bot:bot (STOPPING). worker was" in said
    assert found.state("beat:beat") == "RUNNING"


def test_a_program_that_is_given_up_keeps_nobody_from_being_started_again(running: Start) -> None:
    found = running(
        program("beat", startsecs=1, startretries=0)
        + program("worker", "patient", stopwaitsecs=1)
        + program("bot", "patient", stopwaitsecs=4)
    )
    (found.folder / "broken beat").touch()
    said = aborted(found, bot_seconds=4)["msg"]
    assert "Not all of it could be started again: supervisord gave up starting beat:beat: it is broken. worker" in said
    assert [found.state(name) for name in ("beat:beat", "bot:bot")] == ["FATAL", "RUNNING"]


def test_a_program_that_ends_again_and_again_as_before_is_waited_for_no_longer(
    running: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(action, "_TOLERATED_SECONDS", 1)
    found = running(program("worker") + program("flapper"))
    (found.folder / "broken flapper").touch()
    found.daemon.stop("flapper:flapper")
    names = ["worker:worker", "flapper:flapper"]
    given = {"state": "running", "processes": names, "settle": 0, "tolerate": ["flapper:flapper"]}
    result = Action(found, **given)._start({})
    assert not result.get("failed"), result
    assert found.state("worker:worker") == "RUNNING"


def start_once(
    found: Any, name: str, seconds: float, settle: int = 0, tolerate: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return the result of one call that starts a program."""
    result: dict[str, Any] = {"changed": False, "pending": [], "site": None}
    given = {"processes": [name], "site": "", "settle": settle, "tolerate": [*tolerate], "standby_of": "x", "guard": {}}
    module: Any = Module(given)
    supervisor_programs.start(found.daemon, module, result, time.monotonic() + seconds)
    return result


def spawned(found: Any, name: str) -> int:
    """Return how often supervisord has started a program."""
    return str((found.folder / "log").read_text()).count(f"spawned: '{name}'")


def test_what_is_still_stopping_at_the_first_look_is_started_in_the_same_call(running: Start) -> None:
    found = running(program("bot", "patient", stopwaitsecs=1))
    found.daemon.call("stopProcess", "bot:bot", False)
    assert found.state("bot:bot") == "STOPPING"
    result = start_once(found, "bot:bot", 30)
    assert (result["pending"], result["changed"]) == ([], True)
    assert found.state("bot:bot") == "RUNNING"


def test_a_program_that_ends_by_itself_is_started_once_in_a_call(running: Start) -> None:
    found = running(program("once", autorestart="false"))
    (found.folder / "broken once").touch()
    found.daemon.call("stopProcess", "once:once")
    result = start_once(found, "once:once", 2, settle=10)
    assert [process["state"] for process in result["pending"]] == ["EXITED"]
    # By the test, and by the call.
    assert spawned(found, "once") == 2


def test_a_program_that_did_not_work_before_is_started_and_not_waited_for(running: Start) -> None:
    found = running(program("bad", startsecs=1, startretries=0))
    found.daemon.stop("bad:bad")
    (found.folder / "broken bad").touch()
    with pytest.raises(Failed, match="gave up starting bad:bad"):
        start_once(found, "bad:bad", 30)
    tries = spawned(found, "bad")
    result = start_once(found, "bad:bad", 30, tolerate=("bad:bad",))
    assert (result["pending"], result["changed"]) == ([], True)
    assert spawned(found, "bad") == tries + 1


def test_a_program_that_supervisord_gives_up_in_a_call_is_not_started_by_it(
    running: Start, wait: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = running(program("bad", startsecs=1, startretries=1))
    found.daemon.call("stopProcess", "bad:bad")
    (found.folder / "broken bad").touch()
    found.daemon.call("startProcess", "bad:bad", False)
    look = found.daemon.processes
    # It is that for a second only, which a busy machine misses.
    in_backoff: list[Process] = [replace(look()[0], state="BACKOFF")]
    states: list[str] = []

    def look_again_when_it_is_given_up() -> list[Process]:
        if len(states) == 2:
            wait(lambda: look()[0].state == "FATAL")
        seen = look() if len(states) >= 2 else in_backoff
        states.append(seen[0].state)
        return list(seen)

    # A call looks twice before it pauses, to start and to see what has come of it.
    monkeypatch.setattr(found.daemon, "processes", look_again_when_it_is_given_up)
    with pytest.raises(Failed, match="gave up starting bad:bad"):
        start_once(found, "bad:bad", 30)
    assert (states[0], states[-1]) == ("BACKOFF", "FATAL")
    # Twice by the test, and once more by supervisord.
    assert spawned(found, "bad") == 3


def test_a_program_that_died_before_the_answer_is_told_of_with_its_last_words(
    running: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = running(program("bad", startsecs=1, startretries=1))
    found.daemon.stop("bad:bad")
    (found.folder / "broken bad").touch()
    call = found.daemon.call

    def answer_late(method: str, *arguments: Any) -> Any:
        """Answer as a supervisord does whose child has died before it looks for ended children."""
        answer = call(method, *arguments)
        if method == "startProcess":
            raise xmlrpc.client.Fault(50, f"SPAWN_ERROR: {arguments[0]}")
        return answer

    monkeypatch.setattr(found.daemon, "call", answer_late)
    with pytest.raises(Failed, match=r"supervisord gave up starting bad:bad: .*broken"):
        start_once(found, "bad:bad", 30)


def test_a_command_that_has_gone_is_told_the_same_whether_it_was_tried_or_not(supervisord: Start, wait: Wait) -> None:
    gone = "command = /nowhere/celery\nstartretries = 0\n"
    found = supervisord(f"[program:untried]\n{gone}autostart = false\n[program:tried]\n{gone}")
    wait(lambda: found.state("tried:tried") == "FATAL")
    said = supervisor_programs.spawn_error(found.daemon, found.process("tried:tried"))
    assert "/nowhere/celery" in said
    with pytest.raises(RefusedError) as refused:
        start_once(found, "untried:untried", 30)
    assert str(refused.value) == said.replace("tried:tried", "untried:untried")


@pytest.mark.parametrize("restarted", [True, False])
def test_programs_of_others_are_in_a_new_supervisord_as_the_run_has_found_them(
    supervisord: Start, wait: Wait, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restarted: bool
) -> None:
    sleep = "command = sleep 1000\nstartsecs = 0\n"
    found = supervisord(
        f"[program:worker]\n{sleep}[program:idle]\n{sleep}[program:by_hand]\n{sleep}autostart = false\n"
        f"[program:spare]\n{sleep}[group:myauth]\nprograms = worker, spare\n"
    )
    monkeypatch.setattr(guard, "RUN_FOLDER", str(tmp_path))
    (tmp_path / "allianceauth.tuning.myauth.guard").mkdir()
    now = {"pid": found.daemon.pid(), "start": proc.start_ticks(found.daemon.pid())}
    state = {
        "first": {"pid": 1, "start": 1} if restarted else now,
        "ran": ["myauth:worker", "by_hand:by_hand"],
        # Of our own programs, the variables say which run.
        "stopped": ["idle:idle", "myauth:spare"],
    }
    guard_program.save(guard._state_path("myauth"), state)
    given = {"name": "myauth", "owner": "me", "seconds": 120}
    asked = {"processes": ["myauth:worker"], "site": "", "settle": 0, "tolerate": [], "standby_of": "x", "guard": given}
    module: Any = Module(asked)
    supervisor_programs.start(found.daemon, module, {"changed": False, "site": None}, time.monotonic() + 30)
    expected = ("STOPPED", "RUNNING") if restarted else ("RUNNING", "STOPPED")
    wait(lambda: (found.state("idle:idle"), found.state("by_hand:by_hand")) == expected)
    assert found.state("myauth:spare") == "RUNNING"


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
    said = supervisor_programs.spawn_error(found.daemon, found.process("bad:bad"))
    assert "bad:bad" in said
    assert "No such option" in supervisor_programs.last_log_lines(found.daemon, found.process("bad:bad"))


def test_a_command_that_is_not_there_is_named(supervisord: Start, wait: Wait) -> None:
    found = supervisord("[program:bad]\ncommand = /nowhere/celery\nstartretries = 0\n")
    wait(lambda: found.state("bad:bad") == "FATAL")
    assert "/nowhere/celery" in supervisor_programs.spawn_error(found.daemon, found.process("bad:bad"))


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
    assert supervisor_programs.last_log_lines(found.daemon, found.process("bad:bad")) == said


def test_a_supervisord_that_does_not_answer_yet_is_waited_for(supervisord: Start) -> None:
    found = supervisord(program("worker"))
    daemon, hidden = Daemon(str(found.folder / "supervisord.conf")), found.folder / "s.sock.not-yet"
    (found.folder / "s.sock").rename(hidden)
    given = {"processes": ["worker:worker"], "site": "", "settle": 0, "tolerate": [], "standby_of": "x", "guard": {}}
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
    assert (result["pending"], result["changed"]) == ([], True)
    assert found.state("worker:worker") == "RUNNING"
