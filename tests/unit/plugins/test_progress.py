# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user reads while a drain goes on, and when it fails."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import progress

NAME, ORPHAN, BEAT = "myauth:worker_00", "pid:5@77", "myauth:beat"
TOLD = {
    NAME: {"pid": 3, "at": 1000.0},
    ORPHAN: {"pid": 5, "at": 1000.0},
    BEAT: {"pid": 4, "at": 999.0, "ended": 999.5},
}
TASKS = {"worker_00": [{"name": "esi.sync", "id": "1", "age": 20}]}


@pytest.fixture
def drained() -> progress.Drained:
    return progress.Drained("auth1", {NAME: 60, ORPHAN: 600, BEAT: 10}, [NAME])


def answer(now: float, *pending: str, state: str = "RUNNING") -> dict[str, Any]:
    return {"stop_requests": TOLD, "now": now, "pending": [{"name": name, "state": state} for name in pending]}


def test_a_line_has_the_processes_their_tasks_with_age_and_the_time_they_have_left(
    drained: progress.Drained,
) -> None:
    drained.update({**answer(1005.0, NAME, ORPHAN), "tasks": TASKS, "changed": True})
    assert drained.line() == ("auth1: waiting for worker_00 (esi.sync for 25 s), 55 s left; the orphan 5, 595 s left")
    # The tasks were asked for once, before the word; later answers have none.
    drained.update({**answer(1010.0, NAME), "tasks": {}})
    assert drained.line() == "auth1: waiting for worker_00 (esi.sync for 30 s), 50 s left"
    assert drained.changed


def test_nobody_is_overdue_before_the_time_is_over(drained: progress.Drained) -> None:
    drained.update(answer(1059.9, NAME))
    assert (drained.overdue(), drained.killed()) == ([], [])
    drained.update(answer(1599.9, ORPHAN, state="ORPHAN"))
    assert drained.overdue() == []
    drained.update(answer(1600.0, ORPHAN, state="ORPHAN"))
    assert drained.overdue() == [ORPHAN]


@pytest.mark.parametrize(
    ("name", "state", "ends"),
    [(BEAT, "STOPPING", 1009.0), (BEAT, "RUNNING", 1009.0), (NAME, "STOPPING", 1060.0), (NAME, "EXITED", 1060.0)],
)
def test_whom_supervisord_ends_gets_the_seconds_that_it_takes_for_that(
    drained: progress.Drained, name: str, state: str, ends: float
) -> None:
    drained.update(answer(ends + 4.9, name, state=state))
    assert drained.overdue() == []
    assert drained.line().endswith(", 0 s left")
    drained.update(answer(ends + 5, name, state=state))
    assert drained.overdue() == [name]


def test_more_time_for_tasks_is_no_advice_for_a_program_without(drained: progress.Drained) -> None:
    drained.update(answer(1020.0, BEAT, state="STOPPING"))
    said = drained.abort_message("")
    assert said.startswith("auth1: beat did not stop in time, so the run was called off. What was stopped was started")
    assert "auth_" not in said
    assert "supervisord itself kills a program that is no worker once its stopwaitsecs is over" in said


def test_an_abort_waits_for_what_supervisord_is_stopping(drained: progress.Drained) -> None:
    drained.update(answer(1001.0, NAME, BEAT, state="STOPPING"))
    assert drained.stopping_for() == 59.0
    drained.update(answer(1061.0, NAME, BEAT, state="STOPPING"))
    assert drained.stopping_for() == 0.0
    drained.update(answer(1001.0, NAME))
    assert drained.stopping_for() == 0.0


def test_who_is_overdue_is_named_with_the_tasks(drained: progress.Drained) -> None:
    drained.update({**answer(1060.0, NAME, ORPHAN), "tasks": TASKS})
    assert drained.overdue() == [NAME]
    said = drained.abort_message("")
    assert said.startswith("auth1: worker_00 (esi.sync for 80 s) did not stop in time, so the run was called off.")
    assert "What was stopped was started again." in said
    assert "Not all of it could be started again: too bad" in drained.abort_message("too bad")


def test_after_an_abort_it_is_said_which_workers_take_tasks_again(drained: progress.Drained) -> None:
    drained.update({**answer(1060.0, NAME, ORPHAN), "tasks": TASKS})
    said = drained.abort_message("", [NAME])
    assert "What was stopped was started again. worker_00 takes tasks again. Run it again later" in said
    assert (
        "What was stopped was started again. worker_00 was told to finish: it takes no new task until supervisord has "
        "started it again. Run it again later" in drained.abort_message("")
    )


def test_what_a_worker_runs_is_asked_anew_when_it_is_told_to_stop(drained: progress.Drained) -> None:
    drained.update({**answer(1000.0, NAME), "tasks": TASKS})
    later = {"worker_00": [{"name": "after.a.countdown", "id": "2", "age": 1}]}
    drained.update({**answer(1005.0, NAME), "tasks": later, "stop_requests": {NAME: {"pid": 3, "at": 1005.0}}})
    assert drained.line() == "auth1: waiting for worker_00 (after.a.countdown for 1 s), 60 s left"


def test_lost_tasks_are_named(drained: progress.Drained) -> None:
    drained.update({**answer(1060.0, NAME), "tasks": TASKS})
    drained.update(answer(1061.0))
    assert drained.killed() == [NAME]
    assert drained.lost_tasks_warning().startswith("auth1: killed after their time: worker_00 (esi.sync for 81 s).")


def test_who_stopped_in_time_was_not_killed(drained: progress.Drained) -> None:
    stop_requests = {NAME: {"pid": 3, "at": 1000.0, "ended": 1059.0}}
    drained.update({"stop_requests": stop_requests, "now": 2000.0, "pending": []})
    assert drained.killed() == []


def test_a_start_names_who_does_not_run_yet_and_in_the_end_why() -> None:
    late = {
        "pending": [
            {"name": "the site at 127.0.0.1:8000", "state": "no answer"},
            {"name": NAME, "state": "STARTING"},
        ],
        "logs": {NAME: "No such option", "myauth:beat": ""},
    }
    assert progress.waiting("auth1", late, 5) == (
        "auth1: waiting for the site at 127.0.0.1:8000 (no answer), worker_00 (STARTING), 5 s so far"
    )
    said = progress.timeout_message(late, 120)
    assert said.startswith("after 120 s these do not run: ")
    assert "myauth:worker_00 (STARTING)" in said
    assert said.endswith("The log of myauth:worker_00 ends with: No such option.")


def test_an_orphan_is_not_among_what_can_be_started_again(drained: progress.Drained) -> None:
    drained.update(answer(1001.0, NAME, ORPHAN))
    assert drained.supervised() == [NAME, BEAT]


def test_a_program_that_is_started_again_and_again_is_told_of_with_its_last_words() -> None:
    starts = progress.Starts()
    lives = [{"name": NAME, "start": second} for second in (1, 1, 7, 13, 19)]
    assert [starts.restarted_too_often([life]) for life in lives] == [[], [], [], [], [NAME]]
    said = starts.said({"logs": {NAME: "Address already in use."}})
    assert said == (
        f"supervisord has to start {NAME} again and again. The log of {NAME} ends with: Address already in use."
    )


def test_a_program_that_has_not_been_started_yet_has_no_life() -> None:
    starts = progress.Starts()
    looks: list[list[dict[str, Any]]] = [[{"name": NAME, "start": 0}, {"name": "the site"}]] * 9
    assert [starts.restarted_too_often(look) for look in looks] == [[]] * 9


def test_what_an_interrupted_run_leaves_behind_is_said_before_it_can_happen() -> None:
    assert progress.guarded("auth1", 120).endswith("the server brings itself back after 120 s; or run it again at once")
