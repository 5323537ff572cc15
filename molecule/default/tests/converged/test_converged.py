# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What only this scenario can show: the way from stock to tuned, and that it is walked once."""

from __future__ import annotations

from typing import Any

from shared import playbook, server


def test_check_mode_changes_nothing_on_a_tuned_server(host: Any) -> None:
    assert playbook.last_step().changed[host.backend.get_hostname()] == 0


def test_the_stock_file_is_kept(host: Any) -> None:
    # Their names sort by time; the archive's tests have left others.
    kept, *_later = server.run(host, f"ls -d {server.SUPERVISOR_CONF}.20*").splitlines()
    assert "-p worker=256MB" in host.file(kept).content_string


def test_the_stock_servers_logs_are_kept(host: Any) -> None:
    (kept,) = server.run(host, f"ls -d {server.PROJECT}/log/worker.log.20*").splitlines()
    # What Celery says first of all, before the node's name had the host in it.
    assert "celery@worker_00" in host.file(kept).content_string


def test_no_node_has_the_name_it_had_before(host: Any) -> None:
    assert not {"celery@worker_00", "celery@worker_services_00"} & set(server.nodes(host))


def test_the_worker_log_names_no_task_by_default(host: Any) -> None:
    (task_id,) = server.send(host, 1, 0.1, "quiet").values()
    done = server.wait(lambda: server.ledger(host, "quiet"), lambda tasks: tasks == {"quiet-0": ["start", "end"]})
    assert done == {"quiet-0": ["start", "end"]}
    assert task_id not in server.log(host, "worker.log")


def test_a_request_in_flight_survives_a_restart_of_gunicorn(host: Any) -> None:
    gunicorn = "myauth:gunicorn"
    request = server.get("/lab/slow/?seconds=1800&key=flight")
    server.run(host, f"{request} >/tmp/flight 2>&1 </dev/null &")
    assert server.wait(lambda: server.ledger(host, "flight"), bool) == {"flight": ["start"]}
    server.run(host, f"supervisorctl restart {gunicorn} >/dev/null 2>&1 </dev/null &")
    told = server.wait(lambda: server.states(host)[gunicorn], lambda state: state == "STOPPING")
    assert told == "STOPPING"
    # It was told while the request was in flight, and waits for it.
    assert server.ledger(host, "flight") == {"flight": ["start"]}
    server.release(host, "flight")
    assert server.wait(lambda: server.run(host, "cat /tmp/flight"), bool) == "200\n"
    assert server.ledger(host, "flight") == {"flight": ["start", "end"]}
    assert server.wait(lambda: server.states(host)[gunicorn], lambda state: state == "RUNNING") == "RUNNING"
