# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Change after change of a server that works all the time."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

import pytest
from shared import playbook, server, servers

from lab.observe import counts
from lab.observe.traffic import Traffic, traffic
from lab.podman import hosts

# The first two changes, or with THOROUGH=1 each once; LAB_BUSY_APPLIES asks for more of them.
THOROUGH = bool(os.environ.get("THOROUGH"))
APPLIES = int(os.environ.get("LAB_BUSY_APPLIES") or (4 if THOROUGH else 2))

# Tasks for the pool worker and, by its queue, for worker_services, which runs one at a time; see
# lab/on_host/load.py. Mostly short ones; each drain waits for the longest that has just begun. A worker
# that is told to stop gives back those that it holds for their time, after a countdown or a failure. In the
# end the test waits for the longest countdown.
TASKS = (
    *("0.2:0.1", "2:1", "15:6", "75:20", "1.5:0.1:queue=services", "20:2:queue=services"),
    *("5:0.5:task=fail_and_retry", "0.5:0.1:countdown=1-60", "3:2:task=hold_connection"),
    *(["10:0.1:countdown=1-300"] if THOROUGH else []),
)

RETRIED = TASKS.index("5:0.5:task=fail_and_retry")

# What a slow machine may need; the traffic ends with the last apply.
AT_MOST_SECONDS = 3600

# Each restarts everything, and each differs from the one before.
CHANGES: tuple[Mapping[str, Any], ...] = (
    {"auth_worker_concurrency": 12, "auth_worker_handover": False},
    {"auth_worker_concurrency": 12, "auth_worker_numprocs": 2},
    {"auth_worker_concurrency": 8, "auth_worker_numprocs": 2, "auth_worker_memory_limit": "700MB"},
    {"auth_gunicorn_workers": 2},
)


@dataclass(frozen=True)
class Seen:
    """All that happened."""

    runs: list[playbook.Run]
    daemons: list[str]
    times: list[tuple[float, float]]
    going: Traffic
    counted: counts.TaskCounts


@pytest.fixture(scope="module")
def seen(host: Any) -> Seen:
    """Change the server again and again under traffic; then wait for the last tasks."""
    (machine,) = hosts.existing(servers.LAB)
    runs, daemons, times = [], [], []
    with traffic(machine, "busy", TASKS, seconds=AT_MOST_SECONDS) as going:
        for change in islice(cycle(CHANGES), APPLIES):
            begin = time.time()
            runs.append(playbook.apply(*playbook.extra_vars(change)))
            times.append((begin, time.time()))
            daemons.append(server.run(host, "supervisorctl pid").strip())
    counted = going.settle(600)
    print(
        f"{len(counted.sent)} tasks in {len(runs)} changes: {len(counted.lost)} lost, {len(counted.doubled)} doubled, "
        f"{len(counted.early)} early; "
        f"{len(counts.failed(going.requests))} of {len(going.requests)} requests failed."
    )
    return Seen(runs, daemons, times, going, counted)


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


def test_no_task_begins_before_its_countdown_is_over(seen: Seen) -> None:
    assert seen.counted.early == ()
    waited = [task for task in seen.going.sent if task["due"] > task["time"]]
    assert len(waited) > APPLIES
    assert max(task["due"] - task["time"] for task in waited) > (200 if THOROUGH else 40)


def test_where_another_worker_takes_them_countdown_tasks_begin_on_time(seen: Seen) -> None:
    """Compared with the run without one, in which those wait that come due meanwhile."""
    ledger = seen.going.ledger()
    delays = [counts.longest_delay(seen.going.sent, ledger, *window) for window in seen.times]
    print(f"Longest delays after a countdown: {', '.join(f'{delay:.1f} s' for delay in delays)}.")
    without = [delay for delay, taken in zip(delays, handovers(), strict=True) if not taken]
    assert max(delay for delay, taken in zip(delays, handovers(), strict=True) if taken) < min(without) / 2


def test_tasks_that_fail_are_retried_until_they_succeed(seen: Seen) -> None:
    failures = Counter(line["key"] for line in seen.going.ledger() if line["event"] == "failure")
    prefix = f"{seen.going.prefix}-{RETRIED}-"
    # Each fails twice; see lab_tasks/tasks.py.
    assert failures == {key: 2 for key in seen.counted.sent if key.startswith(prefix)}


def handovers() -> list[bool]:
    """Return for each run whether another worker is to take tasks meanwhile."""
    return [bool(change.get("auth_worker_handover", True)) for change in islice(cycle(CHANGES), APPLIES)]


def test_another_worker_takes_the_tasks_while_the_workers_restart(seen: Seen) -> None:
    served = ["another worker took the tasks of worker" in " ".join(run.output.split()) for run in seen.runs]
    assert served == handovers()
    ledger = seen.going.ledger()
    pauses = [counts.longest_pause(ledger, f"{seen.going.prefix}-0-", *window) for window in seen.times]
    print(f"Longest pauses between two tasks that began: {', '.join(f'{pause:.1f} s' for pause in pauses)}.")
    without = [pause for pause, taken in zip(pauses, served, strict=True) if not taken]
    assert max(pause for pause, taken in zip(pauses, served, strict=True) if taken) < min(without) / 10


def test_no_worker_is_left_over(seen: Seen, host: Any) -> None:
    assert seen.runs
    assert server.none_serves(host)


def test_no_visitor_notices(seen: Seen) -> None:
    assert len(seen.going.requests) > 10 * APPLIES
    assert counts.failed(seen.going.requests) == []
    # Nor does nginx, which also knows who has gone without an answer (499).
    assert len(seen.going.answered) >= len(seen.going.requests)
    assert [status for status in seen.going.answered if status >= 499] == []
    for run in seen.runs:
        assert "a second gunicorn answered for the site meanwhile" in " ".join(run.output.split())


@pytest.mark.usefixtures("seen")
def test_all_programs_run_in_the_end(host: Any) -> None:
    assert set(server.states(host).values()) == {"RUNNING"}


@pytest.mark.usefixtures("seen")
def test_memmon_restarts_nobody(host: Any) -> None:
    """Workers with community apps hold less than the default limit, which all changes but one leave as it is."""
    said = server.run(host, f"cat {server.LOG_DIR}/memmon_worker_*.log*").splitlines()
    assert [line for line in said if "Checking programs " in line]
    assert [line for line in said if "Restarting " in line] == []
