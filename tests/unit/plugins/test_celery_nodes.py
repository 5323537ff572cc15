# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For whom of Celery's nodes is waited, and how long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
