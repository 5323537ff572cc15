# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`-e auth_worker_numprocs=3 -e auth_worker_concurrency=7`, as somebody in a hurry types it."""

from __future__ import annotations

from typing import Any

import pytest
from shared import playbook, server

NODES = ("worker_00", "worker_01", "worker_02")


@pytest.fixture(scope="module")
def runs() -> list[playbook.Run]:
    """Run twice with the same extra variables."""
    variables = ("-e", "auth_worker_numprocs=3", "-e", "auth_worker_concurrency=7")
    return [playbook.apply(*variables), playbook.apply(*variables)]


def test_the_second_run_changes_nothing(runs: list[playbook.Run]) -> None:
    assert [run.status for run in runs] == [0, 0]
    assert all(runs[0].changed.values())
    assert set(runs[1].changed.values()) == {0}


@pytest.mark.usefixtures("runs")
def test_three_nodes_say_that_they_have_seven_slots(host: Any) -> None:
    name = server.run(host, "hostname").strip()
    slots = {node: pool["max-concurrency"] for node, pool in server.nodes(host).items()}
    assert slots == {f"worker_services_00@{name}": 1, **{f"{node}@{name}": 7 for node in NODES}}


@pytest.mark.usefixtures("runs")
def test_memmon_checks_all_three(host: Any) -> None:
    assert set(server.memmon_checks(host)) == {*NODES, "worker_services_00"}
