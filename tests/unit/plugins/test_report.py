# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run says in the end: what has changed, and the table of the programs."""

from __future__ import annotations

from typing import Any

from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.change import Change
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import report, variables

LOGS = "/var/log/supervisor/myauth from now on, with links to them in /home/allianceserver/myauth/log"
PLAN: dict[str, Any] = {
    "actions": {"install": ["superlance 2.0.0 is asked for, and none is installed"]},
    "found": [],
    "guard_report": "",
    "stopped": ["myauth:beat"],
    "superlance": "2.0.0",
    "table": ["program", "beat"],
    "drain": {"site": ["myauth:gunicorn"]},
    "files": {
        "path": "/etc/supervisor/conf.d/myauth.conf",
        "log_dir": "/var/log/supervisor/myauth",
        "project_logs": "/home/allianceserver/myauth/log",
    },
}


def changes(check_mode: bool = False, found: tuple[str, ...] = (), **results: Any) -> list[str]:
    return report.Report("auth1", {**PLAN, "found": list(found)}, results, check_mode).changes()


def test_the_table_has_a_row_for_each_program_and_the_sums(defaults: dict[str, Any]) -> None:
    asked = {**defaults, "auth_worker_numprocs": 2, "auth_gunicorn_memory_limit": "1GB"}
    declared, refusals = variables.declare(asked, "auth1")
    assert refusals == []
    assert report.table(declared) == [
        "program   processes  concurrency  pool       memory limit",
        "beat      1          -            -          none",
        "worker    2          10           threads    256MB each",
        "gunicorn  1          -            3 workers  1GB with its children",
        "numprocs * concurrency: 20 tasks at once; limits: 1536 MB in all",
    ]


def test_a_limit_that_nobody_watches_is_none(defaults: dict[str, Any]) -> None:
    declared, _refusals = variables.declare({**defaults, "auth_memmon": False}, "auth1")
    assert all("256MB" not in line for line in report.table(declared))


def test_it_says_so_if_there_was_nothing_to_do() -> None:
    lines = report.Report("auth1", PLAN, {}, check_mode=False).lines()
    assert lines == ["", "auth1: nothing to do, all is as the variables say.", "  program", "  beat"]


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
