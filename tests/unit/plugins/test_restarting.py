# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the playbook restart restarts, and what it leaves alone."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import plan, restarting
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.decided import Plan, Wanted
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.declared import Declared

from tests.unit.plugins.planning import INFO, WANTED, declare, on_disk, process

WORKER = "/venv/bin/celery -A myauth worker -n worker_00@%h"
BOT = {"authbot": {"command": "/home/allianceserver/venv/auth/bin/python manage.py run_authbot"}}


@pytest.fixture
def info() -> dict[str, Any]:
    found = copy.deepcopy(INFO)
    found["orphans"] = []
    found["daemon"]["processes"].append(process("myauth", "authbot", "other"))
    found["effective"]["groups"].append({"name": "myauth", "processes": [on_disk("worker_00", WORKER)]})
    return found


def decide(defaults: dict[str, Any], info: dict[str, Any], only: str = "", **changes: Any) -> Plan:
    return plan.restart(declare(defaults, auth_extra_programs=BOT, **changes), info, WANTED, only)


def stopped(decided: Plan) -> list[str]:
    return [name for names in (*decided.drain.stages, decided.drain.site) for name in names]


def test_all_of_ours_is_restarted_in_the_stages_of_a_drain_and_no_neighbour(
    defaults: dict[str, Any], info: dict[str, Any]
) -> None:
    decided = decide(defaults, info)
    assert stopped(decided) == [
        "memmon_worker_00:memmon_worker_00",
        "myauth:beat",
        "myauth:worker_00",
        "myauth:authbot",
        "myauth:gunicorn",
    ]
    assert set(decided.expected.processes) == set(stopped(decided))
    assert decided.expected.site == "127.0.0.1:8000"
    assert list(decided.handover) == ["myauth:worker_00"]
    # Ten tasks at once, and three gunicorn workers.
    assert decided.connections == 13
    assert set(decided.expected.nodes) == set(decided.code.nodes) == {"worker_00@auth1"}
    assert decided.code.gunicorn == "myauth:gunicorn"
    assert decided.code.staying == decided.code.queueing == ()


@pytest.mark.parametrize(
    ("only", "names"),
    [
        # memmon would start it again, and watches nothing meanwhile.
        ("worker", ["memmon_worker_00:memmon_worker_00", "myauth:worker_00"]),
        ("beat", ["myauth:beat"]),
        ("gunicorn", ["myauth:gunicorn"]),
        ("authbot", ["myauth:authbot"]),
    ],
)
def test_one_program_alone_is_restarted_with_the_listener_that_watches_it(
    defaults: dict[str, Any], info: dict[str, Any], only: str, names: list[str]
) -> None:
    decided = decide(defaults, info, only)
    assert stopped(decided) == names
    assert sorted(decided.expected.processes) == names
    assert bool(decided.expected.site) == (only == "gunicorn")
    assert bool(decided.handover) == bool(decided.code.nodes) == (only == "worker")
    assert decided.connections == {"worker": 10, "gunicorn": 3}.get(only, 0)
    # Both may queue tasks that the other code does not have.
    assert decided.code.staying == (() if only == "worker" else ("worker_00@auth1",))
    queueing = {"myauth:beat", "myauth:gunicorn"} - {f"myauth:{only}"}
    if only == "authbot":
        # It may be of any language, and then queues nothing that a worker of before lacks.
        bot = {"authbot": {"command": "/usr/bin/node bot.js"}}
        foreign = plan.restart(declare(defaults, auth_extra_programs=bot), info, WANTED, only)
        assert foreign.code.staying == foreign.code.queueing == ()
    assert set(decided.code.queueing) == queueing
    # One whose file was changed since is asked by the role's name for it.
    info["daemon"]["drift"]["changed"] = ["myauth"]
    assert decide(defaults, info, only).code.staying == decided.code.staying


def test_an_orphan_stops_with_its_kind(defaults: dict[str, Any], info: dict[str, Any]) -> None:
    info["orphans"] = copy.deepcopy(INFO["orphans"])
    assert "pid:5@77" in stopped(decide(defaults, info, "worker"))
    assert "pid:5@77" not in stopped(decide(defaults, info, "beat"))


def test_what_somebody_has_stopped_stays_so_and_what_has_failed_gets_its_chance(
    defaults: dict[str, Any], info: dict[str, Any]
) -> None:
    gunicorn, beat = info["daemon"]["processes"][0], info["daemon"]["processes"][-2]
    assert (gunicorn["name"], beat["name"]) == ("gunicorn", "beat")
    gunicorn.update(pid=0, state="FATAL")
    beat.update(pid=0, state="STOPPED")
    expected = decide(defaults, info).expected.processes
    assert "myauth:gunicorn" in expected
    assert "myauth:beat" not in expected


def test_what_differs_on_disk_stays_there_and_is_said(defaults: dict[str, Any], info: dict[str, Any]) -> None:
    info["daemon"]["drift"]["changed"] = ["myauth"]
    decided = decide(defaults, info)
    assert decided.unread == ()
    # It would be as the disk has it.
    assert decided.handover == {}
    assert decided.expected.nodes == {}
    (said,) = decided.warnings
    assert said.startswith("myauth is changed on disk")
    assert "the playbook apply" in said


def test_what_comes_into_service_is_said_by_each_run_that_restarts(
    defaults: dict[str, Any], info: dict[str, Any]
) -> None:
    info["code"]["packages"] = [{"name": "allianceauth", "version": "5.4.0", "time": 1500.0}]
    words = "with this restart comes into service what is newer than"
    (said,) = decide(defaults, info).warnings
    assert said.startswith(words)
    assert "allianceauth 5.4.0" in said
    assert "collectstatic" in said
    assert "collectstatic" not in decide(defaults, info, "worker").warnings[0]
    # A number that is changed brings it into service as well.
    other = Wanted("[program:beat]", "another", "gunicorn's sum", "2.0.0", ())
    applied = plan.apply(declare(defaults), info, other, ("install", "configure", "restart", "verify"))
    assert [said for said in applied.warnings if said.startswith(words)]
    assert applied.code.asked
    # With nothing else to do it stays as it is, and the report says so.
    idle = plan.apply(declare(defaults), info, WANTED, ("install", "configure", "restart", "verify"))
    assert not idle.code.asked
    assert "allianceauth 5.4.0" in idle.outdated


def test_workers_of_alliance_auths_own_file_are_asked_for_their_tasks(
    defaults: dict[str, Any], info: dict[str, Any]
) -> None:
    info["code"]["packages"] = [{"name": "allianceauth", "version": "5.4.0", "time": 1500.0}]
    info["effective"]["groups"][-1]["processes"] = [on_disk("worker_00", WORKER.replace("@%h", ""))]
    other = Wanted("[program:beat]", "another", "gunicorn's sum", "2.0.0", ())
    steps = ("install", "configure", "restart", "verify")
    applied = plan.apply(declare(defaults), info, other, steps)
    assert applied.code.nodes == ("celery@worker_00",)
    assert applied.handover
    # One that nobody can ask may have other tasks than the new code.
    info["orphans"] = INFO["orphans"]
    alone = plan.apply(declare(defaults), info, other, steps)
    assert alone.handover == {}
    assert any("nobody takes tasks while the workers restart" in said for said in alone.warnings)


def test_the_site_is_awaited_where_what_is_loaded_answers(defaults: dict[str, Any], info: dict[str, Any]) -> None:
    info["effective"]["groups"][-1]["processes"].append(on_disk("gunicorn", "/venv/bin/gunicorn --bind 127.0.0.1:8000"))
    changed = declare(defaults, auth_gunicorn_bind="127.0.0.1:8001")
    assert plan.restart(changed, info, WANTED, "").expected.site == "127.0.0.1:8000"
    assert plan.drain(changed, info, WANTED).expected.site == "127.0.0.1:8000"

    info["daemon"]["drift"]["changed"] = ["myauth"]
    assert plan.restart(changed, info, WANTED, "").expected.site == ""


def test_what_is_not_restarted_needs_no_memory_again(defaults: dict[str, Any], info: dict[str, Any]) -> None:
    whole, site = decide(defaults, info).drain, decide(defaults, info, "gunicorn").drain
    assert whole.site_memory == site.site_memory > 0
    assert whole.other_memory > site.other_memory == 0


@pytest.mark.parametrize(
    ("change", "only", "words"),
    [
        ({"tuned": False}, "", "run the playbook apply first"),
        ({"guard": {"pending": True, "said": ""}}, "", "run the playbook apply, which goes on from there"),
        ({}, "workr", "auth_restart_only is 'workr': it has to be one of worker, beat, gunicorn, authbot, or empty"),
    ],
)
def test_it_is_refused_with_the_way_out(
    defaults: dict[str, Any], info: dict[str, Any], change: dict[str, Any], only: str, words: str
) -> None:
    declared: Declared = declare(defaults, auth_extra_programs=BOT)
    assert restarting.refusals(declared, info, "", "auth1") == []
    (said,) = restarting.refusals(declared, {**info, **change}, only, "auth1")
    assert said.startswith("auth1: ")
    assert words in said


def test_a_server_after_a_drain_is_sent_to_the_playbook_start(defaults: dict[str, Any], info: dict[str, Any]) -> None:
    for found in info["daemon"]["processes"]:
        found.update(pid=0, state="STOPPED")
    (said,) = restarting.refusals(declare(defaults), info, "", "auth1")
    assert "the playbook start" in said


def test_a_start_after_a_drain_looks_at_what_was_installed_meanwhile(defaults: dict[str, Any]) -> None:
    info = copy.deepcopy(INFO)
    declared = declare(defaults)
    info["code"]["kept"] = {"versions": {"allianceauth": "5.5.0"}, "time": info["now"] - 100, "broker": {}}
    info["code"]["packages"] = [{"name": "allianceauth", "version": "5.4.0", "time": info["now"] - 50}]
    # All runs: nothing comes into service.
    assert not plan.start(declared, info, WANTED).code.asked
    assert not plan.start(declared, info, WANTED).code.noted
    # Of what ran on nobody knows what code it has.
    info["daemon"]["processes"][0]["pid"] = 0
    assert not plan.start(declared, info, WANTED).code.noted
    for running in info["daemon"]["processes"]:
        running["pid"] = 0
    found = plan.start(declared, info, WANTED)
    assert found.code.asked
    assert found.code.gunicorn == "myauth:gunicorn"
    assert found.code.nodes == ()
    assert found.stopped == found.expected.processes
    assert found.code.noted
    # One that did not work before keeps nothing from being noted.
    info["daemon"]["processes"][0]["state"] = "FATAL"
    assert plan.start(declared, info, WANTED).code.noted
    assert (
        "with this start comes into service what has changed since the last restart: allianceauth 5.5.0 -> 5.4.0. The "
        "site's static files are your own step (manage.py collectstatic)."
    ) in found.warnings
    info["code"]["packages"] = []
    assert not plan.start(declared, info, WANTED).code.asked


@pytest.mark.parametrize(("checksum", "action"), [("sum", "start"), ("another", "restart")])
def test_an_apply_after_a_drain_looks_at_what_was_installed_meanwhile(
    defaults: dict[str, Any], checksum: str, action: str
) -> None:
    info = copy.deepcopy(INFO)
    info["code"]["kept"] = {"versions": {"allianceauth": "5.5.0"}, "time": info["now"] - 100, "broker": {}}
    info["code"]["packages"] = [{"name": "allianceauth", "version": "5.4.0", "time": info["now"] - 50}]
    info["orphans"] = []
    for found in info["daemon"]["processes"]:
        found["pid"] = 0
    wanted = replace(WANTED, checksum=checksum)
    steps = ("install", "configure", "restart", "verify")
    decided = plan.apply(declare(defaults), info, wanted, steps)
    assert action in decided.actions
    assert decided.code.asked
    assert decided.code.gunicorn == "myauth:gunicorn"
    assert any("allianceauth 5.5.0 -> 5.4.0" in said for said in decided.warnings)
    # After a reboot the programs are younger, and still nobody has looked at it.
    booted = copy.deepcopy(INFO)
    booted["code"] = info["code"]
    decided = plan.apply(declare(defaults), booted, replace(WANTED, checksum="another"), steps)
    assert decided.code.asked
    info["code"]["packages"] = []
    assert not plan.apply(declare(defaults), info, wanted, steps).code.asked
