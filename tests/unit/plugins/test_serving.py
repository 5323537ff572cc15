# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Workers that take tasks while the supervised ones restart: their commands and environments."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import plan, variables
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import serving

CELERY = ["/venv/bin/celery", "-A", "myauth", "worker", "--pool=threads"]


@pytest.mark.parametrize(
    "own", [["-n", "worker_00@auth1"], ["-nworker_00"], ["--hostname=worker_00@%h"], ["--hostname", "worker_00"], []]
)
def test_another_worker_has_the_same_command_and_a_node_name_of_its_own(own: list[str]) -> None:
    assert serving.command([*CELERY, *own, "-Q", "a,b"], "other@auth1") == [*CELERY, "-Q", "a,b", "-n", "other@auth1"]


@pytest.mark.parametrize("option", ["--pidfile=/run/a.pid", "--statedb", "--detach", "-D", "-f"])
def test_what_two_workers_cannot_have_is_told(option: str) -> None:
    with pytest.raises(serving.ImpossibleError, match=f"two workers cannot have {option.partition('=')[0]}"):
        serving.command([*CELERY, option, "x"], "other@auth1")


def test_an_environment_is_written_as_systemd_reads_it() -> None:
    written = serving.environment_file({"A": "plain", "B": 'a "b" $c \\d `e`', "C": "two\nlines"})
    assert written == 'A="plain"\nB="a \\"b\\" \\$c \\\\d \\`e\\`"\nC="two\nlines"\n'


def test_a_pool_of_one_task_at_a_time_is_never_handed_over(defaults: dict[str, Any]) -> None:
    pools = [
        {"name": "single", "queues": ["a"], "concurrency": 1},
        {"name": "solo", "queues": ["b"], "pool": "solo"},
        {"name": "pair", "queues": ["c"], "concurrency": 1, "numprocs": 2},
        {"name": "kept", "queues": ["d"], "handover": False},
        {"name": "worker_services", "concurrency": 4},
        {"name": "off", "queues": ["e"], "enabled": False},
    ]
    declared, refusals = variables.declare({**defaults, "auth_workers": pools}, "auth1", ["services"])
    assert refusals == []
    assert [worker.name for worker in declared.workers if worker.can_hand_over] == ["worker", "pair"]
    declared, _refusals = variables.declare({**defaults, "auth_worker_handover": False}, "auth1")
    assert [worker.name for worker in declared.workers if worker.can_hand_over] == []


def test_one_of_each_pool_takes_tasks(defaults: dict[str, Any]) -> None:
    declared, _refusals = variables.declare({**defaults, "auth_worker_numprocs": 3}, "auth1")
    assert plan.handover(declared) == ("myauth:worker_00",)
