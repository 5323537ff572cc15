# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table that ends a run."""

from __future__ import annotations

from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import report

WORKER = {
    "name": "worker",
    "process_names": ["worker_00", "worker_01"],
    "numprocs": 2,
    "concurrency": 10,
    "pool": "threads",
    "memory_limit": "256MB",
    "tree": False,
}
PLAN = {
    "programs": [
        {"name": "beat", "process_names": ["beat"], "memory_limit": "", "tree": False},
        WORKER,
        {"name": "gunicorn", "process_names": ["gunicorn"], "memory_limit": "1GB", "tree": True},
    ],
    "workers": [WORKER],
    "gunicorn": {"workers": 3},
    "limits": {"worker_00": "256MB", "worker_01": "256MB", "gunicorn": "1GB"},
}


def test_it_has_what_changed_a_row_for_each_program_and_the_sums() -> None:
    assert report.lines("auth1", PLAN, ["A was replaced.", "B was restarted."]) == [
        "",
        "auth1: A was replaced. B was restarted.",
        "  program   processes  concurrency  pool       memory limit",
        "  beat      1          -            -          none",
        "  worker    2          10           threads    256MB each",
        "  gunicorn  1          -            3 workers  1GB with its children",
        "  numprocs * concurrency: 20 tasks at once; limits: 1536 MB in all",
    ]


def test_it_says_so_if_there_was_nothing_to_do() -> None:
    assert report.lines("auth1", PLAN, [])[1] == "auth1: nothing to do, all is as the variables say."


def test_a_limit_that_nobody_watches_is_none() -> None:
    assert all("MB each" not in line for line in report.lines("auth1", {**PLAN, "limits": {}}, []))
