# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A drain that is called off: what was told to stop runs again, and its tasks are not lost."""

from __future__ import annotations

import os
import re
import types
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.allianceauth.tuning.plugins.action import supervisor_programs as action

from tests.unit.plugins.draining import MORE, Action, Start, program


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
    # A busy machine is later.
    assert re.search(
        r"Not all of it could be started again: after \d+ s these do not run: bot:bot \(STOPPING\)\. worker was", said
    )
    assert found.state("beat:beat") == "RUNNING"


def test_a_program_that_is_given_up_keeps_nobody_from_being_started_again(running: Start) -> None:
    found = running(
        program("beat", startsecs=30, startretries=0)
        + program("worker", "patient", stopwaitsecs=1)
        + program("bot", "patient", stopwaitsecs=4)
    )
    (found.folder / "broken beat").touch()
    said = aborted(found, bot_seconds=4)["msg"]
    assert "Not all of it could be started again: supervisord gave up starting beat:beat: it is broken. worker" in said
    assert [found.state(name) for name in ("beat:beat", "bot:bot")] == ["FATAL", "RUNNING"]


def test_what_had_just_stopped_when_another_was_given_up_is_started_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    gave_up = {"failed": True, "msg": "supervisord gave up starting beat:beat: it is broken.", "back": []}
    states = [{"name": "beat:beat", "state": "FATAL"}, {"name": "bot:bot", "state": "STOPPED"}]
    # The second time it is no coincidence any more.
    answers = [{**gave_up, "pending": states}, {**gave_up, "pending": states[1:]}]
    asked: list[list[str]] = []

    def run_all(given: dict[str, Any], _timeout: float) -> dict[str, Any]:
        asked.append(given["processes"])
        return answers.pop(0)

    task: Any = object.__new__(action.ActionModule)
    monkeypatch.setattr(task, "_run_all", run_all)
    monkeypatch.setattr(task, "_tolerated", list)
    drained: Any = types.SimpleNamespace(
        supervised=lambda: ["beat:beat", "bot:bot"], stopping_for=lambda: 0, finishing=list
    )
    troubles, _back, _finishing = task._start_again(drained)
    assert asked == [["beat:beat", "bot:bot"], ["bot:bot"]]
    assert troubles.startswith("supervisord gave up starting beat:beat")


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
