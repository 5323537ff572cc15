# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs on a tuned server, whatever its variables are."""

from __future__ import annotations

import re
from typing import Any

from shared import server


def test_every_program_is_running(host: Any) -> None:
    assert set(server.states(host).values()) == {"RUNNING"}


def test_each_worker_process_has_the_arguments_of_the_variables(host: Any) -> None:
    wanted = host.ansible.get_variables()
    numprocs, concurrency = wanted.get("auth_worker_numprocs", 1), wanted.get("auth_worker_concurrency", 10)
    found = {name: words for name, words in server.arguments(host).items() if re.match(r"worker_\d", name)}
    assert sorted(found) == [f"worker_{number:02d}" for number in range(numprocs)]
    for words in found.values():
        assert f"--concurrency={concurrency}" in words
        assert "--pool=threads" in words


def test_no_worker_runs_beside_the_supervised_ones(host: Any) -> None:
    processes = server.run(host, "ps -eo args --no-headers").splitlines()
    workers = [line for line in processes if re.search(r"/celery -A myauth worker ", line)]
    assert len(workers) == len([name for name in server.arguments(host) if name.startswith("worker")])


def test_only_the_auth_user_runs_what_the_auth_user_can_write(host: Any) -> None:
    assert server.users(host, re.escape(server.VENV)) == {server.USER}


def test_the_site_answers(host: Any) -> None:
    assert server.run(host, server.get("/account/login/", server.NGINX)) == "200\n"


def test_every_worker_process_is_a_node_with_the_hosts_name(host: Any) -> None:
    nodes = server.worker_nodes(host)
    assert set(server.inspect(host, "ping", *nodes)) == set(nodes)


def test_every_node_has_the_pool_of_the_variables(host: Any) -> None:
    wanted = host.ansible.get_variables().get("auth_worker_concurrency", 10)
    for name, pool in server.nodes(host, *server.worker_nodes(host)).items():
        assert pool["implementation"].endswith("thread:TaskPool")
        assert pool["max-concurrency"] == (1 if name.startswith("worker_services") else wanted)
