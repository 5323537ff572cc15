# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that are started, wait until they run, and what is said of one that does not."""

from __future__ import annotations

import sys
import threading
import time
import types
import xmlrpc.client
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import guard, guard_program, proc
from ansible_collections.allianceauth.tuning.plugins.module_utils.server.supervisord import (
    Daemon,
    Process,
    RefusedError,
)
from ansible_collections.allianceauth.tuning.plugins.modules import supervisor_programs

from tests.unit.plugins.draining import Failed, Module, Start, Wait, program

ASKED: dict[str, Any] = {"own_groups": [], "site": "", "settle": 0, "tolerate": [], "standby_of": "x", "guard": {}}

# A program that ends within these seconds could not be started. A busy machine takes some to start Python.
SOON_ENOUGH = 30


def start_once(
    found: Any, name: str, seconds: float, settle: int = 0, tolerate: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return the result of one call that starts a program."""
    result: dict[str, Any] = {"changed": False, "pending": [], "site": None}
    module: Any = Module({**ASKED, "processes": [name], "settle": settle, "tolerate": [*tolerate]})
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
    found = running(program("bad", startsecs=SOON_ENOUGH, startretries=0))
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
    found = running(program("bad", startsecs=SOON_ENOUGH, startretries=1))
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
    found = running(program("bad", startsecs=SOON_ENOUGH, startretries=1))
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


# For each, what becomes of a program of others that somebody had stopped, and of one that ran.
NEIGHBOURS = {
    "in a new supervisord": (True, False, ("STOPPED", "RUNNING")),
    # The run itself has not touched them.
    "in the same one": (False, False, ("RUNNING", "STOPPED")),
    # That one has stopped what ran, and has started nothing.
    "after a run that was cut off": (False, True, ("RUNNING", "RUNNING")),
    "after a run that was cut off, in a new supervisord": (True, True, ("STOPPED", "RUNNING")),
}


@pytest.mark.parametrize(("restarted", "adopted", "expected"), NEIGHBOURS.values(), ids=list(NEIGHBOURS))
def test_programs_of_others_are_as_the_run_has_found_them(
    supervisord: Start,
    wait: Wait,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    restarted: bool,
    adopted: bool,
    expected: tuple[str, str],
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
        "owner": "another" if adopted else "me",
        "seconds": 120,
        "timer_set": time.monotonic(),
        "first": {"pid": 1, "start": 1} if restarted else now,
        "ran": ["myauth:worker", "by_hand:by_hand"],
        # Of our own programs, the variables say which run.
        "stopped": ["idle:idle", "myauth:spare"],
    }
    guard_program.save(str(tmp_path / "allianceauth.tuning.myauth.guard/state.json"), state)
    guard.adopt("myauth", "me")
    given = {"name": "myauth", "owner": "me", "seconds": 120}
    module: Any = Module({**ASKED, "processes": ["myauth:worker"], "guard": given})
    supervisor_programs.start(found.daemon, module, {"changed": False, "site": None}, time.monotonic() + 30)
    wait(lambda: (found.state("idle:idle"), found.state("by_hand:by_hand")) == expected)
    assert found.state("myauth:spare") == "RUNNING"


def take_over_a_guard(found: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have this run guarded by the guard of one that was cut off, and that has found two programs running."""
    monkeypatch.setattr(guard, "RUN_FOLDER", str(folder))
    (folder / "allianceauth.tuning.myauth.guard").mkdir()
    now = {"pid": found.daemon.pid(), "start": proc.start_ticks(found.daemon.pid())}
    state = {"owner": "another", "seconds": 120, "timer_set": time.monotonic(), "first": now}
    state.update(ran=["worker:worker", "bot:bot"], stopped=[])
    guard_program.save(str(folder / "allianceauth.tuning.myauth.guard/state.json"), state)
    guard.adopt("myauth", "me")


def test_after_a_drain_the_programs_of_others_run_and_our_own_stay_stopped(
    running: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run before it, which was cut off, has stopped both."""
    found = running(program("worker") + program("bot"))
    take_over_a_guard(found, tmp_path, monkeypatch)
    for name in ("worker:worker", "bot:bot"):
        found.daemon.call("stopProcess", name)
    given = {"name": "myauth", "owner": "me", "seconds": 120}
    module: Any = Module({**ASKED, "processes": [], "own_groups": ["worker"], "guard": given})
    result: dict[str, Any] = {"changed": False, "site": None}
    supervisor_programs.start(found.daemon, module, result, time.monotonic() + 30)
    assert result["pending"] == []
    assert (found.state("worker:worker"), found.state("bot:bot")) == ("STOPPED", "RUNNING")


def test_a_program_of_others_that_is_still_stopping_is_started_once_it_has(
    running: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = running(program("worker") + program("bot", "patient", stopwaitsecs=1))
    take_over_a_guard(found, tmp_path, monkeypatch)
    found.daemon.call("stopProcess", "bot:bot", False)
    given = {"name": "myauth", "owner": "me", "seconds": 120}
    module: Any = Module({**ASKED, "processes": ["worker:worker"], "guard": given})
    result: dict[str, Any] = {"changed": False, "site": None}
    supervisor_programs.start(found.daemon, module, result, time.monotonic() + 30)
    assert result["pending"] == []
    assert found.state("bot:bot") == "RUNNING"


def test_check_mode_predicts_what_a_run_would_stop_and_start(running: Start) -> None:
    found = running(program("worker"))
    stop = {"state": "stopped", "stages": [["worker:worker"], ["worker:gone"]]}
    start = {"state": "running", "processes": ["worker:worker"]}
    assert [supervisor_programs.predict(found.daemon, given) for given in (stop, start)] == [True, False]
    found.daemon.call("stopProcess", "worker:worker")
    assert [supervisor_programs.predict(found.daemon, given) for given in (stop, start)] == [False, True]


def test_a_program_that_dies_at_once_is_told_of_with_its_last_words(supervisord: Start, wait: Wait) -> None:
    found = supervisord(
        "[program:bad]\ncommand = /bin/sh -c 'echo No such option >&2; exit 1'\nstartretries = 0\nstartsecs = 600\n"
    )
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
        # However long Python takes to start, it has died before.
        "startsecs = 600\n"
    )
    (found.folder / "bad.py").write_text(script)
    found.daemon.call("startProcess", "bad:bad", False)
    wait(lambda: found.process("bad:bad").state == "FATAL")
    assert supervisor_programs.last_log_lines(found.daemon, found.process("bad:bad")) == said


def test_a_supervisord_that_does_not_answer_yet_is_waited_for(supervisord: Start) -> None:
    found = supervisord(program("worker"))
    daemon, hidden = Daemon(str(found.folder / "supervisord.conf")), found.folder / "s.sock.not-yet"
    (found.folder / "s.sock").rename(hidden)
    module: Any = types.SimpleNamespace(params={**ASKED, "processes": ["worker:worker"]})

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
