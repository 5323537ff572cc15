# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which steps a run takes, with their reasons, and how it goes back."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import options
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import (
    plan,
    variables,
)
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.decided import Plan

from tests.unit.plugins.planning import INFO, STEPS, WANTED, decide, declare, on_disk, process


@pytest.fixture
def info() -> dict[str, Any]:
    return copy.deepcopy(INFO)


def test_each_step_has_its_reasons(defaults: dict[str, Any], info: dict[str, Any]) -> None:
    info["orphans"] = []
    conf = info["supervisor_conf"]
    reasons: list[tuple[dict[str, Any], dict[str, Any], list[str]]] = [
        (info["venv"]["versions"], {"superlance": "1.0.0"}, ["install", "start"]),
        (info["gunicorn_conf"], {"checksum": "another"}, ["configure"]),
        (conf, {"mode": 0o644}, ["configure"]),
        (conf, {"uid": 1000}, ["configure"]),
        (info["link"], {"target": "/elsewhere"}, ["configure"]),
        (conf, {"checksum": "another"}, ["configure", "restart", "verify"]),
        (conf, {"kind": "link"}, ["configure"]),
        (info, {"invalid": "the parser's sentence"}, ["configure"]),
        # Its links are gone, or the folder into which supervisord writes on.
        (info, {"log_links": {}}, ["link_logs"]),
        (info, {"log_dir_exists": False}, ["configure", "restart", "verify"]),
        (info["guard"], {"pending": True}, ["start", "verify"]),
    ]
    for where, change, steps in reasons:
        before = dict(where)
        where.update(change)
        actions = decide(defaults, info).actions
        assert list(actions) == steps, change
        assert all(actions.values())
        where.clear()
        where.update(before)


def test_a_step_that_the_tags_leave_out_is_not_decided(defaults: dict[str, Any], info: dict[str, Any]) -> None:
    info["orphans"] = []
    info["supervisor_conf"]["checksum"] = "another"
    assert list(decide(defaults, info, ("configure",)).actions) == ["configure"]
    # Nothing would be new for supervisord.
    assert decide(defaults, info, ("restart", "verify")).actions == {}
    assert decide(defaults, info, ("restart", "verify")).left_out == ("configure",)
    # Whoever asks for nothing but this gets it.
    assert list(decide(defaults, info, ("verify",)).actions) == ["verify"]
    info["daemon"]["drift"]["changed"] = ["myauth"]
    assert list(decide(defaults, info, ("restart",)).actions) == ["restart"]


def test_what_a_run_that_was_cut_off_has_left_no_tag_leaves_out(defaults: dict[str, Any], info: dict[str, Any]) -> None:
    info["orphans"] = []
    info["serving"] = ["allianceauth-tuning-myauth-worker-worker_00-1.service"]
    left = "a worker that an earlier run left to take tasks is still there"
    info["supervisor_conf"]["checksum"] = "another"
    assert any(left in said for said in decide(defaults, info, ("configure",)).warnings)
    info["guard"]["pending"] = True
    # The steps of the tag verify alone too: they would not see that a worker takes no tasks.
    for steps in (("configure",), ("verify",)):
        assert decide(defaults, info, steps).refused.startswith("a run before was cut off, its guard has not acted yet")
    for told in (STEPS, ("restart", "verify")):
        decided = decide(defaults, info, told)
        assert decided.refused == ""
        # This run ends it.
        assert not [said for said in decided.warnings if left in said]
    info["supervisor_conf"]["checksum"] = "sum"
    assert not [said for said in decide(defaults, info).warnings if left in said]
    # Where nothing is done, the guard goes on to wait.
    assert decide(defaults, info, ("install",)).refused == ""


def test_of_a_file_that_is_replaced_the_socket_is_no_news(defaults: dict[str, Any], info: dict[str, Any]) -> None:
    info["orphans"] = []
    info["daemon"]["sockets"][0]["mode"] = 0o700
    assert len(decide(defaults, info).found) == 1
    info["supervisor_conf"]["checksum"] = "another"
    assert decide(defaults, info).found == ()


def test_what_ran_before_a_failed_run_runs_again_but_for_what_had_failed(
    defaults: dict[str, Any], info: dict[str, Any]
) -> None:
    before = copy.deepcopy(info)
    bot, beat = before["daemon"]["processes"][1], before["daemon"]["processes"][4]
    beat.update(state="FATAL", pid=0)
    for one in info["daemon"]["processes"]:
        one.update(state="STOPPED", pid=0)
    decided = plan.revert(declare(defaults), info, WANTED, before, file_is_back=True)
    assert set(decided.expected.processes) == {
        "myauth:worker_00",
        "myauth:gunicorn",
        "memmon_worker_00:memmon_worker_00",
        "bots:bot",
    }
    # What has failed by now did not fail before.
    info["daemon"]["processes"][2].update(state="FATAL")
    assert plan.revert(declare(defaults), info, WANTED, before, file_is_back=True).warnings == ()
    # The orphan works on, and may be what was waited for in vain.
    assert "pid:5@77" not in decided.drain.workers
    assert decided.actions == {}
    bot["pid"] = 0
    assert "bots:bot" not in plan.revert(declare(defaults), info, WANTED, before, file_is_back=True).expected.processes
    info["daemon"]["drift"]["changed"] = ["myauth"]
    assert "restart" in plan.revert(declare(defaults), info, WANTED, before, file_is_back=True).actions


def test_what_did_not_work_before_is_named_and_nobody_is_asked_for_it(
    defaults: dict[str, Any], info: dict[str, Any]
) -> None:
    processes = {one["namespec"]: one for one in info["daemon"]["processes"]}
    processes["myauth:worker_00"].update(state="FATAL", pid=0, spawnerr="Exited too quickly")
    processes["myauth:gunicorn"].update(state="BACKOFF", pid=0)
    processes["bots:bot"].update(deaths=3)
    decided = decide(defaults, info)
    assert set(decided.tolerated) == {"myauth:worker_00", "myauth:gunicorn", "bots:bot"}
    assert decided.expected.site == ""
    assert decided.expected.nodes == {}
    # They are started all the same: perhaps the cause is gone.
    assert {"myauth:worker_00", "myauth:gunicorn"} <= set(decided.expected.processes)
    told = [said for said in decided.warnings if "before this run" in said]
    ours = "before this run, which starts it and does not fail if it ends again."
    assert told == [
        f"myauth:gunicorn was BACKOFF {ours}",
        "bots:bot died 3 times in the last ten minutes before this run, which leaves it as it is.",
        f"myauth:worker_00 was FATAL (Exited too quickly) {ours}",
    ]
    left = plan.problems_left(declare(defaults), info, WANTED, STEPS, info)
    assert not [said for said in left if "does not run" in said]
    assert "myauth:worker_00 does not run" in plan.problems_left(declare(defaults), info, WANTED, STEPS, INFO)


def test_what_the_new_file_does_not_have_is_no_news(defaults: dict[str, Any], info: dict[str, Any]) -> None:
    info["expected"].append("memmon:memmon")
    info["daemon"]["processes"].append(process("memmon", "memmon", "other", state="FATAL", pid=0))
    assert not [said for said in decide(defaults, info).warnings if "before this run" in said]


def test_where_the_previous_file_is_not_back_what_supervisord_knows_runs_again(
    defaults: dict[str, Any], info: dict[str, Any]
) -> None:
    before = copy.deepcopy(info)
    before["daemon"]["processes"][4]["pid"] = 0
    info["daemon"]["drift"]["changed"] = ["myauth"]
    decided = plan.revert(declare(defaults), info, WANTED, before, file_is_back=False)
    assert decided.actions == {}
    assert sorted(decided.expected.processes) == [
        "bots:bot",
        "memmon_worker_00:memmon_worker_00",
        "myauth:gunicorn",
        "myauth:worker_00",
    ]
    # Without a supervisord there is nothing else than the disk.
    info["daemon"] = {"problem": "supervisord does not answer", "processes": [], "drift": {}}
    assert "restart" in plan.revert(declare(defaults), info, WANTED, before, file_is_back=False).actions


def test_a_rollback_restarts_for_what_differs_from_the_disk(defaults: dict[str, Any], info: dict[str, Any]) -> None:
    info["orphans"] = []
    declared = declare(defaults)
    assert plan.rollback(declared, info, WANTED, replaced=False, before=info).actions == {}
    # In check mode nothing on the disk has changed.
    assert list(plan.rollback(declared, info, WANTED, replaced=True, before=info).actions) == ["restart"]
    # Before the file is put there, what it takes to restart with it has to be known.
    assert list(plan.rollback(declared, info, WANTED, replaced=False, before={}).actions) == ["restart"]
    info["daemon"]["drift"]["changed"] = ["myauth"]
    assert list(plan.rollback(declared, info, WANTED, replaced=False, before=info).actions) == ["restart"]


def test_a_restart_of_supervisord_names_the_site_and_workers_of_others_that_it_stops(
    defaults: dict[str, Any], info: dict[str, Any]
) -> None:
    info["orphans"] = []
    # A bot is no site, and what does not run does not stop.
    info["daemon"]["processes"] += [
        process("second", "gunicorn_second", "gunicorn"),
        process("second", "worker_second_00", "worker"),
        process("third", "worker_third_00", "worker", state="STOPPED", pid=0),
        process("fourth", "worker_fourth_00", "worker"),
        # In a group of its own, and in our file.
        process("worker_of_ours", "worker_of_ours", "worker"),
    ]
    info["own_groups"].append("worker_of_ours")

    def said(decided: Plan) -> list[str]:
        return [warning for warning in decided.warnings if "this run restarts supervisord" in warning]

    declared = declare(defaults)
    assert said(decide(defaults, info)) == []
    assert said(plan.rollback(declared, info, WANTED, replaced=False, before=info)) == []
    # These leave supervisord running.
    assert said(plan.restart(declared, info, WANTED, "")) == said(plan.drain(declared, info, WANTED)) == []
    info["daemon"]["drift"]["changed"] = ["myauth"]
    sentence = (
        "this run restarts supervisord, with which stop and start as well the site of second and the workers of second "
        "and the workers of fourth, and no others serve for them meanwhile: have the run at a time at which they may "
        "be away."
    )
    to_come = plan.rollback(declared, info, WANTED, replaced=False, before={})
    assert said(decide(defaults, info)) == said(to_come) == [sentence]
    # It is said before the file is put there.
    assert said(plan.rollback(declared, info, WANTED, replaced=False, before=info)) == []
    assert said(plan.revert(declared, info, WANTED, INFO, file_is_back=True)) == []
    # Not where the tags leave the restart out.
    assert said(decide(defaults, info, ("configure",))) == []


def test_workers_that_nobody_starts_again_once_they_have_finished_are_named(
    defaults: dict[str, Any], info: dict[str, Any]
) -> None:
    def said(decided: Plan) -> list[str]:
        return [warning for warning in decided.warnings if "autorestart is not true there: " in warning]

    worker = {**on_disk("worker_00", "/venv/bin/celery"), "restarts": False}
    info["effective"]["groups"] = [{"name": "myauth", "processes": [worker]}]
    info["daemon"]["drift"]["changed"] = ["myauth"]
    (sentence,) = said(decide(defaults, info))
    assert sentence.endswith(": sudo supervisorctl start myauth:worker_00")
    # Nothing stops.
    assert said(decide(defaults, info, ("configure",))) == []
    worker["restarts"] = True
    assert said(decide(defaults, info)) == []


def test_the_table_of_variables_is_that_of_the_role(role_defaults: dict[str, Any]) -> None:
    role = Path(__file__).parents[3] / "roles/auth"
    specs = yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]
    assert sorted(variables.NAMES) == sorted(role_defaults)
    assert set().union(*(entry["options"] for entry in specs.values())) == set(variables.NAMES)
    # Each key of a pool as well.
    for entry in specs.values():
        pools = entry["options"].get("auth_workers", {"options": {}})["options"]
        assert not pools or set(pools) == {"name", "enabled", "queues", *options.POOL_KEYS}
