# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is made of Celery's answers."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.allianceauth.tuning.plugins.module_utils.server import celery_cli


def test_running_tasks_are_those_of_this_hosts_processes_by_their_names() -> None:
    active = {
        "worker_00@auth1": [{"name": "esi.sync", "id": "1", "time_start": 90.4}],
        "worker_01@auth1": [],
        "worker_00@auth2": [{"name": "not.here", "id": "2", "time_start": 90.0}],
        # With Alliance Auth's own template.
        "celery@worker_services_00": [{"name": "discord.role", "id": "3", "time_start": None}],
    }
    assert celery_cli.running_tasks(active, "auth1", 100.0) == {
        "worker_00": [{"name": "esi.sync", "id": "1", "age": 10}],
        "worker_01": [],
        "worker_services_00": [{"name": "discord.role", "id": "3", "age": 0}],
    }


def test_a_node_that_is_missing_or_has_other_figures_is_told() -> None:
    wanted = {"worker_00@auth1": {"max-concurrency": 5}, "worker_01@auth1": {"max-concurrency": 5}}
    answers = {"worker_00@auth1": {"max-concurrency": 4}, "other@auth1": {"max-concurrency": 1}}
    assert celery_cli.differences(wanted, answers) == [
        "Celery's worker_00@auth1 says that its max-concurrency is 4 and not 5.",
        "Celery's worker_01@auth1 says that its max-concurrency is None and not 5.",
    ]
    assert celery_cli.differences(wanted, {name: {"max-concurrency": 5} for name in wanted}) == []


def test_celery_is_asked_with_the_environment_that_the_workers_have(tmp_path: Path) -> None:
    venv, conf = str(tmp_path / "venv"), tmp_path / "supervisord.conf"
    conf.write_text(f"""\
[supervisord]
environment = ALL = "for all", BOTH = "the daemon's"
[program:bot]
command = /bin/sleep 1
environment = BOT = "not for Celery"
[program:worker]
command = {venv}/bin/celery
    -A myauth worker
environment = TOKEN = "100%%; it's all", BOTH = "the worker's"
""")
    given = {"venv": venv, "project": "myauth", "project_dir": str(tmp_path), "user": "nobody"}
    wanted = {"ALL": "for all", "BOTH": "the worker's", "TOKEN": "100%; it's all"}
    assert celery_cli.Application.configured(given, str(conf)).environment == wanted
    # A configuration that supervisor refuses is no reason not to ask.
    conf.write_text("[program:worker]\n")
    assert celery_cli.Application.configured(given, str(conf)).environment == {}
