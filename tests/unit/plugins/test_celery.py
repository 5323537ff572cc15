# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is made of Celery's answers."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import celery_cli, proc


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


@pytest.mark.parametrize(
    ("said", "status", "found"),
    [
        ('an app was here\n{"eta_limit": 100}', 0, ("", {"eta_limit": 100})),
        # It loads, and what it says of itself cannot be read: that is no reason to refuse it.
        ('{"eta_limit": 100}\nan app says goodbye', 0, ("", {})),
        ("", 0, ("", {})),
        ("ModuleNotFoundError: No module named 'x'", 1, ("ModuleNotFoundError: No module named 'x'", {})),
    ],
)
def test_a_project_that_loads_says_what_it_can_of_itself(
    tmp_path: Path, said: str, status: int, found: tuple[str, dict[str, Any]]
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "said").write_text(said)
    python = tmp_path / "bin/python"
    python.write_text(f"#!/bin/sh\ncat {tmp_path}/said\nexit {status}\n")
    python.chmod(0o755)
    me = pwd.getpwuid(os.getuid()).pw_name
    assert celery_cli.Application(str(tmp_path), "myauth", str(tmp_path), me).load("source") == found


def test_a_node_that_says_that_it_cannot_has_not_answered(tmp_path: Path) -> None:
    """Celery is a fake: at first one node says so, and the other one always."""
    (tmp_path / "celery/app").mkdir(parents=True)
    (tmp_path / "celery/app/utils.py").write_text("""
import types
calls = []

def stats():
    calls.append(1)
    fails = {"error": "RuntimeError()"}
    return {"worker_00@auth1": fails if len(calls) < 2 else {"pool": {}}, "worker_01@auth1": fails}

def find_app(name):
    asked = types.SimpleNamespace(stats=stats)
    return types.SimpleNamespace(control=types.SimpleNamespace(inspect=lambda nodes, **_options: asked))
""")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").symlink_to(sys.executable)
    me = pwd.getpwuid(os.getuid()).pw_name
    application = celery_cli.Application(str(tmp_path), "myauth", str(tmp_path), me)
    nodes = ["worker_00@auth1", "worker_01@auth1"]
    assert application.answers("stats", nodes, 1) == {"worker_00@auth1": {"pool": {}}}


def test_a_project_that_never_loads_is_given_up_with_all_that_it_has_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait: Callable[[Callable[[], object]], None]
) -> None:
    monkeypatch.setattr(celery_cli, "_LOAD_SECONDS", 3)
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin/python"
    # What it has started has its output, which would be read to the end.
    python.write_text(f"#!/bin/sh\nsleep 1000 &\necho $! > {tmp_path}/child\nsleep 1000\n")
    python.chmod(0o755)
    me = pwd.getpwuid(os.getuid()).pw_name
    application = celery_cli.Application(str(tmp_path), "myauth", str(tmp_path), me)
    assert application.load("import myauth.wsgi") == (f"{python} took longer than 3 s", {})
    wait(lambda: proc.start_ticks(int((tmp_path / "child").read_text())) is None)
