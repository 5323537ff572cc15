# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A task is queued only where a worker is there to take it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import celery_cli
from ansible_collections.allianceauth.tuning.plugins.modules import celery_call

TASK = "some.task"


class Ended(Exception):
    """The module has ended; with its result."""


class Module:
    """What a module's work needs of `AnsibleModule`, whose process ends with it."""

    def __init__(self) -> None:
        self.params = {"project": "myauth", "project_dir": "/srv/myauth", "task": TASK, "timeout": 0}

    def exit_json(self, **result: Any) -> None:
        raise Ended(result)

    def fail_json(self, **result: Any) -> None:
        raise Ended({**result, "failed": True})


def counted(*numbers: int) -> dict[str, Any]:
    return {f"worker_{place:02d}@auth1": {"total": {TASK: number}} for place, number in enumerate(numbers)}


@pytest.mark.parametrize(
    ("answers", "queued", "ended"),
    [
        # After a drain: asked twice, the second time for longer.
        ([{}, {}], [], "No worker of myauth answers, so some.task was not queued; after a drain"),
        ([{}, counted(3), counted(4)], [TASK], "worker_00@auth1"),
        ([counted(3, 1), counted(3, 2)], [TASK], "worker_01@auth1"),
        ([counted(3), counted(3)], [TASK], "No worker received some.task within 0 s, though it was queued"),
    ],
)
def test_nothing_is_queued_that_no_worker_would_take(
    monkeypatch: pytest.MonkeyPatch, answers: list[dict[str, Any]], queued: list[str], ended: str
) -> None:
    said: Iterator[dict[str, Any]] = iter(answers)
    calls: list[str] = []

    class Application:
        def inspect(self, _what: str, seconds: int) -> dict[str, Any]:
            return next(said)

        def call(self, task: str) -> str:
            calls.append(task)
            return "id"

    monkeypatch.setattr(celery_cli.Application, "configured", lambda *_given: Application())
    module: Any = Module()
    with pytest.raises(Ended) as caught:
        celery_call.work(module)
    (result,) = caught.value.args
    assert calls == queued
    assert result["changed"] is bool(queued)
    assert ended in (result["msg"] if "failed" in result else " ".join(result["nodes"]))
    assert not list(said)
