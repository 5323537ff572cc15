# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run says in the end: what has changed, and the table of the programs."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.change import Change
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import report, variables

LOGS = "/var/log/supervisor/myauth from now on, with links to them in /home/allianceserver/myauth/log"
PLAN: dict[str, Any] = {
    "job": "apply",
    "outdated": "",
    "left_out": [],
    "actions": {"install": ["superlance 2.0.0 is asked for, and none is installed"]},
    "found": [],
    "guard_report": "",
    "stopped": ["myauth:beat"],
    "superlance": "2.0.0",
    "table": ["program", "beat"],
    "pools": [],
    "drain": {"site": ["myauth:gunicorn"], "workers": ["myauth:worker_00"]},
    "files": {
        "path": "/etc/supervisor/conf.d/myauth.conf",
        "log_dir": "/var/log/supervisor/myauth",
        "project_logs": "/home/allianceserver/myauth/log",
    },
}


def changes(check_mode: bool = False, found: tuple[str, ...] = (), **results: Any) -> list[str]:
    return report.Report("auth1", {**PLAN, "found": list(found)}, results, check_mode).changes()


INFO: dict[str, Any] = {
    "daemon": {
        "processes": [
            {"name": "beat", "pid": 7, "rss": 117 * 1024**2, "children": []},
            {"name": "worker_00", "pid": 8, "rss": 120 * 1024**2, "children": []},
            {"name": "worker_01", "pid": 0, "rss": 0, "children": []},
            {"name": "gunicorn", "pid": 9, "rss": 26 * 1024**2, "children": [100 * 1024**2] * 3},
        ]
    }
}


def test_the_table_has_what_each_process_holds_and_its_limit(defaults: dict[str, Any]) -> None:
    asked = {**defaults, "auth_worker_numprocs": 2, "auth_gunicorn_memory_limit": "1GB"}
    declared, refusals = variables.declare(asked, "auth1")
    assert refusals == []
    assert report.table(declared, INFO) == [
        "program      processes  concurrency  pool       holds   memory limit           log",
        "beat         1          -            -          117 MB  none                   beat.log",
        "worker       2          10           threads                                   worker_00.log to worker_01.log",
        "  worker_00                                     120 MB  512MB",
        "  worker_01                                     -       487MB",
        "gunicorn     1          -            3 workers  326 MB  1GB with its children  gunicorn.log",
        "numprocs * concurrency: 20 tasks at once; limits: 2023 MB in all; logs: /home/allianceserver/myauth/log",
    ]


def test_a_limit_that_nobody_watches_is_none(defaults: dict[str, Any]) -> None:
    declared, _refusals = variables.declare({**defaults, "auth_memmon": False}, "auth1")
    assert all("512MB" not in line for line in report.table(declared, INFO))


def test_what_processes_hold_is_shown_as_it_is_after_the_restart() -> None:
    lines = report.Report("auth1", PLAN, {"verified": {"table": ["a new look"]}}, check_mode=False).lines()
    assert lines[2:] == ["  a new look"]


POOLS: list[dict[str, Any]] = [
    {"name": "services", "queues": ["services"], "processes": 1, "variable": "numprocs of services in auth_workers"},
    {"name": "worker", "queues": [], "processes": 2, "variable": "auth_worker_numprocs"},
    {"name": "heavy", "queues": ["celery", "heavy"], "processes": 1, "variable": "numprocs of heavy in auth_workers"},
]


@pytest.mark.parametrize(("tasks", "needed"), [(299, 0), (300, 3), (750, 7)])
def test_places_stand_in_the_table_and_too_few_are_warned_of(tasks: int, needed: int) -> None:
    waiting = {"default_queue": "celery", "eta_limit": 100, "countdown": {"tasks": tasks, "seconds": 600}}
    told = report.Report("auth1", {**PLAN, "pools": POOLS}, {"checked": {"waiting": waiting}}, check_mode=True)
    assert told.lines()[-1] == (f"  places for tasks with a countdown: 300; a model update queues {tasks} within 600 s")
    # Those of the other pool that serves the queue count.
    assert [f"Set auth_worker_numprocs to {needed}, " in said for said in told.warnings()] == [True] * bool(needed)


@pytest.mark.parametrize("waiting", [{}, {"eta_limit": None, "countdown": {"tasks": 999, "seconds": 600}}])
def test_where_nothing_limits_waiting_tasks_nothing_is_said_of_places(waiting: dict[str, Any]) -> None:
    told = report.Report("auth1", {**PLAN, "pools": POOLS}, {"checked": {"waiting": waiting}}, check_mode=True)
    assert told.warnings() == []
    assert told.lines()[-1] == "  beat"


def test_a_queue_that_no_task_is_sent_to_is_warned_of() -> None:
    def said(routed: list[str] | None) -> list[str]:
        checked = {"waiting": {"default_queue": "celery", "routed": routed}}
        return report.Report("auth1", {**PLAN, "pools": POOLS}, {"checked": checked}, check_mode=True).warnings()

    # Nothing is said where the project could not be asked.
    assert said(["celery", "heavy", "services"]) == said(None) == []
    (sentence,) = said(["celery", "mails", "services"])
    assert sentence.startswith("auth1: the pool heavy takes tasks from heavy, to which neither the project nor an app")
    assert "they send them to celery, mails, services" in sentence


def test_it_says_so_if_there_was_nothing_to_do() -> None:
    lines = report.Report("auth1", PLAN, {}, check_mode=False).lines()
    assert lines == ["", "auth1: nothing to do, all is as the variables say.", "  program", "  beat"]


def test_it_never_says_that_all_is_as_it_shall_be_where_tags_leave_something_out() -> None:
    plan = {**PLAN, "left_out": ["configure", "restart"]}
    assert report.Report("auth1", plan, {}, check_mode=False).lines()[1] == (
        "auth1: nothing was done: the tags of this run leave out what there is to do (configure, restart)."
    )
    verified = {**PLAN, "actions": {"verify": ["the run has the tag verify alone"]}}
    assert report.Report("auth1", verified, {}, check_mode=False).lines()[1].endswith("and was verified.")


def test_values_are_shown_as_old_and_new_and_a_reason_once() -> None:
    def change(program: str, item: str, reason: str) -> dict[str, Any]:
        found = Change(f"program:{program}", item, "5", "10", True, settled_by=(("auth_x",),), reason=reason)
        return found.as_dict()

    changed = [change("worker", "--concurrency", ""), change("beat", "log", "why"), change("worker", "log", "why")]
    lines = report.Report("auth1", PLAN, {"checked": {"value_changes": changed}}, check_mode=True).lines()
    assert lines[2:-2] == ["  worker --concurrency: 5 -> 10 (auth_x)", "  log: why", ""]


def test_each_step_that_changed_something_has_its_sentence() -> None:
    assert changes(
        found=("myauth is changed on disk",),
        installed={"changed": True},
        configured={"changed": True, "kept": ["/a", "/b"]},
        supervisord={"changed": True},
        standby={"running": True},
        resumed={"changed": True},
        linked={"changed": True, "kept": ["/home/x/log/worker.log.2026"]},
    ) == [
        "It was found that myauth is changed on disk.",
        "superlance 2.0.0 was installed.",
        "/etc/supervisor/conf.d/myauth.conf was replaced. What was there before is kept as /a and /b.",
        "supervisord was restarted, a second gunicorn answered for the site meanwhile.",
        "myauth:beat was started.",
        f"The logs are in {LOGS}. What was there before is kept beside them, with .2026 at the end of its name.",
    ]


def test_check_mode_says_what_would_be_although_pip_was_not_run() -> None:
    assert changes(
        check_mode=True,
        installed={"skipped": True},
        configured={"changed": True, "kept": []},
        supervisord={"changed": True},
        linked={"changed": True, "kept": []},
    ) == [
        "superlance 2.0.0 would be installed.",
        "/etc/supervisor/conf.d/myauth.conf would be replaced.",
        "supervisord would be restarted.",
        f"The logs would be in {LOGS}.",
    ]


def test_the_sites_absence_is_told_in_seconds_with_its_cause() -> None:
    restarted: dict[str, Any] = {
        "supervisord": {"changed": True},
        "site_stopped": {"stop_requests": {"myauth:gunicorn": {"at": 100.0}, "myauth:beat": {"at": 9.0}}},
        "started": {"site": {"at": 102.34}},
    }
    assert changes(**restarted) == ["supervisord was restarted, the site was away for 2.3 s."]
    (sentence,) = changes(**restarted, standby={"running": False, "problem": "there is no memory for it"})
    assert sentence.endswith("away for 2.3 s (without a second gunicorn: there is no memory for it).")


def test_beats_absence_is_told_in_seconds() -> None:
    restarted: dict[str, Any] = {
        "supervisord": {"changed": True},
        "drained": {"stop_requests": {"myauth:beat": {"at": 100.2}, "myauth:worker_00": {"at": 101.0}}},
    }
    starts = {"myauth:worker_00": 140, "myauth:beat": 141}
    assert changes(**restarted, started={"starts": starts}) == [
        "supervisord was restarted, beat was away for 41 s, nobody took tasks of worker for 39 s."
    ]
    # One that was not stopped was not away.
    assert changes(**{**restarted, "drained": {}}, started={"starts": starts}) == ["supervisord was restarted."]


def test_how_long_nobody_took_the_tasks_of_a_pool_without_another_worker_is_told() -> None:
    workers = ["myauth:worker_00", "myauth:worker_services_00", "myauth:worker_services_01", "pid:5@77"]
    plan = {**PLAN, "drain": {**PLAN["drain"], "workers": workers}}
    asked = {
        "myauth:worker_00": {"at": 100.0},
        # It was told to take none before it was told to stop.
        "myauth:worker_services_00": {"at": 130.0, "paused": 100.0},
        "myauth:worker_services_01": {"at": 104.0},
        "pid:5@77": {"at": 100.0},
    }
    starts = {"myauth:worker_00": 140, "myauth:worker_services_00": 145, "myauth:worker_services_01": 146}
    results: dict[str, Any] = {
        "supervisord": {"changed": True},
        "serving": {"running": ["myauth:worker_00"]},
        "drained": {"stop_requests": asked},
        "started": {"starts": starts},
    }

    def told(**more: Any) -> str:
        (sentence,) = report.Report("auth1", plan, {**results, **more}, check_mode=False).changes()
        return sentence

    assert told() == (
        "supervisord was restarted, another worker took the tasks of worker, nobody took tasks of worker_services for "
        "41 s."
    )
    assert told(serving={"running": [], "problem": "there is no memory"}) == (
        "supervisord was restarted, nobody took tasks (there is no memory), nobody took tasks of worker for 40 s and "
        "of worker_services for 41 s."
    )
    # One that was not drained, or does not start, has no such time.
    assert "nobody" not in told(drained={})
    assert "nobody" not in told(started={})


def test_what_workers_that_took_tasks_still_run_is_told() -> None:
    tasks = {
        "myauth:worker_00": [{"name": "a.b", "id": "1", "age": 5}, {"name": "c.d", "id": "2", "age": 40}],
        "myauth:slow_00": [{"name": "a.b", "id": "3", "age": 12}],
        "myauth:idle_00": [],
    }
    said = "Workers that took tasks meanwhile still run c.d (for 40 s), 2 of a.b (for up to 12 s), and end then."
    assert changes(served={"running_tasks": tasks}) == [said]
    assert changes(served={"running_tasks": {"myauth:idle_00": []}}) == changes(served={"skipped": True}) == []
    results: dict[str, Any] = {"configured": {"changed": False, "restored": "x"}, "served": {"running_tasks": tasks}}
    assert report.Report("auth1", {**PLAN, "job": "rollback"}, results, check_mode=False).back()[-1] == said


def test_workers_of_a_run_that_was_cut_off_are_said_to_finish() -> None:
    left = {"changed": True, "found": ["myauth:worker_01", "myauth:worker_00", "myauth:slow_00"]}
    said = "Workers that a run before had left to take tasks of slow and worker were told to finish."
    assert changes(left=left) == [said]
    results: dict[str, Any] = {"configured": {"changed": False, "restored": "x"}, "left": left}
    assert report.Report("auth1", {**PLAN, "job": "rollback"}, results, check_mode=False).back()[-1] == said
    # A step that was skipped has found none.
    assert changes(left={"skipped": True}) == []


def test_a_worker_that_died_is_not_said_to_have_taken_tasks() -> None:
    results: dict[str, Any] = {
        "supervisord": {"changed": True},
        "serving": {"running": ["myauth:worker_00", "myauth:slow_00"]},
        "served": {"found": ["myauth:slow_00"]},
    }
    told = report.Report("auth1", PLAN, results, check_mode=False)
    assert told.changes() == ["supervisord was restarted, another worker took the tasks of slow."]
    (said,) = told.warnings()
    assert said.startswith(
        "auth1: the worker that was to take tasks beside worker_00 ended before the run did, so that"
    )
    assert said.endswith("sudo journalctl -u 'allianceauth-tuning-myauth-worker-worker_00-*'.")
    # Nobody could look, or all are there.
    for served in ({}, {"found": ["myauth:slow_00", "myauth:worker_00"]}):
        assert report.Report("auth1", PLAN, {**results, "served": served}, check_mode=False).warnings() == []


def test_a_start_ends_with_what_was_started() -> None:
    plan = {"stopped": ["myauth:beat", "myauth:gunicorn"], "expected": {"site": "127.0.0.1:8000"}}
    resumed = {"resumed": {"changed": True}}
    assert report.started("auth1", plan, resumed, check_mode=False) == [
        "auth1: beat, gunicorn were started. The site answers."
    ]
    one = {"stopped": ["myauth:beat"], "expected": {"site": ""}}
    assert report.started("auth1", one, resumed, check_mode=False) == ["auth1: beat was started."]
    assert report.started("auth1", one, resumed, check_mode=True) == ["auth1: beat would be started."]
    assert report.started("auth1", one, {"resumed": {"changed": False}}, check_mode=False) == [
        "auth1: nothing had to be started."
    ]


def test_a_rollback_ends_with_what_is_back_and_what_that_took() -> None:
    results: dict[str, Any] = {
        "configured": {"changed": True, "restored": "/etc/supervisor/conf.d/.myauth.conf.2026"},
        "supervisord": {"changed": True},
        "standby": {"running": True},
    }
    path, kept = "/etc/supervisor/conf.d/myauth.conf", "/etc/supervisor/conf.d/.myauth.conf.2026"
    plan = {**PLAN, "job": "rollback"}
    assert report.Report("auth1", plan, results, check_mode=False).back() == [
        f"{path} is as it was kept in {kept}.",
        "supervisord was restarted, a second gunicorn answered for the site meanwhile.",
    ]
    results = {"configured": {"changed": False, "restored": kept}}
    assert report.Report("auth1", plan, results, check_mode=False).back() == [
        f"{path} was already as it was kept in {kept}."
    ]


def test_how_long_nobody_took_tasks_is_told_where_old_code_and_new_code_must_not_share_a_queue() -> None:
    asked = {
        # Its TERM came later than the word to take no more tasks.
        "myauth:worker_00": {"at": 130.0, "paused": 100.0},
        "myauth:beat": {"at": 90.0},
    }
    given: dict[str, Any] = {"supervisord": {"changed": True}, "serving": {"running": ["myauth:worker_00"]}}
    drain: dict[str, Any] = {"stop_requests": asked, "waiting": {}, "handed_over": 100.4}
    (said,) = changes(**given, drained=drain)
    assert said == (
        "supervisord was restarted, another worker took the tasks of worker once the old ones took none any more, for "
        "which nobody took any for 0.4 s."
    )
    assert changes(**given, drained={**drain, "waiting": {"myauth:worker_00": {}}, "handed_over": None}) == [
        "supervisord was restarted, nobody took tasks of worker (the worker with the new code did not answer)."
    ]


def test_a_worker_that_took_tasks_and_came_to_hold_too_much_is_told() -> None:
    replaced = {"myauth:worker_00": {"held": 601 * 1024**2, "limit": 512 * 1024**2}}
    (sentence,) = changes(
        supervisord={"changed": True}, serving={"running": ["myauth:worker_00"]}, drained={"replaced": replaced}
    )
    assert sentence == (
        "supervisord was restarted, another worker took the tasks of worker (the one of worker came to hold 601 MB, "
        "more than its limit of 512MB, and finished once another one had answered)."
    )


@pytest.mark.parametrize(("check_mode", "are", "site"), [(False, "are", "is"), (True, "would be", "would be")])
def test_a_drain_says_what_is_stopped_that_the_site_is_down_and_what_starts_it(
    check_mode: bool, are: str, site: str
) -> None:
    again = "They start again with the playbook allianceauth.tuning.start, or when the server reboots."
    stages = [["myauth:beat"], ["myauth:worker_00"]]
    (told,) = report.drained("auth1", {"stages": stages, "site": ["myauth:gunicorn"]}, check_mode)
    assert told == f"auth1: these {are} stopped: beat, worker_00, gunicorn. The site {site} down. {again}"
    # It was down before, or another host has it.
    (told,) = report.drained("auth1", {"stages": stages, "site": []}, check_mode)
    assert told == f"auth1: these {are} stopped: beat, worker_00. {again}"
