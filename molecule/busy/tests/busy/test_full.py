# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A change while more tasks wait for their time than the worker has places for, beside the same load without a change.

The broker gives a task to another worker that one has held for little longer than the longest countdown here.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import pytest
from shared import play, server, servers

from lab.observe import counts
from lab.observe.traffic import Traffic, traffic
from lab.podman import hosts

pytestmark = pytest.mark.thorough

LONGEST_COUNTDOWN = 40
# A worker process holds 100 tasks at most; see worker_eta_task_limit in the project's celery.py.
WAITING = (f"0.025:0:countdown=15-{LONGEST_COUNTDOWN}",)
WAITING_SECONDS = 6
# Tasks beside them, which the worker does not take while it is full, and one that it runs when it is told to stop.
BESIDE, RUNS_SECONDS = ("0.5:0",), 20
VISIBILITY_SECONDS = LONGEST_COUNTDOWN + 20
SETTLE_SECONDS = 300


@dataclass(frozen=True)
class Seen:
    """What came of the tasks that waited and of those beside them, and by how many seconds one of each began late."""

    waiting: counts.TaskCounts
    beside: counts.TaskCounts
    waiting_late: float
    beside_late: float


def late(going: Traffic) -> float:
    """Return the most seconds between the time at which a task was due and its beginning."""
    begun = {line["key"]: float(line["time"]) for line in going.ledger() if line["event"] == "start"}
    return max(begun[task["key"]] - float(task["due"]) for task in going.sent if task["key"] in begun)


def watch(name: str, change: bool) -> Seen:
    """Queue more tasks than there are places, have the server changed meanwhile or not, and wait until all are done."""
    (machine,) = hosts.existing(servers.LAB)
    with traffic(machine, f"beside-{name}", BESIDE, [RUNS_SECONDS]) as beside:
        with traffic(machine, f"waiting-{name}", WAITING) as waiting:
            time.sleep(WAITING_SECONDS)
        if change:
            assert play.run("apply", auth_worker_concurrency=11).status == 0
        counted = waiting.settle(SETTLE_SECONDS)
    seen = Seen(counted, beside.settle(SETTLE_SECONDS), late(waiting), late(beside))
    print(
        f"{name}: {len(counted.sent)} tasks waited for their time, the latest began {seen.waiting_late:.1f} s late; "
        f"of those beside them one waited {seen.beside_late:.1f} s."
    )
    return seen


@pytest.fixture(scope="module")
def seen(host: Any) -> dict[str, Seen]:
    """Watch the same load without a change and with one."""
    options = "app.conf.broker_transport_options = {"
    file = f"{server.PROJECT}/myauth/celery.py"
    server.as_user(host, f"sed -i \"s/^{options}/&'visibility_timeout': {VISIBILITY_SECONDS},/\" {file}")
    assert f"'visibility_timeout': {VISIBILITY_SECONDS}" in server.run(host, f"cat {file}")
    assert play.run("restart").status == 0
    return {"without a change": watch("control", change=False), "with one": watch("change", change=True)}


def test_there_were_more_tasks_than_places(seen: dict[str, Seen]) -> None:
    for one in seen.values():
        assert len(one.waiting.sent) > 150


def test_each_task_is_done_once_and_not_before_its_time(seen: dict[str, Seen]) -> None:
    for one in seen.values():
        for counted in (one.waiting, one.beside):
            assert (counted.lost, counted.doubled, counted.early) == ((), (), ())


def test_a_change_makes_them_no_later_than_the_full_worker_does(seen: dict[str, Seen]) -> None:
    control, changed = seen["without a change"], seen["with one"]
    assert changed.waiting_late < 2 * control.waiting_late
    assert changed.beside_late < 2 * control.beside_late
