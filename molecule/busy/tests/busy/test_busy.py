# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Change after change of a server that works all the time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

import pytest
from shared import playbook, server, servers

from lab.observe import counts
from lab.observe.traffic import Traffic, traffic
from lab.podman import hosts

# Each change comes at least once; `make test-all` asks for more of them.
APPLIES = int(os.environ.get("LAB_BUSY_APPLIES") or 4)

# Tasks for the pool worker and, with a queue, for worker_services, which runs one at a time:
# every:seconds[:queue]. Mostly short ones; each drain waits for the longest that has just begun.
TASKS = ("0.2:0.1", "2:1", "15:6", "75:20", "1.5:0.1:services", "20:2:services")

# What a slow machine may need; the traffic ends with the last apply.
AT_MOST_SECONDS = 3600

# Each restarts everything, and each differs from the one before.
CHANGES: tuple[Mapping[str, Any], ...] = (
    {"auth_worker_concurrency": 12},
    {"auth_worker_concurrency": 12, "auth_worker_numprocs": 2},
    {"auth_worker_concurrency": 8, "auth_worker_numprocs": 2, "auth_worker_memory_limit": "300MB"},
    {"auth_gunicorn_workers": 2},
)


@dataclass(frozen=True)
class Seen:
    """All that happened."""

    runs: list[playbook.Run]
    daemons: list[str]
    going: Traffic
    counted: counts.TaskCounts


@pytest.fixture(scope="module")
def seen(host: Any) -> Seen:
    """Change the server again and again under traffic; then wait for the last tasks."""
    (machine,) = hosts.existing(servers.LAB)
    runs, daemons = [], []
    with traffic(machine, "busy", TASKS, seconds=AT_MOST_SECONDS) as going:
        for change in islice(cycle(CHANGES), APPLIES):
            runs.append(playbook.apply(*playbook.extra_vars(change)))
            daemons.append(server.run(host, "supervisorctl pid").strip())
    counted = going.settle(300)
    print(
        f"{len(counted.sent)} tasks in {len(runs)} changes: {len(counted.lost)} lost, {len(counted.doubled)} doubled; "
        f"{len(counts.failed(going.requests))} of {len(going.requests)} requests failed."
    )
    return Seen(runs, daemons, going, counted)


def test_every_change_restarts_the_server(seen: Seen) -> None:
    assert [run.status for run in seen.runs] == [0] * APPLIES
    assert len(set(seen.daemons)) == APPLIES


def test_tasks_were_queued_for_both_pools_until_the_end(seen: Seen) -> None:
    for number, _task in enumerate(TASKS):
        assert [key for key in seen.counted.sent if key.startswith(f"{seen.going.prefix}-{number}-")]
    visits = [request["time"] for request in seen.going.requests]
    assert max(task["time"] for task in seen.going.sent) > max(visits) - 10


def test_every_task_runs_exactly_once(seen: Seen) -> None:
    assert seen.counted.lost == ()
    assert seen.counted.doubled == ()


def test_no_visitor_notices(seen: Seen) -> None:
    assert len(seen.going.requests) > 10 * APPLIES
    assert counts.failed(seen.going.requests) == []
    for run in seen.runs:
        assert "a second gunicorn answered for the site meanwhile" in " ".join(run.output.split())


@pytest.mark.usefixtures("seen")
def test_all_programs_run_in_the_end(host: Any) -> None:
    assert set(server.states(host).values()) == {"RUNNING"}
