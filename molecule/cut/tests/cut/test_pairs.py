# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that is cut off, at every stage in which something is stopped or not proved yet, and no second run.

Twelve pairs of a stage and an interruption: four, in which each of them is, and with CUT_PAIRS=others the other eight.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import pytest
from shared import server, servers
from shared.cutting import (
    GUARD_SECONDS,
    LONG,
    MID_DRAIN,
    OWN_GUARD_SECONDS,
    Machine,
    all_done,
    apply,
    back_by_itself,
    firewalled,
    follow,
    interrupted,
    killed,
    release,
    released,
    told,
)

from lab.observe.traffic import traffic
from lab.podman import hosts

# Tasks that a worker holds until their countdown is over.
WAITING = ("1:0:countdown=1-30",)

Interruption = Callable[[Machine, subprocess.Popen[str]], AbstractContextManager[None]]


@dataclass(frozen=True)
class Stage:
    """A stage that begins with a line of the output that matches `sign`.

    `seconds` is how long the tasks take that run meanwhile. With `stops_site` it begins once gunicorn stops, which
    lasts because it still answers a visitor: without one it would be over in a moment.
    """

    name: str
    sign: str
    seconds: float = 4
    stops_site: bool = False


NEW_FILE = Stage("after the new file", r"^TASK .*Drain the workers together, and beat")
DRAIN = Stage("in mid-drain", MID_DRAIN, seconds=LONG)
SITE = Stage("while the site stops", r"^TASK .*Stop the site", stops_site=True)
RUNNING = Stage("while it waits for RUNNING", r"waiting for .*worker_00 \(.*, \d+ s so far")

SOME: list[tuple[Stage, Interruption]] = [
    (NEW_FILE, firewalled),
    (DRAIN, interrupted),
    (SITE, killed),
    # The guard has the time here that a run has which nobody tells otherwise.
    (RUNNING, killed),
]
OTHERS = [
    (stage, interruption)
    for stage in (NEW_FILE, DRAIN, SITE, RUNNING)
    for interruption in (killed, interrupted, firewalled)
    if (stage, interruption) not in SOME
]
# The pair that `make test` has.
ONCE = (DRAIN, interrupted)
PAIRS = OTHERS if os.environ.get("CUT_PAIRS") == "others" else SOME


@pytest.mark.parametrize(
    ("number", "stage", "interruption"),
    [
        pytest.param(
            number,
            stage,
            interruption,
            marks=[] if (stage, interruption) == ONCE else pytest.mark.thorough,
            id=f"{interruption.__name__} {stage.name}",
        )
        for number, (stage, interruption) in enumerate(PAIRS)
    ],
)
def test_a_server_whose_run_is_cut_off_brings_itself_back(
    machine: Machine, number: int, stage: Stage, interruption: Interruption
) -> None:
    guard = OWN_GUARD_SECONDS if (stage, interruption) == SOME[-1] else GUARD_SECONDS
    # Another one than before each time, and than that of the tuned server.
    concurrency = 11 + number
    prefix = f"cut-{number}-"
    sent = server.send(machine, 2 * concurrency, stage.seconds, prefix.rstrip("-"))
    visitor = f"visitor-{number}"
    (found,) = hosts.existing(servers.LAB)
    with (
        traffic(found, f"waits-{prefix}", WAITING, every=1) as waiting,
        released(machine, [*sent, visitor]),
        apply(concurrency, guard) as run,
    ):
        # Said before it can happen: at Ctrl-C nobody can say anything.
        follow(run, rf"if this run is interrupted .* brings itself back after {guard} s; or run it again")
        if stage.stops_site:
            # Not before: gunicorn lets no request take longer than two minutes.
            follow(run, NEW_FILE.sign)
            ask = server.get(f"/lab/slow/?seconds=1800&key={visitor}")
            server.run(machine, f"{ask} >/tmp/{visitor} 2>&1 </dev/null &")
            assert server.wait(lambda: server.ledger(machine, visitor), bool) == {visitor: ["start"]}
        follow(run, stage.sign)
        while stage.stops_site and server.states(machine).get("myauth:gunicorn") != "STOPPING":
            assert run.poll() is None, "The run was over before it was cut off."
        assert run.poll() is None, "The run was over before it was cut off."
        with interruption(machine, run):
            print("-- cut off")
            release(machine, [*sent, visitor])
            back_by_itself(machine)
    assert all_done(machine, sent, prefix)
    if stage.stops_site:
        assert server.run(machine, f"cat /tmp/{visitor}") == "200\n"
    counted = waiting.settle(300)
    assert (counted.lost, counted.doubled, counted.early) == ((), (), ())
    # The queue is served: those that come now are done as well.
    after = server.send(machine, 2, 0, f"after-{prefix.rstrip('-')}")
    assert all_done(machine, after, f"after-{prefix}")
    # A worker that was still finishing has been started again since.
    assert server.wait(lambda: server.healthy(machine), bool)
    assert re.match(r"The guard of a run of \S+ that was cut off at .* UTC had to act: ", told(machine))
