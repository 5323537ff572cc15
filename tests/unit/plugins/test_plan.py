# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is decided from what is asked for and what is there."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import (
    plan,
    refusals,
    sections,
)

from tests.unit.plugins.planning import GIGABYTE, INFO, STEPS, WANTED, decide, declare, on_disk, process


@pytest.fixture
def info() -> dict[str, Any]:
    return copy.deepcopy(INFO)


def test_beat_and_listeners_stop_first_then_all_workers_and_the_site_last(
    defaults: dict[str, Any], info: dict[str, Any]
) -> None:
    decided = decide(defaults, info)
    assert decided.drain.stages == (
        ("memmon_worker_00:memmon_worker_00", "myauth:beat"),
        ("myauth:worker_00", "pid:5@77"),
        ("bots:bot",),
    )
    assert decided.drain.site == ("myauth:gunicorn",)
    assert decided.drain.workers == ("myauth:worker_00", "pid:5@77")
    assert decided.drain.beat == ("myauth:beat",)


def test_a_drain_for_maintenance_leaves_the_programs_of_others_alone(
    defaults: dict[str, Any], info: dict[str, Any]
) -> None:
    drained = plan.drain(declare(defaults), info, WANTED).drain
    assert [name for names in (*drained.stages, drained.site) for name in names] == [
        "memmon_worker_00:memmon_worker_00",
        "myauth:beat",
        "myauth:worker_00",
        "pid:5@77",
        "myauth:gunicorn",
    ]


def test_each_process_has_its_own_seconds_and_an_orphan_the_longest_of_the_workers(
    defaults: dict[str, Any], info: dict[str, Any]
) -> None:
    pools = [{"name": "big", "queues": ["big"], "stopwaitsecs": 900}]
    seconds = decide(defaults, info, auth_workers=pools).drain.stopwaitsecs
    expected = {
        "bots:bot": 33,
        "myauth:worker_00": 600,
        "myauth:big_00": 900,
        "pid:5@77": 900,
        "myauth:gunicorn": 40,
    }
    assert {name: seconds[name] for name in expected} == expected


def test_a_server_as_it_shall_be_has_no_drift_and_nothing_stopped(
    defaults: dict[str, Any], info: dict[str, Any]
) -> None:
    info["orphans"] = []
    decided = decide(defaults, info)
    assert (decided.found, decided.stopped, decided.actions) == ((), (), {})
    assert plan.problems_left(declare(defaults), info, WANTED, STEPS, INFO) == []


def test_what_is_only_just_coming_up_is_neither_stopped_nor_running(
    defaults: dict[str, Any], info: dict[str, Any]
) -> None:
    info["orphans"] = []
    for one in info["daemon"]["processes"]:
        # Also the bot, which is nobody's business here.
        one["state"] = "RUNNING" if one["name"] == "beat" else "STARTING"
    decided = decide(defaults, info)
    assert decided.stopped == ()
    starting = ["myauth:worker_00", "myauth:gunicorn", "memmon_worker_00:memmon_worker_00"]
    assert decided.actions["start"] == [f"{name} does not run" for name in starting]
    assert decided.actions["verify"] == [f"{name} did not run" for name in starting]


def test_drift_is_seen_though_no_file_changes(defaults: dict[str, Any], info: dict[str, Any]) -> None:
    info["daemon"]["drift"].update(changed=["myauth", "bots"], removed=["memmon"])
    info["daemon"]["sockets"][0]["mode"] = 0o700
    decided = decide(defaults, info)
    assert list(decided.actions) == ["restart", "verify"]
    assert decided.actions["restart"] == list(decided.found)
    assert list(decided.found) == [
        "celery worker (process 5) runs on from an earlier supervisord",
        "myauth is changed on disk since supervisord read its configuration",
        "memmon is removed on disk since supervisord read its configuration",
        "the socket /run/supervisor.sock does not admit the group allianceserver",
    ]


def test_a_neighbour_of_the_same_name_is_seen_though_nothing_of_ours_changes(
    defaults: dict[str, Any], info: dict[str, Any]
) -> None:
    groups = info["effective"]["groups"]
    groups.append({"name": "myauth", "processes": [on_disk("worker_00", "x")]})
    assert "refuse" not in decide(defaults, info).actions
    groups[0]["processes"].append(on_disk("worker_00", "x"))
    (sentence,) = decide(defaults, info).actions["refuse"]
    assert "exists in the groups bots and myauth" in sentence


def test_a_daemon_that_does_not_answer_is_drift(defaults: dict[str, Any], info: dict[str, Any]) -> None:
    info["daemon"] = {"problem": "supervisord does not answer", "processes": [], "drift": {}}
    decided = decide(defaults, info)
    assert decided.found[0] == "supervisord does not answer"
    assert set(decided.stopped) == set(decided.expected.processes)


def test_what_runs_otherwise_than_decided_is_told(defaults: dict[str, Any], info: dict[str, Any]) -> None:
    info["orphans"] = []
    beat, watcher = info["daemon"]["processes"][4], info["daemon"]["processes"][3]
    beat["pid"] = 0
    watcher["limits"] = {"worker": 256 * 1024**2}
    info["daemon"]["drift"]["changed"] = ["myauth", "bots"]
    # Another one's memmon, which watches what it likes.
    info["daemon"]["processes"].append(process("memmon", "memmon", "listener", limits={"gone": GIGABYTE}))
    assert plan.problems_left(declare(defaults), info, WANTED, STEPS, INFO) == [
        "myauth:beat does not run",
        "memmon watches worker, which does not exist",
        "memmon has the limit none for worker_00 and not 512MB",
        "no memmon watches the worker worker_00",
        "myauth is changed on disk since supervisord read its configuration",
    ]


LACKING: list[tuple[dict[str, Any], str]] = [
    ({"unit": False}, "systemd has no unit supervisor here"),
    ({"user": None}, "there is no user allianceserver; set auth_user"),
    ({"project_exists": False}, "/home/allianceserver/myauth has no manage.py; set auth_project_dir"),
    ({"venv": {"exists": False}}, "/home/allianceserver/venv/auth is no virtual environment; set auth_venv"),
    (
        {"venv": {"exists": True, "programs": ["gunicorn", "python"], "versions": {}}},
        "/home/allianceserver/venv/auth/bin/celery is missing or cannot be executed",
    ),
]


@pytest.mark.parametrize(("lack", "sentence"), LACKING)
def test_what_the_server_lacks_is_refused_with_what_to_do(
    defaults: dict[str, Any], info: dict[str, Any], lack: dict[str, Any], sentence: str
) -> None:
    assert refusals.refusals(declare(defaults), info, "auth1") == []
    (refusal,) = refusals.refusals(declare(defaults), {**info, **lack}, "auth1")
    assert refusal.startswith("auth1: ")
    assert sentence in refusal


def test_a_supervisord_that_systemd_did_not_start_is_refused(defaults: dict[str, Any], info: dict[str, Any]) -> None:
    info["daemon"]["of_systemd"] = False
    (refusal,) = refusals.refusals(declare(defaults), info, "auth1")
    assert "supervisord (process 1) was not started by systemd" in refusal


def test_a_pool_without_its_package_is_refused(defaults: dict[str, Any], info: dict[str, Any]) -> None:
    (refusal,) = refusals.refusals(declare(defaults, auth_worker_pool="gevent"), info, "auth1")
    assert "the pool gevent needs the package gevent" in refusal


def test_a_limit_below_what_the_tree_needs_at_rest_is_refused(defaults: dict[str, Any], info: dict[str, Any]) -> None:
    info["daemon"]["processes"][0]["children"] = [2 * 10**8, 10**8]
    (refusal,) = refusals.refusals(declare(defaults, auth_gunicorn_memory_limit="300MB"), info, "auth1")
    # 100 MB for the master and as much for each of three children, of which the lightest is taken.
    assert f"needs {4 * 10**8 // 1024**2} MB at rest" in refusal
    assert refusals.refusals(declare(defaults, auth_gunicorn_memory_limit="400MB"), info, "auth1") == []


@pytest.mark.parametrize("runs", [True, False])
def test_a_limit_for_a_tree_that_has_not_run_yet_is_compared_with_what_is_like_it(
    defaults: dict[str, Any], info: dict[str, Any], runs: bool
) -> None:
    pools = [{"name": "worker_fork", "queues": ["fork"], "pool": "prefork", "concurrency": 8}]
    if not runs:
        info["daemon"]["processes"] = []
    (refusal,) = refusals.refusals(declare(defaults, auth_workers=pools), info, "auth1")
    weight = 10**8 if runs else 80 * 1024**2
    assert "the memory_limit of worker_fork (auth_worker_memory_limit, or its own in auth_workers) is 512MB" in refusal
    assert "but with 8 children" in refusal
    assert f"needs {9 * weight // 1024**2} MB at rest" in refusal
    enough = [{**pools[0], "memory_limit": "1500MB"}]
    assert refusals.refusals(declare(defaults, auth_workers=enough), info, "auth1") == []


def test_what_others_can_change_of_what_root_loads_is_warned_of(defaults: dict[str, Any], info: dict[str, Any]) -> None:
    info["exposed"] = {"/etc/supervisor/conf.d/bot.conf": "bot", "/home/allianceserver/myauth/log": "allianceserver"}
    (warning,) = decide(defaults, info).warnings
    assert "loads or writes /etc/supervisor/conf.d/bot.conf, which bot can change" in warning


def test_an_argument_that_has_no_effect_with_the_pool_is_warned_of(
    defaults: dict[str, Any], info: dict[str, Any]
) -> None:
    limit = ["--max-memory-per-child", "262144"]
    said = " ".join(decide(defaults, info, auth_worker_options=limit).warnings)
    assert "worker has the argument --max-memory-per-child, which has no effect with the pool threads" in said
    prefork = " ".join(decide(defaults, info, auth_worker_options=limit, auth_worker_pool="prefork").warnings)
    assert "has no effect with the pool" not in prefork


def test_every_process_of_a_pool_is_a_node_with_the_hosts_name(defaults: dict[str, Any], info: dict[str, Any]) -> None:
    nodes = decide(defaults, info, auth_worker_numprocs=2, auth_worker_pool="solo").expected.nodes
    assert set(nodes) == {"worker_00@auth1", "worker_01@auth1"}
    # solo has one slot, whatever it is told.
    assert {node["max-concurrency"] for node in nodes.values()} == {1}


def test_a_pool_that_scales_by_itself_has_no_concurrency_to_show(
    defaults: dict[str, Any], info: dict[str, Any]
) -> None:
    decided = decide(defaults, info, auth_worker_pool="prefork", auth_worker_options=["--autoscale=10,3"])
    assert "max-concurrency" not in decided.expected.nodes["worker_00@auth1"]


@pytest.mark.parametrize("option", ["autostart", "autorestart"])
def test_nobody_waits_for_what_does_not_run_all_the_time(
    defaults: dict[str, Any], info: dict[str, Any], option: str
) -> None:
    asked: dict[str, Any] = {
        "auth_extra_programs": {"bot": {"command": "/bin/true", option: False}},
        "auth_program_settings": {"worker": {option: "no"}, "gunicorn": {option.upper(): "Off"}},
    }
    decided = decide(defaults, info, **asked)
    assert decided.expected.processes == ("myauth:beat", "memmon_worker_00:memmon_worker_00")
    assert (decided.expected.nodes, decided.expected.site) == ({}, "")
    assert [line.split()[0] for line in decided.table[1:-1]] == ["beat", "worker", "gunicorn", "bot"]


def test_our_groups_are_those_of_the_file_on_disk_too(defaults: dict[str, Any], info: dict[str, Any]) -> None:
    info["own_groups"].append("memmon_gunicorn")
    info["daemon"]["drift"].update(added=["memmon_gunicorn", "bots"], removed=["crashmail"])
    assert decide(defaults, info).unread == ("memmon_gunicorn", "crashmail")


def test_a_kept_file_says_itself_what_it_has_to_show(defaults: dict[str, Any], info: dict[str, Any]) -> None:
    worker, venv = "worker --concurrency=3", "/home/allianceserver/venv/auth/bin"
    processes = [
        on_disk("worker_00", f"{venv}/celery -A myauth {worker} -n worker_00@%h"),
        on_disk("worker_services_00", f"{venv}/celery -A myauth {worker} -n worker_services_00"),
        on_disk("beat", f"{venv}/celery -A myauth beat"),
        on_disk("gunicorn", f"{venv}/gunicorn myauth.wsgi --bind 127.0.0.1:8001"),
    ]
    info["effective"]["groups"].append({"name": "myauth", "processes": processes})
    info["expected"] = ["myauth:worker_00"]
    decided = plan.rollback(declare(defaults), info, WANTED, replaced=False, before=info)
    assert decided.expected.nodes == {"worker_00@auth1": {}, "celery@worker_services_00": {}}
    assert decided.expected.site == "127.0.0.1:8001"
    assert decided.expected.processes == ("myauth:worker_00",)
    info["orphans"] = []
    decided = plan.rollback(declare(defaults), info, WANTED, replaced=True, before={})
    assert list(decided.handover) == ["myauth:worker_00"]
    assert not decided.code.asked
    # What was installed since is looked at before anything stops, as it may have other tasks.
    info["code"] = {
        "packages": [{"name": "app", "version": "2.0", "time": info["now"]}],
        "sources": [],
        "folder": 0.0,
        "kept": {"versions": {}, "time": 0.0},
    }
    decided = plan.rollback(declare(defaults), info, WANTED, replaced=True, before={})
    assert decided.code.asked
    assert decided.code.nodes == ("worker_00@auth1",)
    # Once another file is there, the workers that run still have the nodes of the one before, and all was said.
    there = copy.deepcopy(info)
    there["effective"]["groups"][-1]["processes"] = [on_disk("worker_00", f"{venv}/celery -A myauth {worker} -n w")]
    later = plan.rollback(declare(defaults), there, WANTED, replaced=True, before=info)
    assert (later.code.nodes, later.expected.nodes) == (decided.code.nodes, {"celery@w": {}})
    assert later.warnings == ()
    assert any("with this restart comes into service what is newer than" in said for said in decided.warnings)


def test_a_kept_file_says_itself_which_pool_is_single(defaults: dict[str, Any], info: dict[str, Any]) -> None:
    pools = [{"name": "slow", "queues": ["slow"]}, {"name": "kept", "queues": ["kept"], "handover": False}]
    declared = declare(defaults, auth_worker_numprocs=4, auth_worker_concurrency=4, auth_workers=pools)
    celery = "/home/allianceserver/venv/auth/bin/celery -A myauth worker"
    info["orphans"] = []

    def handed_over(worker: str, slow: int) -> dict[str, int]:
        commands = {
            "worker_00": worker,
            **{f"slow_{number:02d}": "-c 1 -Q slow" for number in range(slow)},
            "kept_00": "-c 5 -Q kept",
            "worker_services_00": "--concurrency=5",
        }
        processes = [on_disk(name, f"{celery} {given} -n {name}@%h") for name, given in commands.items()]
        info["effective"]["groups"] = [{"name": "myauth", "processes": processes}]
        info["expected"] = [f"myauth:{name}" for name in commands]
        info["daemon"]["processes"] = [process("myauth", name, "worker") for name in commands]
        plans = [
            plan.rollback(declared, info, WANTED, replaced=True, before={}),
            plan.removed(declared, info, WANTED, replaced=True, before={}),
            plan.restart(declared, info, WANTED, ""),
        ]
        (decided,) = {tuple(sorted((name, one.concurrency) for name, one in each.handover.items())) for each in plans}
        return dict(decided)

    assert handed_over("--concurrency=1", 1) == {}
    assert handed_over("--pool=solo --concurrency=9", 2) == {"myauth:slow_00": 1}
    assert handed_over("--concurrency=7", 1) == {"myauth:worker_00": 7}


def test_gunicorn_shares_its_address_unless_the_admin_configures_it(
    defaults: dict[str, Any], info: dict[str, Any]
) -> None:
    def shares(**changes: Any) -> bool:
        section = sections.gunicorn(declare(defaults, **changes), info)
        return bool(section and section["shares"])

    assert shares()
    assert shares(auth_gunicorn_options=["--capture-output"])
    assert not shares(auth_gunicorn_standby=False)
    # It has one socket of a file, which two cannot share.
    assert not shares(auth_gunicorn_bind="unix:/run/site.sock")
    # gunicorn reads one configuration file, and this is the admin's.
    for options in (["-c", "mine.py"], ["-cmine.py"], ["--config=mine.py"], ["--reuse-port"]):
        assert not shares(auth_gunicorn_options=options)
    assert not shares(auth_environment={"GUNICORN_CMD_ARGS": "-c mine.py"})
    info["own_gunicorn_conf"] = {}
    assert not shares()


def test_httpoks_page_is_asked_for_before_unless_it_is_known_or_the_site_moves(
    defaults: dict[str, Any], info: dict[str, Any]
) -> None:
    page = "http://127.0.0.1:8000/account/login/"

    def asked(**changes: Any) -> str:
        return str(decide(defaults, info, **{"auth_httpok_url": page, **changes}).new_page)

    def run(name: str, command: str) -> None:
        group = name if name == "httpok" else "myauth"
        # Another site of the same supervisord, somewhere else.
        other = {"name": "other", "processes": [on_disk("gunicorn", "/other/gunicorn --bind 127.0.0.1:9")]}
        info["effective"]["groups"] = [other, {"name": group, "processes": [on_disk(name, command)]}]

    run("gunicorn", "/venv/bin/gunicorn myauth.wsgi\n--bind 127.0.0.1:8000")
    assert asked() == page
    assert asked(auth_httpok_url="") == ""
    assert asked(auth_gunicorn=False) == ""
    # It does not answer there yet.
    assert asked(auth_gunicorn_bind="127.0.0.1:9000") == ""
    run("httpok", f"/venv/bin/httpok\n-t 45 -p myauth:gunicorn {page}")
    assert asked() == ""
    # A part of it is another page.
    assert asked(auth_httpok_url="http://127.0.0.1:8000/") == "http://127.0.0.1:8000/"
    info["daemon"]["processes"] = []
    assert asked(auth_httpok_url="http://127.0.0.1:8000/") == ""


def test_what_runs_beside_a_second_gunicorn_is_weighed(defaults: dict[str, Any], info: dict[str, Any]) -> None:
    info["daemon"]["processes"] = [
        process("myauth", "gunicorn", "gunicorn", rss=1000, children=[1000]),
        process("myauth", "worker_00", "worker", rss=10, children=[3, 4]),
        process("myauth", "beat", "beat", rss=5),
    ]
    assert decide(defaults, info).drain.other_memory == 22


def test_the_folder_for_the_logs_is_made_once_and_the_projects_own_never(
    defaults: dict[str, Any], info: dict[str, Any]
) -> None:
    def folders(**changes: Any) -> tuple[str, str, str]:
        files = decide(defaults, info, **changes).files
        return files.project_logs, files.log_dir, files.new_log_dir

    own, guide = "/var/log/supervisor/myauth", "/home/allianceserver/myauth/log"
    assert folders() == (guide, own, "")
    assert folders(auth_log_dir=f"{guide}/") == (guide, "", "")
    info["log_dir_exists"] = False
    assert folders() == (guide, own, own)
    # supervisor's parser says that it is missing.
    assert folders(auth_log_dir=guide) == (guide, "", "")


def test_each_log_gets_a_link_unless_it_lies_elsewhere(defaults: dict[str, Any], info: dict[str, Any]) -> None:
    own = "/var/log/supervisor/myauth"
    asked: dict[str, Any] = {
        "auth_worker_numprocs": 2,
        "auth_crashmail_email": "a@example.com",
        "auth_extra_programs": {
            "bot": {"command": "/bin/true", "stdout_logfile": "/srv/bot.log"},
            "far": {"command": "/bin/true", "stdout_logfile": "/srv/far.log", "stderr_logfile": "/srv/far.log"},
        },
    }

    def names(**changes: Any) -> list[str]:
        logs = decide(defaults, info, **asked, **changes).files.log_links
        assert all(log.startswith(own + "/") for log in logs)
        return [log.removeprefix(own + "/") for log in logs]

    info["log_links"] = {}
    listeners = ["memmon_worker_00.log", "memmon_worker_01.log", "crashmail.log"]
    assert names() == ["beat.log", "worker_00.log", "worker_01.log", "gunicorn.log", *listeners]
    info["log_links"] = {"beat.log": f"{own}/beat.log", "worker_00.log": "/elsewhere/worker_00.log"}
    assert names() == ["worker_00.log", "worker_01.log", "gunicorn.log", *listeners]
    assert names(auth_log_dir="/home/allianceserver/myauth/log") == []
    info["log_links"] = None
    assert names() == []
