# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For whom of Celery's nodes is waited, and how long."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pytest
from ansible_collections.allianceauth.tuning.plugins.modules import celery_nodes


class Application:
    """Nodes that answer only after so many questions."""

    def __init__(self, **silent_for: int) -> None:
        self.silent_for = silent_for
        self.questions = 0

    def inspect(self, what: str, nodes: Sequence[str]) -> dict[str, Any]:
        assert what == "stats"
        self.questions += 1
        return {node: {"pool": {}} for node in nodes if self.silent_for[node] < self.questions}


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(celery_nodes, "_PAUSE_SECONDS", 0)


def ask(application: Application, solo: Sequence[str] = ()) -> list[str]:
    asked: Any = application
    return sorted(celery_nodes.ask(asked, list(application.silent_for), solo, time.monotonic() + 60))


def test_a_node_that_is_not_there_yet_is_asked_again() -> None:
    application = Application(worker_00=0, worker_01=7)
    assert ask(application) == ["worker_00", "worker_01"]
    assert application.questions == 8


def test_a_solo_node_that_is_busy_is_not_waited_for_longer_than_the_others() -> None:
    application = Application(worker_00=7, solo_00=1000)
    assert ask(application, ["solo_00"]) == ["worker_00"]
    assert application.questions == 8
    assert ask(Application(solo_00=1), ["solo_00"]) == ["solo_00"]
