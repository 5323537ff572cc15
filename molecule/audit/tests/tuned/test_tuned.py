# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that was just tuned is called good, in one line; and what goes wrong with it later is found."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from shared import playbook, server
from shared.audits import audit


def test_it_is_called_good_in_one_line(host: Any, tmp_path: Path) -> None:
    good = audit(host, tmp_path, auth_audit_strict="medium")
    assert good.run.status == 0
    assert good.report["verdict"] == "good"
    assert {severity for severity, _rule in good.found} <= {"low"}
    about = [line for line in good.run.output.splitlines() if line.startswith(f"{server.name(host)}: good")]
    assert len(about) == 1
    assert "->" not in good.run.output


@pytest.fixture
def stopped(host: Any) -> Iterator[str]:
    """Stop beat by hand, as somebody does who forgets to start it again."""
    server.run(host, "supervisorctl stop myauth:beat")
    yield "no-beat"
    server.run(host, "supervisorctl start myauth:beat")


def test_a_beat_that_was_forgotten_is_found(host: Any, tmp_path: Path, stopped: str) -> None:
    assert ("high", stopped) in audit(host, tmp_path).found


@pytest.fixture
def without_redis(host: Any) -> Iterator[None]:
    server.run(host, "systemctl stop redis-server")
    yield
    server.run(host, "systemctl start redis-server")


@pytest.mark.usefixtures("without_redis")
def test_a_redis_that_is_stopped_is_named(host: Any, tmp_path: Path) -> None:
    finding = audit(host, tmp_path).finding("broker-silent")
    assert "Connection refused" in finding["evidence"]
    assert finding["remedy"] == "systemctl status redis-server"


@pytest.mark.usefixtures("without_redis")
def test_apply_names_it_too_though_it_has_nothing_to_do() -> None:
    run = playbook.apply()
    assert (run.status, sum(run.changed.values())) == (0, 0)
    said = " ".join(run.output.split())
    assert "Redis at localhost:6379, the broker when" in said
    assert "does not answer (Connection refused)" in said


@pytest.fixture
def neighbour(host: Any) -> Iterator[str]:
    """Have a file in conf.d that everybody may read and write, with a token in it; supervisord has not read it."""
    path = f"{server.CONF_D}/neighbour.conf"
    section = "[program:neighbour]\\ncommand = /bin/sleep 86400\\nenvironment = LAB_TOKEN=kittiwake-3f1b\\n"
    server.run(host, f"printf '{section}' > {path} && chmod 666 {path}")
    yield "kittiwake-3f1b"
    server.run(host, f"rm {path}")


def test_a_file_that_all_may_read_and_write_is_found_and_its_secret_not_told(
    host: Any, tmp_path: Path, neighbour: str
) -> None:
    found = audit(host, tmp_path, "-vvv")
    assert {("high", "root-loads-what-others-write"), ("medium", "secret-readable"), ("medium", "disk-differs")} <= (
        found.found
    )
    assert "LAB_TOKEN in [program:neighbour]" in found.finding("secret-readable")["evidence"]
    assert [neighbour in text for text in (found.run.output, *found.texts)] == [False, False, False]


# Of sixty tasks, as many wait as the worker neither runs nor has taken already.
TASKS = 60


@pytest.fixture
def strained(host: Any) -> Iterator[None]:
    """Have more tasks than are done, a Redis that drops queues and a database with few connections."""
    sent = server.send(host, TASKS, 1800, "strain")
    running = server.wait(lambda: server.ledger(host, "strain-"), lambda tasks: len(tasks) >= 10)
    assert len(running) == 10
    server.run(host, "redis-cli config set maxmemory 1gb && redis-cli config set maxmemory-policy allkeys-lru")
    server.run(host, "mariadb -e 'SET GLOBAL max_connections = 15'")
    yield
    server.run(host, "redis-cli config set maxmemory 0 && redis-cli config set maxmemory-policy noeviction")
    server.run(host, "mariadb -e 'SET GLOBAL max_connections = 151'")
    for key in sent:
        server.release(host, key)
    done = server.wait(lambda: server.ledger(host, "strain-"), lambda tasks: sum(map(len, tasks.values())) == 2 * TASKS)
    assert set(map(tuple, done.values())) == {("start", "end")}


@pytest.mark.thorough
@pytest.mark.usefixtures("strained")
def test_what_strains_queue_and_database_is_found(host: Any, tmp_path: Path) -> None:
    found = audit(host, tmp_path)
    backlog = found.finding("backlog")
    said = r"^(\d+) tasks wait, \1 some seconds before: standing; 1 worker processes run 10 tasks"
    (waiting,) = re.findall(said, backlog["evidence"])
    assert 20 < int(waiting) < TASKS
    assert found.report["projects"][0]["tasks_now"] == 10
    assert found.finding("redis-evicts")["evidence"] == "maxmemory is 1073741824 with maxmemory-policy allkeys-lru"
    assert found.finding("database-connections")["evidence"].endswith("and the database allows 15")
