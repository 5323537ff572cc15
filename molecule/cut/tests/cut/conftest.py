# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server whose runs are cut off."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from shared import cutting, playbook, server


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what the job that has the other pairs need not do once more."""
    if os.environ.get("CUT_PAIRS") == "others":
        once = [item for item in items if item.path.name != "test_pairs.py"]
        items[:] = [item for item in items if item not in once]
        config.hook.pytest_deselected(items=once)


@pytest.fixture(scope="module")
def machine() -> cutting.Machine:
    return cutting.Machine()


@pytest.fixture(autouse=True)
def no_task_stays(machine: cutting.Machine) -> Iterator[None]:
    """Let the tasks end of a test that has failed: the next one would wait for them."""
    yield
    cutting.release(machine, (key for key, said in server.ledger(machine, "").items() if said == ["start"]))


@pytest.fixture(autouse=True)
def as_it_was(machine: cutting.Machine) -> None:
    """Tune the server anew after a test that has failed halfway: each one expects a concurrency of 10."""
    left = machine.run(f"test -e {cutting.STATE} || test -e {cutting.REPORT}").rc == 0
    if left or "--concurrency=10\n" not in server.configuration(machine):
        assert playbook.apply().status == 0
