# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the tests side by side, as many as the machine carries, and count what they did.

    python -m scripts.jobs test|test-all|test-versions|molecule [SCENARIO]...

`test` is the main promises, `test-all` adds the tests that are marked as thorough, another distribution and the oldest
ansible-core, `test-versions` is four generations of servers and three of ansible-core, `molecule` is the scenarios, or
those named. JOBS says how many run at once.
A job that fails keeps no other from running; the exit status is 1 if any has failed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path

from scripts import summary

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / ".cache/junit"
PYTHON = sys.executable

# A scenario's servers, with the controller that works on them, take about that much. A part of the
# time a scenario waits, for tasks, ticks and programs that start; with three for two cores these are
# never idle, and a fourth only has all of them take turns.
_JOB_BYTES = 2 * 1024**3
_JOBS_PER_CORE = 1.5

# How long each takes, in seconds, with three at once on two cores: the longest begin first. One
# that is not here yet may be the longest.
SECONDS = {
    "faults": 850,
    "killed": 790,
    "revert": 600,
    "operations": 940,
    "restart": 870,
    "memory": 770,
    "remove": 500,
    "upgrade": 400,
    "cut": 940,
    "busy": 870,
    "default": 680,
    "override": 520,
    "controller": 300,
    "sudo": 200,
    "lint": 870,
    "unit": 390,
    "adopt": 290,
    "audit": 660,
    "typed": 310,
    "refusals": 380,
}


@dataclass(frozen=True)
class Job:
    """A command with the name that its results have; it begins when all that it needs have passed."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    seconds: int = 3600


@dataclass(frozen=True)
class End:
    """How a job ended: passed, failed or skipped, and after how many seconds."""

    status: str
    seconds: float = 0


IMAGES = Job("images", (PYTHON, "molecule/shared/servers.py", "images"), {"PYTHONPATH": "."})
LINT = Job("lint", ("scripts/lint",), seconds=SECONDS["lint"])
UNIT = Job("unit", ("scripts/unit",), seconds=SECONDS["unit"])

OLDEST = ".cache/venv-oldest"
TOOLS_OLDEST = Job("tools-oldest", (os.environ.get("MAKE", "make"), "--no-print-directory", "venv", "TOOLS=oldest"))

# Scenarios about distributions and versions, which run in `test-versions`: another controller, a sudo that asks for a
# password, and a server that was tuned by the release before, which is taken out of the checkout's history.
VERSIONS = ("controller", "sudo", "upgrade")
# Scenarios whose promises others show as well: changed variables on a busy server (`busy` does that), and what a
# developer types.
THOROUGH = ("override", "typed")


def scenarios() -> list[str]:
    """Return the names of Molecule's scenarios."""
    return sorted(file.parent.name for file in ROOT.glob("molecule/*/molecule.yml"))


def scenario(name: str, title: str = "", needs: Iterable[str] = (), **environment: str) -> Job:
    """Return the job of a scenario; with a `title` it has servers of its own beside those of the same scenario."""
    title = title or name
    return Job(
        title,
        ("scripts/scenario", name),
        {"LAB_RUN": title, **environment},
        ("images", *needs),
        SECONDS.get(name, 1800),
    )


def image(distro: str) -> Job:
    """Return the job that makes another distribution's image; it begins at once, because others wait for it."""
    return Job(distro, IMAGES.command, {**IMAGES.environment, "LAB_DISTRO": distro}, ("images",))


def on(name: str, title: str, *distros: str, needs: Sequence[str] = (), **environment: str) -> Job:
    """Return the job of a scenario with one server of each of these distributions."""
    servers = {"LAB_HOSTS": "1", "LAB_DISTRO": ",".join(distros)}
    return scenario(name, title, (*distros, *needs), **servers, **environment)


def matrix() -> list[Job]:
    """Return what `test-all` does besides `test`.

    What is thorough runs once: on another distribution and with another ansible-core, each promise is enough.
    """
    return [
        image("debian13"),
        scenario("default", "default-debian13", ("debian13",), LAB_DISTRO="debian13"),
        # The pairs of a stage and an interruption that `cut` leaves out.
        thorough(scenario("cut", "cut-pairs", CUT_PAIRS="others")),
        TOOLS_OLDEST,
        Job("unit-oldest", UNIT.command, {"VENV": OLDEST, "JUNIT_SUITE": "unit-oldest"}, ("tools-oldest",), 400),
        scenario("refusals", "refusals-oldest", ("tools-oldest",), VENV=OLDEST),
    ]


def versions() -> list[Job]:
    """Return four generations of servers and three of ansible-core.

    All have passed once (docs/testing.md says how long each took). They are not in `test-all`, which continuous
    integration runs: once is not steadily.
    """
    return [
        *(image(distro) for distro in ("debian11", "debian12", "debian13", "debian14")),
        TOOLS_OLDEST,
        on("default", "default-newer", "debian13", "debian14"),
        on("default", "default-oldest", "debian11", "debian12", needs=["tools-oldest"], VENV=OLDEST),
        # The newest ansible-core, which Debian 14 has a Python for.
        on("controller", "controller-newest", "debian11", "debian14"),
        on("controller", "controller-local", "debian12"),
        on("sudo", "sudo", "debian13", "debian14"),
        scenario("upgrade"),
    ]


def choose(verb: str, names: Sequence[str]) -> list[Job]:
    """Return the jobs of a verb in the order in which they may begin."""
    if verb == "molecule":
        unknown = [name for name in names if name not in scenarios()]
        if unknown:
            sys.exit(f"There is no scenario {unknown[0]}; there are: {', '.join(scenarios())}.")
        return [IMAGES, *longest_first(thorough(scenario(name)) for name in names or scenarios())]
    if verb == "test-versions":
        return [IMAGES, *longest_first(map(thorough, versions()))]
    if verb == "test":
        left_out = (*VERSIONS, *THOROUGH)
        return [IMAGES, *longest_first([LINT, UNIT, *(scenario(name) for name in scenarios() if name not in left_out)])]
    jobs = [LINT, UNIT, *(scenario(name) for name in scenarios() if name not in VERSIONS)]
    return [IMAGES, *longest_first([*map(thorough, jobs), *matrix()])]


def thorough(job: Job) -> Job:
    """Return the same job with all its tests, those that are marked as thorough too."""
    return replace(job, environment={**job.environment, "THOROUGH": "1"})


def longest_first(jobs: Iterable[Job]) -> list[Job]:
    """Order jobs so that none of the long ones is left alone in the end."""
    return sorted(jobs, key=lambda job: -job.seconds)


def at_once(cores: int, available: int) -> int:
    """Return how many jobs run at once on so many cores with so many bytes of free memory."""
    return max(1, min(int(cores * _JOBS_PER_CORE), available // _JOB_BYTES))


def available_memory() -> int:
    """Return the bytes that new programs could have. Source: proc(5), MemAvailable in KiB."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))


class Runner:
    """Runs jobs and prints what they say, each line with the job's name before it."""

    def __init__(self, jobs: Sequence[Job], count: int) -> None:
        self.jobs = jobs
        self.count = count
        self.ends: dict[str, End] = {}
        self._began = time.monotonic()
        self._width = max(len(job.name) for job in jobs)
        self._printing = threading.Lock()

    def run(self) -> dict[str, End]:
        """Run all; return how each ended."""
        self._say(f"{len(self.jobs)} jobs, {self.count} at once: {', '.join(job.name for job in self.jobs)}")
        waiting = list(self.jobs)
        running: dict[Future[End], Job] = {}
        with ThreadPoolExecutor(self.count) as pool:
            while waiting or running:
                for job in list(waiting):
                    if missing := [need for need in job.needs if self._status(need) in ("failed", "skipped")]:
                        waiting.remove(job)
                        self._end(job, End("skipped"), running.values(), f" without {', '.join(missing)}")
                    elif len(running) < self.count and all(self._status(need) == "passed" for need in job.needs):
                        waiting.remove(job)
                        running[pool.submit(self._run, job)] = job
                done, _rest = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    self._end(running.pop(future), future.result(), running.values())
        return self.ends

    def _status(self, name: str) -> str:
        return self.ends[name].status if name in self.ends else ""

    def _end(self, job: Job, end: End, running: Iterable[Job], why: str = "") -> None:
        self.ends[job.name] = end
        others = ", ".join(other.name for other in running) or "none"
        self._say(
            f"{job.name} {end.status}{why} in {end.seconds:.0f} s; {len(self.ends)} of {len(self.jobs)} done after "
            f"{(time.monotonic() - self._began) / 60:.0f} min, running: {others}"
        )

    def _say(self, text: str) -> None:
        with self._printing:
            print(f"== {text}", flush=True)

    def _run(self, job: Job) -> End:
        began = time.monotonic()
        with subprocess.Popen(
            job.command,
            cwd=ROOT,
            env={**os.environ, **job.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            assert process.stdout
            for line in process.stdout:
                with self._printing:
                    print(f"{job.name:{self._width}} | {line.rstrip()}", flush=True)
        status = "failed" if process.returncode else "passed"
        return End(status, time.monotonic() - began)


def main(verb: str, *names: str) -> int:
    """Run what the verb says, print the counts and return the exit status."""
    jobs = choose(verb, names)
    count = int(os.environ.get("JOBS") or 0) or at_once(os.cpu_count() or 1, available_memory())
    shutil.rmtree(RESULTS, ignore_errors=True)
    RESULTS.mkdir(parents=True)
    ends = Runner(jobs, count).run()
    suites = summary.read(RESULTS)
    print()
    print(summary.text(suites, {name: (end.status, end.seconds) for name, end in ends.items()}))
    return 0 if all(end.status == "passed" for end in ends.values()) and not summary.failures(suites) else 1


if __name__ == "__main__":
    if sys.argv[1:2] not in (["test"], ["test-all"], ["test-versions"], ["molecule"]):
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
