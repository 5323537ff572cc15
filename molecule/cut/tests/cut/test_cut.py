# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that is cut off for a while, one that is back too late, and a worker that has only stopped to take tasks."""

from __future__ import annotations

import re
import time

import pytest
from shared import playbook, server
from shared.cutting import (
    LONG,
    MID_DRAIN,
    REPORT,
    SSHD,
    STATE,
    Machine,
    all_done,
    apply,
    back_by_itself,
    follow,
    killed,
    release,
    told,
)


@pytest.mark.thorough
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
        with killed(machine, run):
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
    # As it was for whoever comes next.
    assert playbook.apply().status == 0
