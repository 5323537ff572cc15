# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real memmon for each of two processes that hold the same: when it restarts them."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.model import memmon

MEGABYTE = 1024**2
NAMES = ("worker_00", "worker_01")
GROWTH = 2

# It holds as many MB as the file says, but for a successor, which has nothing left of the leak.
PROGRAM = """
import os, resource, sys, time
folder, name = sys.argv[1:]
first, held = not os.path.exists(f"{folder}/{name}"), []
open(f"{folder}/{name}", "w").close()
while True:
    pages, wanted = int(open("/proc/self/statm").read().split()[1]), open(f"{folder}/wanted").read()
    if first and pages * resource.getpagesize() < int(wanted or 0) * 2**20:
        held.append(b"x" * 2**20)
    else:
        open(f"{folder}/{name}.done", "w").write(wanted)
        time.sleep(0.05)
"""

MEMMON = "from superlance.memmon import main; main()"


class Pool:
    """Two processes that grow alike, each with a memmon of its own."""

    def __init__(self, found: Any, wait: Callable[[Callable[[], object]], None]) -> None:
        self.found, self.wait = found, wait

    def pids(self) -> dict[str, int]:
        return {name: self.found.process(f"pool:{name}").pid for name in NAMES}

    def looks(self) -> list[int]:
        """Return how often each memmon has looked."""
        return [sum("Checking" in line for line in self.found.lines(f"memmon_{name}.log")) for name in NAMES]

    def grow(self, wanted: int) -> dict[str, int]:
        """Have all that leak hold so many MB, let each memmon look at that, and return who runs then."""
        (self.found.folder / "wanted").write_text(str(wanted))
        self.wait(lambda: all(self.found.lines(f"{name[-2:]}.done") == [str(wanted)] for name in NAMES))
        before = self.looks()
        # One may have begun before, and the second begins when all that the first does is done.
        self.wait(lambda: all(now > then + 1 for now, then in zip(self.looks(), before, strict=True)))
        return self.pids()


@pytest.fixture
def pool(supervisord: Callable[[str], Any], wait: Callable[[Callable[[], object]], None]) -> Callable[..., Pool]:
    def start(*limits: int) -> Pool:
        words = [sys.executable, "-c", "import runpy, sys; runpy.run_path(sys.argv.pop(1))"]
        sections = (
            f"[program:worker]\ncommand = {shlex.join(words)} {{here}}/program.py {{here}} %(process_num)02d\n"
            "numprocs = 2\nprocess_name = worker_%(process_num)02d\nstartsecs = 0\nautorestart = true\n"
            "[group:pool]\nprograms = worker\n"
        )
        for name, limit in zip(NAMES, limits, strict=True):
            watching = shlex.join([sys.executable, "-c", MEMMON, "-p", f"{name}={memmon.size_text(limit)}"])
            sections += (
                f"[eventlistener:memmon_{name}]\ncommand = {watching}\nevents = TICK_5\n"
                f"stderr_logfile = {{here}}/memmon_{name}.log\n"
            )
        found = supervisord(sections)
        (found.folder / "wanted").write_text("0")
        (found.folder / "program.py").write_text(PROGRAM)
        wait(lambda: all(found.state(f"pool:{name}") == "RUNNING" for name in NAMES))
        wait(lambda: all((found.folder / name[-2:]).exists() for name in NAMES))
        return Pool(found, wait)

    return start


def test_two_that_grow_by_less_than_a_step_are_not_restarted_together(pool: Callable[..., Pool]) -> None:
    limits = memmon.pool_limits(100 * MEGABYTE, 2)
    assert [limit // MEGABYTE for limit in limits] == [100, 95]
    running = pool(*limits)
    first = running.grow(94)
    second = running.grow(94 + GROWTH)
    assert (second["worker_00"], second["worker_01"] != first["worker_01"]) == (first["worker_00"], True)
    assert running.grow(94 + 2 * GROWTH) == second
    last = running.grow(100 + GROWTH)
    assert (last["worker_00"] != second["worker_00"], last["worker_01"]) == (True, second["worker_01"])


def test_with_one_limit_for_both_they_are_restarted_together(pool: Callable[..., Pool]) -> None:
    running = pool(100 * MEGABYTE, 100 * MEGABYTE)
    first = running.grow(98)
    second = running.grow(98 + 2 * GROWTH)
    assert [second[name] != first[name] for name in NAMES] == [True, True]
