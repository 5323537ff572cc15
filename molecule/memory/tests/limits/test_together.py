# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""While one restart waits for a long task, the others stay protected."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from memory import leaks
from shared import server

pytestmark = pytest.mark.thorough

FIRST, SECOND = "worker_00", "worker_01"
SINGLE = "/etc/supervisor/conf.d/single.conf"


@pytest.fixture
def one_memmon_for_all(host: Any) -> Iterator[None]:
    """Have a listener with a limit for both workers, as everybody writes it, in the place of the role's two."""
    ours = " ".join(f"memmon_{name}" for name in (FIRST, SECOND))
    limits = " ".join(f"-p {name}=256MB" for name in (FIRST, SECOND))
    server.run(host, f"supervisorctl stop {ours}")
    leaks.place(
        host,
        SINGLE,
        f"[eventlistener:single]\ncommand = {server.VENV}/bin/memmon {limits}\nuser = {server.USER}\nevents = TICK_5\n",
    )
    server.run(host, "supervisorctl update single")
    yield
    server.run(host, f"rm {SINGLE} && supervisorctl update single && supervisorctl start {ours}")


def overload(host: Any, prefix: str) -> tuple[str, str]:
    """Have the first worker leak beside its long task and be told to stop, then the second leak; return their tasks."""
    for process in (FIRST, SECOND):
        leaks.own_queue(host, process)
    long = leaks.task(host, "sleep", f"{prefix}-long", FIRST)
    leaks.task(host, "leak", f"{prefix}-first", FIRST, seconds=4, rate=80)
    assert leaks.stopping(host, f"myauth:{FIRST}")
    return long, leaks.task(host, "leak", f"{prefix}-second", SECOND, seconds=4, rate=80)


def order(host: Any, start: int) -> list[str]:
    """Return which of the two was told to stop, and which has stopped, in the order of time."""
    told = {f"waiting for {name} to stop": f"{name} told" for name in (FIRST, SECOND)}
    done = {f"stopped: {name} (exit status 0)": f"{name} stopped" for name in (FIRST, SECOND)}
    lines = leaks.daemon_log(host)[start:]
    return list(dict.fromkeys({**told, **done}[line] for line in lines if line in {**told, **done}))


@pytest.mark.usefixtures("one_memmon_for_all")
def test_one_memmon_for_all_lets_the_second_leak_until_the_first_is_done(host: Any) -> None:
    before, start = leaks.pids(host), len(leaks.daemon_log(host))
    long, short = overload(host, "single")
    assert leaks.finished(host, short) == ["start", "end"]
    assert leaks.rss(host, before[f"myauth:{SECOND}"]) > 256 * leaks.MEGABYTE
    server.release(host, long)
    assert leaks.finished(host, long) == ["start", "end"]
    leaks.await_successor(host, f"myauth:{SECOND}", before)
    assert order(host, start) == [f"{FIRST} told", f"{FIRST} stopped", f"{SECOND} told", f"{SECOND} stopped"]


def test_a_memmon_for_each_restarts_the_second_while_the_first_waits(host: Any) -> None:
    before, start = leaks.all_running(host), len(leaks.daemon_log(host))
    long, short = overload(host, "each")
    leaks.await_successor(host, f"myauth:{SECOND}", before)
    # It runs again, and the first has not got its way yet.
    assert server.ledger(host, long) == {long: ["start"]}
    assert server.ledger(host, short) == {short: ["start", "end"]}
    server.release(host, long)
    after = leaks.until_restarted(host, f"myauth:{FIRST}", before)
    assert leaks.restarted(before, after) == {f"myauth:{FIRST}", f"myauth:{SECOND}"}
    assert server.ledger(host, long) == {long: ["start", "end"]}
    assert order(host, start) == [f"{FIRST} told", f"{SECOND} told", f"{SECOND} stopped", f"{FIRST} stopped"]
