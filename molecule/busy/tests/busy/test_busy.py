# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Twenty changes of a server that works all the time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import cycle, islice
from typing import Any

import pytest
from shared import playbook, server, servers

from lab import hosts, tally
from lab.traffic import Traffic, traffic

APPLIES = 20

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
class Restart:
    """A restart of the site: when supervisor told gunicorn to stop, and when the next one's first answer came."""

    told: float
    back: float

    def covers(self, request: Mapping[str, Any]) -> bool:
        """Whether a request was under way at some time of it."""
        return bool(request["time"] + request["took"] >= self.told and request["time"] <= self.back)


@dataclass(frozen=True)
class Seen:
    """All that happened."""

    runs: list[playbook.Run]
    going: Traffic
    counted: tally.Tally
    restarts: list[Restart]


def told_to_stop(host: Any, since: float) -> list[float]:
    """Return when supervisor told gunicorn to stop, by its log, in seconds since the epoch."""
    offset = server.run(host, "date +%z").strip()
    lines = server.run(host, "grep -h 'waiting for gunicorn to stop' /var/log/supervisor/supervisord.log").splitlines()
    found = [re.match(r"[\d-]+ [\d:]+,\d+", line) for line in lines]
    times = [
        datetime.strptime(f"{match[0]} {offset}", "%Y-%m-%d %H:%M:%S,%f %z").timestamp() for match in found if match
    ]
    return [time for time in times if time >= since]


def restarts(times: list[float], requests: list[dict[str, Any]]) -> list[Restart]:
    """Return each restart; the site is back with the first answer to a request sent after one that failed."""
    found = []
    for told, following in zip(times, [*times[1:], float("inf")], strict=True):
        during = [request for request in requests if told <= request["time"] < following]
        closed = min((request["time"] for request in tally.failed(during)), default=told)
        answered = [request for request in during if request["time"] > closed and not tally.failed([request])]
        found.append(Restart(told, min((request["time"] + request["took"] for request in answered), default=following)))
    return found


@pytest.fixture(scope="module")
def seen(host: Any) -> Seen:
    """Change the server twenty times under traffic; then wait for the last tasks."""
    (machine,) = hosts.existing(servers.LAB)
    with traffic(machine, "busy", TASKS, seconds=AT_MOST_SECONDS) as going:
        runs = [playbook.apply(*playbook.extra_vars(change)) for change in islice(cycle(CHANGES), APPLIES)]
    counted = going.settle(300)
    times = told_to_stop(host, min(float(request["time"]) for request in going.requests))
    found = restarts(times, going.requests)
    failed = tally.failed(going.requests)
    print(
        f"{len(counted.sent)} tasks in {len(runs)} changes: {len(counted.lost)} lost, {len(counted.doubled)} doubled."
    )
    print(
        f"{len(failed)} of {len(going.requests)} requests failed, in {len(found)} restarts of the site, "
        f"which was away for {tally.downtime(going.requests):.1f} s in all."
    )
    return Seen(runs, going, counted, found)


def test_every_change_restarts_the_server(seen: Seen) -> None:
    assert [run.status for run in seen.runs] == [0] * APPLIES
    assert all(count > 0 for run in seen.runs for count in run.changed.values())
    assert len(seen.restarts) == APPLIES


def test_tasks_were_queued_for_both_pools_until_the_end(seen: Seen) -> None:
    for number, _task in enumerate(TASKS):
        assert [key for key in seen.counted.sent if key.startswith(f"{seen.going.prefix}-{number}-")]
    assert max(task["time"] for task in seen.going.sent) > seen.restarts[-1].told


def test_every_task_runs_exactly_once(seen: Seen) -> None:
    assert seen.counted.lost == ()
    assert seen.counted.doubled == ()


def test_requests_fail_only_while_the_site_restarts(seen: Seen) -> None:
    failed = tally.failed(seen.going.requests)
    assert [request for request in failed if not any(restart.covers(request) for restart in seen.restarts)] == []


@pytest.mark.usefixtures("seen")
def test_all_programs_run_in_the_end(host: Any) -> None:
    assert set(server.states(host).values()) == {"RUNNING"}
