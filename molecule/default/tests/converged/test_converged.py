# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What only this scenario can show: the way from stock to tuned, and that it is walked once."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from shared import playbook, server


@pytest.fixture
def key() -> str:
    """Return what no task was called before: `molecule verify` may be typed twice."""
    return uuid.uuid4().hex


def test_the_stock_file_is_kept(host: Any) -> None:
    # Their names sort by time; the archive's tests have left others.
    kept, *_later = server.run(host, f"ls -d {server.CONF_D}/.myauth.conf.20*").splitlines()
    assert host.file(kept).content_string == (playbook.EPHEMERAL / f"{server.name(host)}.conf").read_text()


def test_the_stock_servers_logs_are_kept(host: Any) -> None:
    (kept,) = server.run(host, f"ls -d {server.PROJECT}/log/worker.log.20*").splitlines()
    # What Celery says first of all, before the node's name had the host in it.
    assert "celery@worker_00" in host.file(kept).content_string


def test_no_node_has_the_name_it_had_before(host: Any) -> None:
    assert not {"celery@worker_00", "celery@worker_services_00"} & set(server.nodes(host))


def test_the_worker_log_names_no_task_by_default(host: Any, key: str) -> None:
    (task_id,) = server.send(host, 1, 0.1, key).values()
    done = server.wait(lambda: server.ledger(host, key), lambda tasks: tasks == {f"{key}-0": ["start", "end"]})
    assert done == {f"{key}-0": ["start", "end"]}
    assert task_id not in server.log(host, "worker.log")


def test_a_request_in_flight_survives_a_restart_of_gunicorn(host: Any, key: str) -> None:
    gunicorn = "myauth:gunicorn"
    request = server.get(f"/lab/slow/?seconds=1800&key={key}")
    server.run(host, f"{request} >/tmp/flight 2>&1 </dev/null &")
    assert server.wait(lambda: server.ledger(host, key), bool) == {key: ["start"]}
    server.run(host, f"supervisorctl restart {gunicorn} >/dev/null 2>&1 </dev/null &")
    told = server.wait(lambda: server.states(host)[gunicorn], lambda state: state == "STOPPING")
    assert told == "STOPPING"
    # It was told while the request was in flight, and waits for it.
    assert server.ledger(host, key) == {key: ["start"]}
    server.release(host, key)
    assert server.wait(lambda: server.run(host, "cat /tmp/flight"), bool) == "200\n"
    assert server.ledger(host, key) == {key: ["start", "end"]}
    assert server.wait(lambda: server.states(host)[gunicorn], lambda state: state == "RUNNING") == "RUNNING"
