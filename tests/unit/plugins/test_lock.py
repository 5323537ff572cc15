# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that is dead holds no lock, and one that is alive does."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from ansible_collections.allianceauth.tuning.plugins.action import auth_lock as action
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.program import RUN_SECONDS
from ansible_collections.allianceauth.tuning.plugins.modules import auth_lock

HELD = {"owner": "first", "project": "myauth", "until": 100.0}


def given(owner: str, state: str = "present", dead: str = "", looked_at: float = 0) -> dict[str, Any]:
    return {"name": "myauth", "owner": owner, "state": state, "dead": dead, "looked_at": looked_at, "longest": 0}


def test_a_free_lock_is_taken_for_its_lease() -> None:
    assert auth_lock.decide({}, given("first"), 10) == (
        "",
        {"owner": "first", "project": "myauth", "until": 10 + RUN_SECONDS},
    )


def test_a_lease_outlasts_the_longest_wait_there_and_back() -> None:
    _nobody, held = auth_lock.decide({}, {**given("first"), "longest": 7200}, 10)
    # A worker may take so long until it has finished what it ran, and as long again once it was told to stop.
    assert held["until"] > 10 + 4 * 7200


def test_a_lock_that_another_holds_is_not_taken_nor_given_back() -> None:
    assert auth_lock.decide(HELD, given("second"), 10) == ("first", HELD)
    assert auth_lock.decide(HELD, given("second", "absent"), 10) == ("", HELD)


def test_its_owner_gets_it_again_and_gives_it_back() -> None:
    assert auth_lock.decide(HELD, given("first"), 10)[0] == ""
    assert auth_lock.decide(HELD, given("first", "absent"), 10) == ("", {"released": 10})


def test_a_dead_owner_or_one_whose_lease_is_over_holds_nothing() -> None:
    assert auth_lock.decide(HELD, given("second", dead="first"), 10)[0] == ""
    assert auth_lock.decide(HELD, given("second"), 101)[0] == ""


def test_who_looked_before_another_run_ended_has_seen_what_is_no_longer_so() -> None:
    assert auth_lock.decide({"released": 20.0}, given("second", looked_at=19), 30)[0] == "a run that has ended since"
    assert auth_lock.decide({"released": 20.0}, given("second", looked_at=21), 30)[0] == ""


def test_another_project_of_the_same_supervisord_waits_for_its_turn() -> None:
    other = {**given("second"), "name": "other"}
    assert auth_lock.decide(HELD, other, 10) == ("first", HELD)
    # Two hosts of one inventory that are one server.
    same = {**given("first"), "name": "other"}
    by, held = auth_lock.decide(HELD, same, 10)
    assert (by.partition(";")[0], held) == ("this very run, on the project myauth", HELD)
    assert not action.is_dead(by)
    assert auth_lock.decide(HELD, {**same, "state": "absent"}, 10) == ("", HELD)
    # What that run has left is still to be brought back, all that supervisord ran.
    by, held = auth_lock.decide(HELD, {**other, "dead": "first"}, 10, ["myauth"])
    assert (by, held) == ("the guard of a run for the project myauth, which was cut off", HELD)
    assert auth_lock.decide(HELD, {**other, "dead": "first"}, 10)[0] == ""


def test_a_process_of_this_controller_is_known_to_be_dead_or_alive() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    name = action.name_of(child.pid)
    assert not action.is_dead(name)
    # Another process of the same number, started at another time.
    assert action.is_dead(name.replace(" on ", "0 on "))
    child.communicate(b"\n")
    assert action.is_dead(name)


def test_of_a_process_of_another_controller_nothing_is_known() -> None:
    assert not action.is_dead(f"somebody@elsewhere, process {os.getpid()} started at 1 on {action.machine()}")
    assert not action.is_dead("a run that has ended since")


def test_another_machine_or_container_of_the_same_name_is_another_controller(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = "0123456789ab/11111111/4026531836"
    monkeypatch.setattr(action, "machine", lambda: machine)
    # No process has that number here.
    name = action.name_of(2**30)
    assert action.is_dead(name)
    assert not action.is_dead(name.replace("0123456789ab", "ba9876543210"))
    assert not action.is_dead(name.replace("4026531836", "4026532000"))
    # Before it was booted; without a machine-id nobody knows.
    assert action.is_dead(name.replace("11111111", "22222222").replace("4026531836", "4026532000"))
    monkeypatch.setattr(action, "machine", lambda: "/11111111/4026531836")
    assert not action.is_dead(action.name_of(2**30).replace("11111111", "22222222"))
