# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps in which a pool's limits are lowered are one value when two files are compared."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import consent

from tests.unit.plugins.changing import Server

LIMITS = ("512MB", "487MB", "461MB")


def limits(server: Server, old: str) -> list[str]:
    """Return what is said of limits."""
    return [line for line in consent.summary(server.changes(old)) if "limit" in line or "leak alike" in line]


@pytest.mark.parametrize("numprocs", [2, 5, 8])
def test_more_processes_of_one_limit_are_no_other_limit(defaults: dict[str, Any], numprocs: int) -> None:
    pool = {"auth_worker_numprocs": numprocs, "auth_worker_memory_limit": "900MB"}
    old = Server(defaults, {**pool, "auth_worker_numprocs": 3}).file()
    assert limits(Server(defaults, pool), old) == []
    # Without the role's own head it is somebody's.
    by_hand = "[" + old.partition("\n[")[2]
    offered = next(one for one in Server(defaults).unasked(by_hand) if one["item"] == "memory limit")
    assert offered["keeps"] == ((("auth_worker_memory_limit",), "900MB"),)
    assert offered["now"] == "900MB in steps downwards"


def test_one_limit_for_all_of_a_pool_is_lowered_without_a_question(defaults: dict[str, Any]) -> None:
    server = Server(defaults, {"auth_worker_numprocs": 3})
    old = server.file()
    for process, limit in enumerate(LIMITS):
        assert f"-p worker_{process:02d}={limit}" in old
        old = old.replace(f"-p worker_{process:02d}={limit}", f"-p worker_{process:02d}=512MB")
    assert server.unasked(old) == []
    (said,) = limits(server, old)
    assert said.startswith(
        "worker memory limit: 512MB -> 512MB in steps downwards (processes of a pool that leak alike"
    )


def test_a_limit_of_its_own_for_one_of_a_pool_is_asked_about(defaults: dict[str, Any]) -> None:
    server = Server(defaults, {"auth_worker_numprocs": 3})
    old = server.file().replace(f"-p worker_01={LIMITS[1]}", "-p worker_01=600MB")
    (change,) = server.unasked(old)
    assert change["now"] == "461MB and 512MB and 600MB"
