# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drains of a real supervisord's processes, stage by stage."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping, Sequence

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import drain

from tests.unit.plugins.draining import MORE, Action, Start, Wait, drained, in_the_end, program, release, soon


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


def test_what_goes_last_is_told_once_all_others_have_stopped(running: Start) -> None:
    found = running(program("beat") + program("memmon") + program("worker", "patient"))
    names = ["beat:beat", "memmon:memmon", "worker:worker"]
    given = {"state": "stopped", "stages": [names[:2], names[2:]], "stopwaitsecs": {}}
    # One that is not to stop at all is not stopped for being named there.
    drain = Action(found, **given, last=["beat:beat", "site:site"])
    release(found)
    assert not drain._stop({}).get("failed")
    assert [line for line in found.lines("events") if line.startswith("told")] == [
        f"told {name.partition(':')[0]}" for name in (names[1], names[2], names[0])
    ]


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
    paused = first.stop_requests["worker:worker"]["paused"]
    assert first.stop_requests == {"worker:worker": {"pid": pid, "at": begun, "waits": ["a"], "paused": paused}}
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


def test_who_may_still_take_tasks_is_known_until_each_has_said_that_it_takes_none_or_has_ended(running: Start) -> None:
    found = running(program("silent", "patient") + program("paused") + program("quick"))
    workers = ["silent:silent", "paused:paused", "quick:quick"]
    waits = {"paused:paused": ["a"]}
    seen: list[set[str]] = []
    first = drained(found, [workers, MORE], workers, before=lambda names: waits)
    first.unfinished = set
    first.each_round = lambda: seen.append(first.may_take_tasks(workers))
    told: list[tuple[str, int]] = []
    first.telling = lambda name, pid: told.append((name, pid))
    pid = found.process("silent:silent").pid
    assert first.may_take_tasks(workers) == set(workers)
    first.run(time.monotonic() + 5)
    # One in a warm shutdown says nothing, and may have a task on its way.
    assert seen[-1] == {"silent:silent"}
    # Whoever brings the server back knows it, should this drain be cut off.
    assert ("silent:silent", pid) in told
    assert "paused:paused" not in dict(told)
    second = drained(found, [workers, MORE], workers, stop_requests=first.stop_requests)
    second.unfinished = lambda paused: set()
    assert second.may_take_tasks(workers) == {"silent:silent"}
    release(found)
    assert second.run(in_the_end()) == []
    assert second.may_take_tasks(workers) == set()


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
