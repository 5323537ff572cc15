# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For whom of Celery's nodes is waited, and how long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible_collections.allianceauth.tuning.plugins.module_utils.model.program import IMPLEMENTATIONS
from ansible_collections.allianceauth.tuning.plugins.modules import celery_nodes


class Application:
    """Nodes that answer only after so many seconds."""

    def __init__(self, **answers_after: int) -> None:
        self.answers_after = answers_after

    def answers(self, what: str, nodes: Sequence[str], seconds: float) -> dict[str, Any]:
        assert what == "stats"
        return {node: {"pool": {}} for node in nodes if self.answers_after[node] < seconds}


def ask(application: Application, solo: Sequence[str] = ()) -> list[str]:
    asked: Any = application
    return sorted(celery_nodes.ask(asked, list(application.answers_after), solo, 120))


def test_a_node_that_is_not_there_yet_is_waited_for() -> None:
    assert ask(Application(worker_00=0, worker_01=100, worker_02=1000)) == ["worker_00", "worker_01"]


def test_a_solo_node_that_is_busy_is_hardly_waited_for() -> None:
    assert ask(Application(worker_00=100, solo_00=100), ["solo_00"]) == ["worker_00"]
    assert ask(Application(worker_00=100, solo_00=1), ["solo_00"]) == ["solo_00", "worker_00"]


THREADS = {"max-concurrency": 10, "implementation": IMPLEMENTATIONS["threads"]}
SOLO = {"max-concurrency": 1, "implementation": IMPLEMENTATIONS["solo"]}
NODES = {"worker_00@auth1": THREADS, "solo_00@auth1": SOLO}


def judge(**pools: dict[str, Any]) -> tuple[str, str]:
    answers = {f"{name}@auth1": {"pool": figures} for name, figures in pools.items()}
    return celery_nodes.judge(NODES, answers, 120, "/home/a/myauth/log")


def test_a_solo_node_that_is_busy_is_warned_of_and_fails_no_run() -> None:
    assert judge(worker_00=THREADS, solo_00=SOLO) == ("", "")
    warning, failure = judge(worker_00=THREADS)
    assert warning == (
        "Celery's solo_00@auth1 did not answer: with the pool solo, a node answers only between two tasks."
    )
    assert failure == ""


def test_any_other_node_that_is_silent_fails_the_run() -> None:
    assert judge(solo_00=SOLO) == (
        "",
        "Celery's worker_00@auth1 did not answer within 120 s; look into the workers' logs in /home/a/myauth/log.",
    )


def test_a_node_that_is_not_as_it_shall_be_fails_the_run_beside_a_busy_one() -> None:
    warning, failure = judge(worker_00={**THREADS, "max-concurrency": 4})
    assert warning
    assert "says that its max-concurrency is 4 and not 10" in failure
