# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that are cut off, and what becomes of the server then."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any

import pytest
from shared import playbook, server, servers

from lab.podman import engine, hosts

# As short as a busy machine allows: from the end of one call to the beginning of the next one.
GUARD_SECONDS = 45
# What a run has that nobody tells otherwise.
OWN_GUARD_SECONDS = 120

REPORT = "/var/lib/allianceauth.tuning/myauth.guard.json"
STATE = "/run/allianceauth.tuning.myauth.guard"
SSHD = "'[s]shd: admin'"
# Seconds of a task that a test releases.
LONG = 1800

MID_DRAIN = r"waiting for .*worker_00 \(lab_tasks\.sleep for "


class Machine:
    """A host as `server` asks it, by podman: the line that is cut is SSH's, which testinfra goes by."""

    def __init__(self) -> None:
        (found,) = hosts.existing(servers.LAB)
        self._container = found.container

    def run(self, command: str) -> Any:
        done = engine.attempt("exec", self._container, "sh", "-c", command, timeout=600)
        return SimpleNamespace(rc=done.returncode, stdout=done.stdout, stderr=done.stderr)

    def file(self, path: str) -> Any:
        return SimpleNamespace(content_string=server.run(self, f"cat {path}"))

    def firewall(self, verb: str) -> None:
        """Add or remove the rules that drop all of SSH, in the network of the container alone."""
        pid = engine.podman("inspect", "--format", "{{.State.Pid}}", self._container).strip()
        for rule in ("INPUT --protocol tcp --dport 22", "OUTPUT --protocol tcp --sport 22"):
            words = ["nsenter", "--net", "--target", pid, "iptables", verb, *rule.split(), "--jump", "DROP"]
            subprocess.run(words, check=True)


@contextmanager
def killed(_machine: Machine, run: subprocess.Popen[str]) -> Iterator[None]:
    """Be a controller that is gone, with its lines."""
    playbook.kill(run)
    yield


@contextmanager
def interrupted(_machine: Machine, run: subprocess.Popen[str]) -> Iterator[None]:
    """Press Ctrl-C until the run has ended.

    A process of ansible-core that is interrupted while it sends its main process a line keeps the lock of their queue,
    for which the main process then waits for ever; and Python drops the exception of a signal that comes while it
    forks. In both cases the second Ctrl-C ends the run, as docs/failures.md says. A person hardly ever meets them, but
    a test does, which acts in the moment in which a line appears.
    """
    for _time in range(12):
        os.killpg(run.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            run.wait(5)
            break
    assert run.returncode, "The run took no notice of Ctrl-C."
    yield


@contextmanager
def firewalled(machine: Machine, run: subprocess.Popen[str]) -> Iterator[None]:
    """Have a firewall drop what the controller and the server send each other; the run waits on until it is killed."""
    machine.firewall("--insert")
    try:
        yield
    finally:
        playbook.kill(run)
        machine.firewall("--delete")


@contextmanager
def apply(concurrency: int, guard: int = GUARD_SECONDS) -> Iterator[subprocess.Popen[str]]:
    """Begin a run that restarts everything; whatever is left of it in the end is killed."""
    variables = {"auth_worker_concurrency": concurrency}
    if guard != OWN_GUARD_SECONDS:
        variables["__auth_guard_seconds"] = guard
    run = playbook.start("apply", *playbook.extra_vars(variables))
    try:
        yield run
    finally:
        playbook.kill(run)
        run.communicate()


def follow(run: subprocess.Popen[str], sign: str) -> None:
    """Wait for a line of a run's output."""
    assert run.stdout
    for line in run.stdout:
        print(line, end="")
        if re.search(sign, line):
            return
    pytest.fail(f"The run ended with {run.wait()} and did not come to where it was to be cut off.")


def back_by_itself(machine: Machine) -> None:
    """Wait until the guard has acted, and then until all that it has started has proved to stay."""
    assert machine.run(f"timeout 300 sh -c 'until [ -e {REPORT} ]; do sleep 1; done'").rc == 0
    print(server.run(machine, "journalctl -q -o cat -u allianceauth-tuning-myauth-guard.service"))
    assert server.wait(lambda: server.healthy(machine), bool)
    # One that was still finishing counts as running, and is started again in between.
    running = server.wait(lambda: server.arguments(machine), lambda found: "worker_00" in found)
    assert "--concurrency=10" in running["worker_00"]
    assert "--concurrency=10\n" in server.configuration(machine)
    assert machine.run(f"test -e {STATE}").rc != 0
    assert server.wait(lambda: machine.run("pgrep -f '[g]unicorn.* --pid /tmp/'").rc, bool) == 1


def release(machine: Machine, keys: Iterable[str]) -> None:
    """Let tasks end that would take long."""
    server.run(machine, "touch /var/lib/lab/released " + " ".join(f"/var/lib/lab/release-{key}" for key in keys))


@contextmanager
def released(machine: Machine, keys: Iterable[str]) -> Iterator[None]:
    """Let tasks end in the end that would take long, those too that have not begun yet."""
    try:
        yield
    finally:
        release(machine, keys)


def all_done(machine: Machine, sent: dict[str, str], prefix: str) -> bool:
    expected = {key: ["start", "end"] for key in sent}
    return server.wait(lambda: server.ledger(machine, prefix), lambda tasks: tasks == expected) == expected


def told(machine: Machine) -> str:
    """Return what the next run says of the guard, which it says once."""
    run = playbook.apply()
    assert run.status == 0
    assert set(run.changed.values()) == {0}
    assert machine.run(f"test -e {REPORT}").rc != 0
    (said,) = re.findall(r"(?m)^\S+: (The guard of a run of .*)$", run.output)
    return str(said)
