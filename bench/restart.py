"""A restart with a busy worker: what a visitor and the tasks notice, by several ways."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from lab import commands
from lab.errors import LabError
from lab.machine import ansible_cli
from lab.observe import programs
from lab.observe.counts import TaskCounts, downtime, failed, longest_delay, without_worker
from lab.observe.traffic import Traffic, traffic
from lab.podman import engine
from lab.podman.hosts import Host
from lab.podman.readiness import parse, running

from .table import table
from .ways import Comparison, Way

# The probe, by which a missing worker shows, some work beside it, and tasks that a worker holds until their time.
PROBE_EVERY = 0.5
TASKS = (f"{PROBE_EVERY}:0", "5:2", "2:0:countdown=1-30")
# Before the restart, so that the long task runs; after it, so that the outage has an end.
LEAD_SECONDS, TAIL_SECONDS = 3, 5
# Longer than systemd's TimeoutStopSec (90 s) and the programs' start together.
READY_SECONDS = 180
# Of what it takes by hand, at most this part.
TARGET = 0.1
# The longest time without a worker, in seconds, on an idle machine.
WITHOUT_WORKER_SECONDS = 1.5


@dataclass(frozen=True)
class Seen:
    """One restart; times in seconds, memory in bytes. `late` is the longest delay of a task with a countdown."""

    took: float
    failed: int
    downtime: float
    without_worker: float
    late: float
    lost: int
    doubled: int
    orphans: int
    memory: int


def measure(lab: str, host: Host, comparison: Comparison, rounds: int, task: int) -> bool:
    """Print what each way costs; return whether this collection's meets the targets."""
    print(f"\n{comparison.what} while a task of {task} s runs, a task of 2 s comes every 5 s, an empty one every")
    print(f"{PROBE_EVERY:g} s, and one with a countdown of 1 to 30 s every 2 s; a visitor asks 10 times a second.")
    print(f"Rounds: {rounds}.\n", flush=True)
    converge(lab)
    ways = comparison.ways
    seen: dict[str, list[Seen]] = {way.key: [] for way in ways}
    for number in range(rounds):
        for way in ways:
            # A value of its own for each, so that each has something to bring into effect.
            concurrency = 11 + number * len(ways) + ways.index(way)
            result = restart(host, way, f"{way.key}{number}", concurrency, task)
            seen[way.key].append(result)
            print(f"  round {number + 1} of {rounds}, {way.title}: {sentence(result)}", flush=True)
            if programs.orphans(host):
                print("  resetting the host: orphans are left ...", flush=True)
                commands.reset(lab)
                converge(lab)
    return report(comparison, seen, task)


def converge(lab: str) -> None:
    """Have the same configuration before each way's first turn."""
    done = ansible_cli.run(ansible_cli.apply(lab))
    if done.returncode != 0:
        raise LabError(f"The playbook apply failed:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")


def restart(host: Host, way: Way, prefix: str, concurrency: int, task: int) -> Seen:
    """Restart one way under traffic, wait until all is over, and count."""
    with traffic(host, prefix, TASKS, [task], weigh=True) as going:
        await_begun(going)
        time.sleep(LEAD_SECONDS)
        start, began = time.time(), time.monotonic()
        way.go(host, concurrency)
        took = time.monotonic() - began
        orphans = programs.orphans(host)
        await_running(host)
        await_consuming(going)
        time.sleep(TAIL_SECONDS)
    counted: TaskCounts = going.settle(task + 60)
    ledger = going.ledger()
    # A worker that has stopped taking tasks begins those on time that it holds, so only the probe shows a gap.
    probe = [one for one in going.sent if one["key"].startswith(f"{going.prefix}-0-")]
    before = min((one["bytes"] for one in going.held if one["time"] < start), default=0)
    return Seen(
        took=took,
        failed=len(failed(going.requests)),
        downtime=downtime(going.requests),
        without_worker=without_worker(probe, ledger, PROBE_EVERY),
        late=longest_delay(going.sent, ledger, 0, time.time()),
        lost=len(counted.lost),
        doubled=len(counted.doubled),
        orphans=len(orphans),
        memory=max(one["bytes"] for one in going.held) - before,
    )


def await_begun(going: Traffic) -> None:
    """Return once the long task runs."""
    until = time.monotonic() + 30
    while not any(line["key"] == f"{going.prefix}-once0" for line in going.ledger()):
        if time.monotonic() > until:
            raise LabError("No worker began the long task within 30 s.")
        time.sleep(0.5)


def await_running(host: Host) -> None:
    """Return once supervisor says that all programs run."""
    until = time.monotonic() + READY_SECONDS
    while not running(parse(engine.attempt("exec", host.container, "supervisorctl", "status").stdout)):
        if time.monotonic() > until:
            raise LabError(f"After {READY_SECONDS} s not all programs run.")
        time.sleep(1)


def await_consuming(going: Traffic) -> None:
    """Return once tasks begin again."""
    now, until = time.time(), time.monotonic() + READY_SECONDS
    while not any(line["event"] == "start" and line["time"] > now for line in going.ledger()):
        if time.monotonic() > until:
            raise LabError(f"After {READY_SECONDS} s no worker takes tasks.")
        time.sleep(1)


def sentence(one: Seen) -> str:
    """Say in a line what was seen."""
    return (
        f"{one.took:.0f} s, site away {one.downtime:.1f} s, no worker {one.without_worker:.1f} s, "
        f"{one.lost} lost, {one.doubled} doubled, {one.orphans} orphans"
    )


def report(comparison: Comparison, seen: dict[str, list[Seen]], task: int) -> bool:
    """Print medians and sums; return whether ours met the targets."""
    head = ("failed", "site away", "no worker", "late", "lost", "doubled", "orphans", "memory", "took")
    rows = [("seconds; requests, tasks, MB", *head)]
    for way in comparison.ways:
        all_of = seen[way.key]
        rows.append(
            (
                way.title,
                spread([one.failed for one in all_of], "{:.0f}"),
                spread([one.downtime for one in all_of], "{:.1f}"),
                spread([one.without_worker for one in all_of], "{:.1f}"),
                spread([one.late for one in all_of], "{:.1f}"),
                str(sum(one.lost for one in all_of)),
                str(sum(one.doubled for one in all_of)),
                str(sum(one.orphans for one in all_of)),
                spread([one.memory / 1024**2 for one in all_of], "{:.0f}"),
                spread([one.took for one in all_of], "{:.0f}"),
            )
        )
    print(f"\n{table(rows)}\n")
    print("  Medians, with min and max in brackets; lost, doubled and orphans are sums over all rounds.")
    print("  failed: requests without an answer or with an error of the server.")
    print("  site away: from the first request that failed to the first answer that came to a later one.")
    print(f"  no worker: gaps between the beginnings of the empty tasks, longer than {3 * PROBE_EVERY:g} s.")
    print("  late: the most by which a task with a countdown began after its time.")
    print("  orphans: Celery processes that do not descend from supervisord when the command returns.")
    print("  memory: what the auth user's processes hold at most, more than before.")
    print("  took: until the command, or the playbook with all its checks, has returned.\n")
    return targets(comparison, seen, task)


def targets(comparison: Comparison, seen: dict[str, list[Seen]], task: int) -> bool:
    """Say of each target whether ours met it; return whether all were met."""
    ours = seen[comparison.ours]
    whole = not any(one.lost or one.doubled or one.orphans for one in ours)
    # Each single run keeps this one, the worst as well.
    gap = max(one.without_worker for one in ours)
    said = {
        "it loses and doubles nothing and leaves no orphan": whole,
        f"no worker for at most {WITHOUT_WORKER_SECONDS:g} s": gap <= WITHOUT_WORKER_SECONDS,
    }
    for name in ("downtime", "without_worker"):
        mine, *others = (
            statistics.median(getattr(one, name) for one in seen[key]) for key in (comparison.ours, *comparison.by_hand)
        )
        title = {"downtime": "site away", "without_worker": "no worker"}[name]
        figures = f"{mine:.1f} s of {min(others):.1f} s, with a task of {task} s"
        said[f"{title} for at most a tenth of the time by hand ({figures})"] = mine <= TARGET * min(others)
    for target, met in said.items():
        print(f"  target of ({comparison.ours}): {target}: {'met' if met else 'MISSED'}")
    return all(said.values())


def spread(values: Sequence[float], form: str) -> str:
    """Return the median, and beside it the range if there is one."""
    median, least, most = (form.format(pick(values)) for pick in (statistics.median, min, max))
    return median if least == most else f"{median} [{least}-{most}]"
