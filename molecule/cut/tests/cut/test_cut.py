# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that is cut off, at every stage in which something is stopped or not proved yet, and no second run."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from shared import playbook, server, servers

from lab.observe.traffic import traffic
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

# Tasks that a worker holds until their countdown is over.
WAITING = ("1:0:countdown=1-30",)

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


@pytest.fixture(scope="module")
def machine() -> Machine:
    return Machine()


@pytest.fixture(autouse=True)
def no_task_stays(machine: Machine) -> Iterator[None]:
    """Let the tasks end of a test that has failed: the next one would wait for them."""
    yield
    release(machine, (key for key, said in server.ledger(machine, "").items() if said == ["start"]))


def kill(run: subprocess.Popen[str]) -> None:
    """Be a controller that is gone, with its lines."""
    playbook.kill(run)


def interrupt(run: subprocess.Popen[str]) -> None:
    """Press Ctrl-C."""
    os.killpg(run.pid, signal.SIGINT)
    run.wait(60)


@dataclass(frozen=True)
class Cut:
    """A stage that begins with a line of the output that matches `sign`, and how the run ends in it.

    `awaits` is a command that succeeds on the server once it has begun there, too; `seconds` is
    how long the tasks take that run meanwhile, and `guard` after how many the server brings itself back.
    """

    name: str
    sign: str
    end: Callable[[subprocess.Popen[str]], None] = kill
    awaits: str = ""
    seconds: float = 4
    guard: int = GUARD_SECONDS


CUTS = [
    Cut("after the new file", r"^TASK .*Drain the workers together, and beat"),
    Cut("Ctrl-C in mid-drain", MID_DRAIN, interrupt, seconds=LONG),
    Cut(
        "after the site has stopped",
        r"^TASK .*Stop the site",
        awaits="supervisorctl status myauth:gunicorn | grep STOP",
    ),
    Cut("while it waits for RUNNING", r"waiting for .*worker_00 \(.*, \d+ s so far", guard=OWN_GUARD_SECONDS),
]


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


@pytest.mark.parametrize("cut", CUTS, ids=[cut.name for cut in CUTS])
def test_a_server_whose_run_is_cut_off_brings_itself_back(machine: Machine, cut: Cut) -> None:
    concurrency = 5 + CUTS.index(cut)
    prefix = f"cut-{CUTS.index(cut)}-"
    sent = server.send(machine, 2 * concurrency, cut.seconds, prefix.rstrip("-"))
    (found,) = hosts.existing(servers.LAB)
    with traffic(found, f"waits-{prefix}", WAITING, every=1) as waiting, apply(concurrency, cut.guard) as run:
        # Said before it can happen: at Ctrl-C nobody can say anything.
        follow(run, rf"if this run is interrupted .* brings itself back after {cut.guard} s; or run it again")
        follow(run, cut.sign)
        while cut.awaits and machine.run(cut.awaits).rc != 0:
            assert run.poll() is None, "The run was over before it was cut off."
        assert run.poll() is None, "The run was over before it was cut off."
        cut.end(run)
        print("-- cut off")
        release(machine, sent)
        back_by_itself(machine)
    assert all_done(machine, sent, prefix)
    counted = waiting.settle(300)
    assert (counted.lost, counted.doubled, counted.early) == ((), (), ())
    # The queue is served: those that come now are done as well.
    after = server.send(machine, 2, 0, f"after-{prefix.rstrip('-')}")
    assert all_done(machine, after, f"after-{prefix}")
    # A worker that was still finishing has been started again since.
    assert server.wait(lambda: server.healthy(machine), bool)
    assert re.match(r"The guard of a run of \S+ that was cut off at .* UTC had to act: ", told(machine))


def test_a_worker_that_has_only_stopped_to_take_tasks_takes_them_again(machine: Machine) -> None:
    sent, worker = server.send(machine, 1, LONG, "held"), server.pid(machine, "worker_00")
    assert server.wait(lambda: server.ledger(machine, "held-"), bool)
    with apply(13) as run:
        follow(run, r"^TASK .*Drain the workers together, and beat")
        # The guard is told just before the worker is.
        while machine.run(f"grep worker_00@ {STATE}/state.json").rc != 0:
            assert run.poll() is None, "The run was over before it was cut off."
        (node,) = (node for node in server.worker_nodes(machine) if node.startswith("worker_00@"))
        assert (
            server.wait(lambda: server.inspect(machine, "active_queues", node)[node], lambda queues: not queues) == []
        )
        kill(run)
    print("-- cut off")
    back_by_itself(machine)
    after = server.send(machine, 2, 0, "beside")
    assert all_done(machine, after, "beside-")
    assert server.ledger(machine, "held-") == {"held-0": ["start"]}
    assert server.pid(machine, "worker_00") == worker
    assert "myauth:worker_00 takes tasks again" in told(machine)
    release(machine, sent)
    assert all_done(machine, sent, "held-")


def test_a_run_that_is_back_late_touches_nothing_and_says_what_was_done(machine: Machine) -> None:
    sent = server.send(machine, 10, LONG, "late")
    with apply(11) as run:
        follow(run, MID_DRAIN)
        server.run(machine, f"pkill -STOP -f {SSHD}")
        release(machine, sent)
        try:
            back_by_itself(machine)
            assert all_done(machine, sent, "late-")
            assert server.wait(lambda: server.healthy(machine), bool)
            before = server.states(machine), server.run(machine, "supervisorctl status | grep -o 'pid [0-9]*'")
        finally:
            server.run(machine, f"pkill -CONT -f {SSHD}")
        ended = playbook.finish(run)
    assert ended.status != 0
    assert re.search(r"The guard of a run of .* had to act: .*Nothing more was touched: run it again\.", ended.sentence)
    assert "needs you" not in ended.sentence
    assert before == (
        server.states(machine),
        server.run(machine, "supervisorctl status | grep -o 'pid [0-9]*'"),
    )
    assert "--concurrency=10\n" in server.configuration(machine)
    assert f"{server.SUPERVISOR_CONF} is as it was before that run" in told(machine)


def test_a_line_that_is_cut_for_some_seconds_is_no_failure(machine: Machine) -> None:
    sent = server.send(machine, 10, LONG, "hiccup")
    with apply(12) as run:
        follow(run, MID_DRAIN)
        server.run(machine, f"systemctl stop ssh && pkill -KILL -f {SSHD}")
        try:
            time.sleep(6)
        finally:
            server.run(machine, "systemctl start ssh")
        release(machine, sent)
        ended = playbook.finish(run)
    assert ended.status == 0
    assert "cannot be reached; trying again for" in ended.output
    assert all_done(machine, sent, "hiccup-")
    assert "--concurrency=12" in server.arguments(machine)["worker_00"]
    assert server.healthy(machine)
    assert machine.run(f"test -e {REPORT} || test -e {STATE}").rc != 0
