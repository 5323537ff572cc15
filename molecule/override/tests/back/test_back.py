# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All is as it was at the start, and on the way there and back no task was lost."""

from __future__ import annotations

from typing import Any

import pytest
from shared import server


@pytest.mark.parametrize("step", ["more", "info", "back"])
def test_each_task_of_a_busy_server_runs_once(host: Any, step: str) -> None:
    expected = {f"before-{step}-{number}": ["start", "end"] for number in range(24)}
    prefix = f"before-{step}-"
    done = server.wait(lambda: server.ledger(host, prefix), lambda tasks: tasks == expected)
    assert done == expected


def test_one_worker_process_is_left(host: Any) -> None:
    assert {name for name in server.arguments(host) if name.startswith("worker_0")} == {"worker_00"}


def test_the_worker_log_is_quiet_again(host: Any) -> None:
    (task_id,) = server.send(host, 1, 0.1, "hushed").values()
    done = server.wait(lambda: server.ledger(host, "hushed"), lambda tasks: len(tasks.get("hushed-0", [])) > 1)
    assert done == {"hushed-0": ["start", "end"]}
    # At the level info it would be there since the worker received it.
    assert task_id not in server.log(host, "worker.log")
