"""What concurrency and numprocs change, and what programs hold: the figures of docs/numbers.md.

python -m bench.numbers          on servers of the lab, first without community apps, then with them
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from lab import commands
from lab.errors import LabError
from lab.machine import ansible_cli
from lab.observe import programs
from lab.observe.programs import MEGABYTE
from lab.observe.traffic import LEDGER, PROJECT_DIR, VENV_PYTHON
from lab.podman import engine
from lab.podman.hosts import Host
from lab.podman.image import PLAIN, Contents

from . import machine
from .table import table
from .ways import play

LAB = "numbers"
# Longer than anything here takes, on a slow machine too.
PATIENCE_SECONDS = 600
# numprocs and concurrency: a few tasks at once, more in one process, and as many as that in several.
CONFIGURATIONS = ((1, 5), (1, 20), (4, 5))
# Tasks that wait for others; as many more as there are slots, so that some queue up.
WAITING, WAITING_SECONDS = 40, 1
# Seconds that tasks compute, and those in the midst of it in which the processors are watched.
COMPUTING_SECONDS, WATCHED_SECONDS = 20, 10
# Tasks that a worker holds until their countdown is over: more than one process has places for.
HELD, COUNTDOWN_SECONDS, PLACES = 250, 60, 100
CONNECTED_SECONDS = 15

# Prints the processor's time that processes have taken so far, in seconds. Source: proc(5), stat
_PROCESSOR = """
import os, sys
ticks = 0
for pid in sys.argv[1:]:
    with open(f"/proc/{pid}/stat") as stat:
        ticks += sum(map(int, stat.read().rpartition(")")[2].split()[11:13]))
print(ticks / os.sysconf("SC_CLK_TCK"))
"""

# Queues once each task of the community apps that needs no arguments, their updates among them, and prints how many.
# By hand, as the apps' own schedules take days.
_ROUND = """
import inspect
from myauth.celery import app
app.loader.import_default_modules()
apps = ("afat", "aadiscordbot", "corptools", "memberaudit", "structures")
given = {name: inspect.signature(task.run).parameters.values() for name, task in app.tasks.items()}
names = [
    name
    for name, parameters in given.items()
    if name.startswith(apps) and all(one.default is not one.empty or one.kind > 1 for one in parameters)
]
for name in names:
    app.send_task(name)
print(len(names))
"""


@dataclass(frozen=True)
class Seen:
    """One configuration.

    Seconds until the waiting tasks were done, the cores that computing tasks kept busy, the seconds that a task waited
    behind those with a countdown, connections to the database, and bytes of all workers.
    """

    waiting: float
    cores: float
    behind: float
    connections: int
    memory: int


def on(host: Host, *words: str) -> str:
    """Run a command as root."""
    return engine.podman("exec", host.container, *words, timeout=PATIENCE_SECONDS)


def as_auth(host: Host, *words: str) -> str:
    """Run a command as the auth user, in the project's folder."""
    options = ("--user", "allianceserver", "--workdir", PROJECT_DIR)
    return engine.podman("exec", *options, host.container, *words, timeout=PATIENCE_SECONDS)


def until(look: Callable[[], bool], what: str) -> None:
    """Return once something is so."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not look():
        if time.monotonic() > deadline:
            raise LabError(f"After {PATIENCE_SECONDS} s {what}.")
        time.sleep(0.5)


def send(host: Host, task: str, prefix: str, count: int, seconds: float, *options: str) -> None:
    """Queue tasks of the lab; their keys are PREFIX-0 and so on."""
    given = ("--count", str(count), "--seconds", str(seconds), "--prefix", prefix)
    as_auth(host, VENV_PYTHON, "-m", "lab_tasks.send", task, *given, *options)


def ledger(host: Host, prefix: str, event: str) -> list[float]:
    """Return when tasks began, or ended."""
    lines = (json.loads(line) for line in on(host, "cat", LEDGER).splitlines())
    return [line["time"] for line in lines if line["key"].startswith(f"{prefix}-") and line["event"] == event]


def ended(host: Host, prefix: str, count: int) -> None:
    """Return once so many tasks have ended."""
    until(lambda: len(ledger(host, prefix, "end")) == count, f"not all tasks of {prefix} had ended")


def pid(host: Host, process: str) -> str:
    """Return the number of a process of supervisor's."""
    return on(host, "supervisorctl", "pid", f"myauth:{process}").strip()


def workers(host: Host, numprocs: int) -> list[str]:
    """Return the numbers of the default pool's processes."""
    return [pid(host, f"worker_{number:02d}") for number in range(numprocs)]


def resident(host: Host, pids: Iterable[str]) -> int:
    """Return the bytes that processes hold. Source: proc(5), status."""
    files = [f"/proc/{number}/status" for number in pids]
    lines = on(host, "grep", "-h", "VmRSS", *files).splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines)


def waiting(host: Host, prefix: str) -> float:
    """Return the seconds in which tasks that only wait are done."""
    send(host, "sleep", prefix, WAITING, WAITING_SECONDS)
    ended(host, prefix, WAITING)
    return max(ledger(host, prefix, "end")) - min(ledger(host, prefix, "start"))


def cores(host: Host, prefix: str, pids: Sequence[str], slots: int) -> float:
    """Return how many cores the workers keep busy while each slot computes."""
    send(host, "burn", prefix, slots, COMPUTING_SECONDS)
    until(lambda: len(ledger(host, prefix, "start")) == slots, f"not all tasks of {prefix} had begun")
    before, began = float(on(host, "python3", "-c", _PROCESSOR, *pids)), time.monotonic()
    time.sleep(WATCHED_SECONDS)
    after, took = float(on(host, "python3", "-c", _PROCESSOR, *pids)), time.monotonic() - began
    ended(host, prefix, slots)
    return (after - before) / took


def held(host: Host) -> int:
    """Return how many tasks the workers hold until their time."""
    return sum(map(len, programs.inspect(host, "scheduled").values()))


def behind(host: Host, prefix: str, numprocs: int) -> float:
    """Return the seconds that a task waits which comes when workers hold tasks with a countdown."""
    send(host, "sleep", f"{prefix}-held", HELD, 0, "--countdown", str(COUNTDOWN_SECONDS))
    full = min(HELD, PLACES * numprocs)
    until(lambda: held(host) >= full, f"the workers did not hold {full} tasks")
    sent = time.time()
    send(host, "sleep", f"{prefix}-now", 1, 0)
    ended(host, f"{prefix}-now", 1)
    ended(host, f"{prefix}-held", HELD)
    return ledger(host, f"{prefix}-now", "start")[0] - sent


def connections(host: Host, prefix: str, slots: int) -> int:
    """Return the auth user's connections to the database while each slot has a task that works with it."""
    send(host, "hold_connection", prefix, slots, CONNECTED_SECONDS)
    until(lambda: len(ledger(host, prefix, "start")) == slots, f"not all tasks of {prefix} had begun")
    asked = "SELECT COUNT(*) FROM information_schema.processlist WHERE db IS NOT NULL AND user <> 'root'"
    found = int(on(host, "mariadb", "--skip-column-names", "--batch", "--execute", asked))
    ended(host, prefix, slots)
    return found


def configured(host: Host, numprocs: int, concurrency: int) -> Seen:
    """Bring a configuration into effect, and measure it."""
    given = {"auth_worker_numprocs": numprocs, "auth_worker_concurrency": concurrency}
    play(ansible_cli.apply(LAB, "-e", json.dumps(given)))
    prefix, pids, slots = f"n{numprocs}c{concurrency}", workers(host, numprocs), numprocs * concurrency
    return Seen(
        memory=resident(host, pids),
        connections=connections(host, f"{prefix}-db", slots),
        waiting=waiting(host, f"{prefix}-wait"),
        cores=cores(host, f"{prefix}-burn", pids, slots),
        behind=behind(host, f"{prefix}-eta", numprocs),
    )


def at_rest(host: Host) -> dict[str, int]:
    """Return the bytes of a worker, of beat and of a gunicorn worker that have begun and done nothing yet."""
    play(ansible_cli.apply(LAB, "-e", "auth_worker_concurrency=6"))
    child = on(host, "pgrep", "-P", pid(host, "gunicorn")).split()[0]
    found = {"worker": workers(host, 1)[0], "beat": pid(host, "beat"), "gunicorn worker": child}
    return {name: resident(host, [number]) for name, number in found.items()}


def after_rounds(host: Host, rounds: int) -> list[int]:
    """Return the bytes of the worker after each round of the apps' tasks."""
    found = []
    for number in range(rounds):
        count = int(as_auth(host, VENV_PYTHON, "manage.py", "shell", "-c", _ROUND).splitlines()[-1])
        print(f"  round {number + 1} of {rounds}: {count} tasks of the apps", flush=True)
        until(lambda: idle(host), "tasks were still waiting or running")
        found.append(resident(host, workers(host, 1)))
    return found


def idle(host: Host) -> bool:
    """Whether no task waits in a queue and none runs, twice in a row: a task may queue others."""
    for _look in range(2):
        lengths = on(host, "redis-cli", "--raw", "eval", _LENGTHS, "0")
        answers = programs.inspect(host, "active")
        # A worker that is too busy to answer is not idle.
        if int(lengths) or not answers or any(answers.values()):
            return False
    return True


# The length of all lists of the broker's database: its queues.
_LENGTHS = """
local sum = 0
for _, key in ipairs(redis.call('keys', '*')) do
    if redis.call('type', key).ok == 'list' then sum = sum + redis.call('llen', key) end
end
return sum
"""


def measure() -> None:
    """Print the tables."""
    distros = os.environ.get("LAB_DISTRO", "").split()
    (host,) = commands.stock_hosts(LAB, distros, 1, PLAIN)
    print(machine.describe(host), flush=True)
    without = at_rest(host)
    rows: list[Sequence[str]] = [
        ("numprocs x concurrency", "waiting", "cores", "behind", "connections", "memory"),
    ]
    for numprocs, concurrency in CONFIGURATIONS:
        print(f"  {numprocs} x {concurrency} ...", flush=True)
        seen = configured(host, numprocs, concurrency)
        rows.append(
            (
                f"{numprocs} x {concurrency}",
                f"{seen.waiting:.1f} s",
                f"{seen.cores:.1f}",
                f"{seen.behind:.1f} s",
                str(seen.connections),
                f"{seen.memory / MEGABYTE:.0f} MB",
            )
        )
    (host,) = commands.stock_hosts(LAB, distros, 1, Contents(apps=True))
    print(machine.describe(host), flush=True)
    with_apps = at_rest(host)
    rounds = after_rounds(host, 3)
    print(f"\n{table(rows)}\n")
    print(f"  waiting: until {WAITING} tasks are done of which each waits for {WAITING_SECONDS} s.")
    print(f"  cores: kept busy while each slot computes, of {os.cpu_count()}.")
    print(f"  behind: what a task waits that comes once workers hold {HELD} with a countdown of {COUNTDOWN_SECONDS} s.")
    print("  (Half a second of that is what the sender of that task needs to begin.)")
    print("  connections: to the database, of all programs, while each slot works with it.")
    print("  memory: of the pool's processes, before they have done anything.\n")
    names = [("at rest", "without apps", "with apps")]
    names += [
        (name, f"{size / MEGABYTE:.0f} MB", f"{with_apps[name] / MEGABYTE:.0f} MB") for name, size in without.items()
    ]
    names += [
        (f"worker after {number} x the apps' tasks", "", f"{size / MEGABYTE:.0f} MB")
        for number, size in enumerate(rounds, 1)
    ]
    print(table(names))


def main() -> int:
    """Measure, and remove the server."""
    # Being ended from outside is no reason to leave the server behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        measure()
    except LabError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    finally:
        commands.down(LAB)
    return 0


if __name__ == "__main__":
    sys.exit(main())
