"""A run with nothing to do, against the cheapest thing Ansible can do with a host."""

from __future__ import annotations

import re
import statistics
import time

from lab.errors import LabError
from lab.machine import ansible_cli

from .table import table

TARGET = 2.0


def measure(lab: str, pairs: int) -> bool:
    """Print what `ansible -m ping` and a run with nothing to do take; return whether the target was met."""
    print("\nNothing to do: `ansible -m ping` and the playbook apply on a converged host, in turns\n", flush=True)
    converge(lab)
    pings: list[float] = []
    applies: list[float] = []
    # The first of each fills caches: ssh's connection, Python's compiled files.
    for number in range(-1, pairs):
        ping, apply = timed(ansible_cli.ping(lab)), timed(ansible_cli.apply(lab), unchanged=True)
        if number < 0:
            print(f"  warm-up: ping {ping:.2f} s, apply {apply:.2f} s", flush=True)
            continue
        print(
            f"  pair {number + 1} of {pairs}: ping {ping:.2f} s, apply {apply:.2f} s, {apply / ping:.2f} times",
            flush=True,
        )
        pings.append(ping)
        applies.append(apply)
    ratios = [apply / ping for ping, apply in zip(pings, applies, strict=True)]
    rows: list[tuple[str, ...]] = [("", "min", "median", "max")]
    for name, values, unit in (("ping", pings, " s"), ("apply", applies, " s"), ("apply / ping", ratios, "")):
        rows.append((name, *(f"{pick(values):.2f}{unit}" for pick in (min, statistics.median, max))))
    print(f"\n{table(rows)}")
    met = statistics.median(ratios) <= TARGET
    print(f"\n  target: the median ratio is at most {TARGET:g}: {'met' if met else 'MISSED'}")
    return met


def converge(lab: str) -> None:
    """Bring the host to where nothing is left to do."""
    print("  converging the host ...", flush=True)
    timed(ansible_cli.apply(lab))


def timed(command: list[str], unchanged: bool = False) -> float:
    """Run to the end; return wall seconds. It must succeed and, if `unchanged`, change nothing."""
    began = time.monotonic()
    done = ansible_cli.run(command)
    took = time.monotonic() - began
    if done.returncode != 0:
        raise LabError(f"`{' '.join(command)}` failed:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
    if unchanged and not re.search(r"changed=0\b", done.stdout):
        raise LabError(f"`{' '.join(command)}` changed something on a converged host:\n{done.stdout[-3000:]}")
    return took
