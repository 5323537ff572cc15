# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two workers of a pool that leak alike are not restarted together: their limits lie apart."""

from __future__ import annotations

from typing import Any

import pytest
from memory import leaks
from shared import server

pytestmark = pytest.mark.thorough

# Of 256 MB and of 5 % less, by vars/start.yml.
HIGHER, LOWER = "worker_00", "worker_01"

# Both begin below either limit, and grow by less than the step between them until memmon looks again.
BEGIN, GROWTH = 228, 3


def told(host: Any, process: str, before: dict[str, int]) -> bool:
    """Whether memmon has told a worker to stop."""
    return leaks.pids(host).get(f"myauth:{process}") != before[f"myauth:{process}"]


def grow(host: Any, process: str, megabytes: int, before: dict[str, int]) -> None:
    """Have a worker hold so much more, and wait until it does, or is told to stop and takes no task any more."""
    key = leaks.task(host, "leak", f"alike-{process}", process, seconds=1, rate=megabytes)
    assert server.wait(
        lambda: told(host, process, before) or "end" in server.ledger(host, key).get(key, []),
        bool,
    )


def test_workers_that_leak_alike_are_restarted_one_after_the_other(host: Any) -> None:
    before = leaks.all_running(host)
    for process in (HIGHER, LOWER):
        leaks.own_queue(host, process)
        # What the first task of a worker takes by itself is no leak.
        grow(host, process, 1, before)
        held = leaks.rss(host, before[f"myauth:{process}"]) // leaks.MEGABYTE
        grow(host, process, BEGIN - held, before)
    grown = 0
    while not told(host, LOWER, before):
        assert grown < BEGIN, "memmon has told neither"
        for process in (HIGHER, LOWER):
            grow(host, process, GROWTH, before)
        grown += GROWTH
    # Long enough for the other's memmon to look several times.
    leaks.await_successor(host, f"myauth:{LOWER}", before)
    between = leaks.all_running(host)
    assert leaks.restarted(before, between) == {f"myauth:{LOWER}"}
    while not told(host, HIGHER, before):
        assert grown < BEGIN, "memmon has not told the second"
        grow(host, HIGHER, GROWTH, before)
        grown += GROWTH
    leaks.await_successor(host, f"myauth:{HIGHER}", before)
    assert leaks.restarted(between, leaks.all_running(host)) == {f"myauth:{HIGHER}"}
