# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What memmon says it checks, in its own log."""

from __future__ import annotations

import re
from typing import Any

import pytest
from shared import server


@pytest.fixture(scope="module")
def checks(host: Any) -> dict[str, int]:
    """Return what memmon has seen and checked at its next look."""
    return server.memmon_checks(host)


def test_memmon_checks_each_worker_process(host: Any, checks: dict[str, int]) -> None:
    assert set(checks) == {name for name in server.arguments(host) if name.startswith("worker")}


def test_memmon_has_the_limit_of_the_variables(host: Any, checks: dict[str, int]) -> None:
    limit = host.ansible.get_variables().get("auth_worker_memory_limit", "512MB")
    number = int(limit.removesuffix("MB")) * 1024**2
    assert {size for process, size in checks.items() if process.endswith("_00")} == {number}
    # The further processes of a pool have less, each another.
    pools = {process.rpartition("_")[0] for process in checks}
    sizes = [[size for process, size in checks.items() if process.startswith(f"{pool}_0")] for pool in pools]
    assert all(len(set(each)) == len(each) and min(each) >= 0.8 * number for each in sizes)


def test_memmon_is_not_root(host: Any) -> None:
    assert server.users(host, r"/bin/memmon\b") == {server.USER}


def test_memmon_listens_to_the_event_of_the_variables(host: Any) -> None:
    event = host.ansible.get_variables().get("auth_memmon_event", "TICK_60")
    assert re.search(rf"(?m)^events = {event}$", host.file(server.SUPERVISOR_CONF).content_string)
