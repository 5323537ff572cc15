"""The demonstration: a stock server, tuned while its workers are busy, and the proof."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from . import commands
from .errors import LabError
from .machine import ansible_cli
from .machine.paths import CHECKOUT
from .observe import programs
from .observe.counts import downtime, failed
from .observe.traffic import Traffic, traffic
from .podman import hosts
from .podman.hosts import Host

LAB = "demo"
NUMPROCS, CONCURRENCY, MORE_CONCURRENCY = 3, 7, 9
# Tasks as every:seconds, and two at the start that are likely to run when the drain begins.
TASKS, LONG = ("2:3", "0.5:0.2"), (30, 25)
STEPS = 7
# supervisor runs with the distribution's own Python, so there is nothing to discover and to be warned of.
PYTHON = {"ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3"}


@dataclass
class Story:
    """Prints headlines with the seconds since the beginning, and remembers what did not hold."""

    began: float = field(default_factory=time.monotonic)
    step: int = 0
    unproven: list[str] = field(default_factory=list)

    def headline(self, text: str) -> None:
        """Say what begins."""
        self.step += 1
        elapsed = time.monotonic() - self.began
        print(f"\n{bold(f'== {self.step}/{STEPS}  {text}')}  ({elapsed:.0f} s)\n", flush=True)

    def say(self, text: str) -> None:
        """Say something within the step."""
        print(f"   {text}", flush=True)

    def prove(self, holds: bool, text: str) -> None:
        """Say what was seen and whether it is what should be."""
        print(f"   {colour('32', 'yes') if holds else colour('31', 'NO ')}  {text}", flush=True)
        if not holds:
            self.unproven.append(text)


def bold(text: str) -> str:
    """Emphasize, on a terminal."""
    return colour("1", text)


def colour(code: str, text: str) -> str:
    """Colour, on a terminal."""
    return f"\033[{code}m{text}\033[0m" if sys.stdout.isatty() and "NO_COLOR" not in os.environ else text


def start(story: Story) -> Host:
    """Have a server nobody has touched."""
    story.headline("Start an Alliance Auth server as its installation guide leaves it")
    return commands.stock_hosts(LAB, os.environ.get("LAB_DISTRO", "").split(), 1)[0]


def show_stock(story: Story, host: Host) -> None:
    """Show what the tuning is for."""
    story.headline("What is there")
    for line in programs.status(host):
        story.say(line)
    limits = re.findall(r"-p \S+=\S+", programs.configuration(host))
    story.say("")
    story.say("memmon, which watches memory, does not run: it comes with superlance, which is not installed.")
    story.say(f"Its limits would be {' '.join(limits)}.")
    story.say("It compares them with the names of processes; the worker's is worker_00, so it has no limit.")


def run(story: Story, command: list[str]) -> tuple[float, int, str]:
    """Run a command in view, as a user would; return seconds, exit status and what it said."""
    words = shlex.join(command).replace(" -e ", " \\\n         -e ", 1)
    story.say(f"$ {words}")
    environment = {**ansible_cli.environment(), **PYTHON, "PYTHONUNBUFFERED": "1"}
    if sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        environment["ANSIBLE_FORCE_COLOR"] = "1"
    began = time.monotonic()
    said = []
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT) as done:
        assert done.stdout
        for line in done.stdout:
            print(line, end="", flush=True)
            said.append(line)
    return time.monotonic() - began, done.returncode, "".join(said)


def command(concurrency: int) -> list[str]:
    """Return the main job's command line."""
    wanted = (f"auth_worker_numprocs={NUMPROCS}", f"auth_worker_concurrency={concurrency}")
    return ansible_cli.apply(LAB, *(word for setting in wanted for word in ("-e", setting)))


def change(story: Story, concurrency: int) -> None:
    """Run the main job with something to do."""
    seconds, status, _said = run(story, command(concurrency))
    if status != 0:
        raise LabError(f"ansible-playbook ended with status {status} after {seconds:.0f} s.")
    story.say(f"That took {seconds:.0f} s.")


def apply(story: Story) -> float:
    """Run the main job three times; return when the last run began, in seconds since the epoch."""
    story.headline(f"Tune it: {NUMPROCS} worker processes with {CONCURRENCY} tasks at once each")
    change(story, CONCURRENCY)

    story.headline("The same again: nothing to do")
    seconds, status, said = run(story, command(CONCURRENCY))
    story.prove(status == 0 and re.search(r"changed=0\b", said) is not None, f"changed=0, in {seconds:.1f} s")

    story.headline(f"And now {MORE_CONCURRENCY} tasks at once: this time no visitor notices")
    began = time.time()
    change(story, MORE_CONCURRENCY)
    return began


def prove(story: Story, host: Host, going: Traffic, changed_again: float) -> None:
    """Ask the running system; `changed_again` is when the last change began."""
    workers = [f"worker_{number:02d}" for number in range(NUMPROCS)]
    nodes = programs.nodes(host)
    for worker in workers:
        found = nodes.get(f"{worker}@{host.name}")
        story.prove(found == MORE_CONCURRENCY, f"Celery's {worker}@{host.name} says max-concurrency {found}")

    long = f"of 0.2 to {max(LONG)} s"
    counted = going.settle(60)
    story.prove(
        not counted.lost and not counted.doubled,
        f"{len(counted.sent)} tasks {long} sent meanwhile: {len(counted.lost)} lost, {len(counted.doubled)} doubled",
    )
    before = [request for request in going.requests if request["time"] < changed_again]
    after = [request for request in going.requests if request["time"] >= changed_again]
    story.prove(
        len(before) > len(failed(before)),
        f"the site, asked 10 times a second by way of nginx: away for {downtime(before):.1f} s in the first run,",
    )
    story.prove(
        len(after) > 0 and not failed(after),
        f"and in the last one, where a second gunicorn answered: {len(after)} requests, {len(failed(after))} failed",
    )


def prove_limits(story: Story, host: Host) -> None:
    """Wait for memmon's log: it says what it looks at."""
    story.say("memmon looks once a minute; waiting for its first look ...")
    workers = [f"worker_{number:02d}" for number in range(NUMPROCS)]
    limits = wait_for(lambda: programs.memory_limits(host), workers, 75)
    for worker in workers:
        story.prove(worker in limits, f"memmon's log: {limits.get(worker, f'nothing on {worker}')}")


def wait_for(look: Callable[[], dict[str, str]], names: list[str], seconds: float) -> dict[str, str]:
    """Return what `look` finds as soon as it finds all names, at most after so many seconds."""
    until = time.monotonic() + seconds
    while set(names) - set(found := look()) and time.monotonic() < until:
        time.sleep(1)
    return found


def tell(story: Story) -> None:
    """Do all of it."""
    host = start(story)
    show_stock(story, host)
    rates = " and ".join(f"one of {seconds} s every {every} s" for every, seconds in (t.split(":") for t in TASKS))
    story.say("")
    story.say(f"From now until step 6 it is busy: tasks of {' and '.join(map(str, LONG))} s, then")
    story.say(f"{rates}; and somebody asks nginx for the site 10 times a second.")
    with traffic(host, "demo", TASKS, LONG) as going:
        changed_again = apply(story)
    story.headline("Ask what runs")
    prove(story, host, going, changed_again)
    prove_limits(story, host)


def finish(story: Story) -> None:
    """Remove the server, or say how to reach it."""
    story.step = STEPS - 1
    story.headline("The end")
    if os.environ.get("KEEP") != "1":
        commands.down(LAB)
        return
    story.say("The server stays. Look around, tune it again, and remove it with:")
    story.say("  . .venv/bin/activate")
    story.say(f"  python -m lab exec --name {LAB} {hosts.existing(LAB)[0].name} -- supervisorctl status")
    story.say(f"  {shlex.join(ansible_cli.apply(LAB))} \\")
    story.say(f"      -e auth_worker_numprocs={NUMPROCS} -e auth_worker_concurrency={CONCURRENCY}")
    story.say(f"  python -m lab down --name {LAB}")


def main() -> int:
    """Return the exit status: 0 if all that was to be proven was."""
    story = Story()
    why = ""
    # Being ended from outside is no reason to leave the server behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        tell(story)
    except (LabError, OSError) as error:
        why = str(error)
    except KeyboardInterrupt:
        why = "interrupted"
    try:
        if hosts.existing(LAB):
            finish(story)
    except LabError as error:
        why = why or str(error)
    elapsed = time.monotonic() - story.began
    if why or story.unproven:
        print(f"\ndemo: {why or 'this did not hold: ' + '; '.join(story.unproven)}", file=sys.stderr)
        return 1
    print(f"\n{bold('All of it held.')}  ({elapsed:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
