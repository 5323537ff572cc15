# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""numprocs went from 1 to 3; what holds for any number is in the shared tests."""

from __future__ import annotations

from typing import Any

from shared import server


def test_three_numprocs_are_three_processes(host: Any) -> None:
    workers = {name for name in server.arguments(host) if name.startswith("worker")}
    assert workers == {"worker_00", "worker_01", "worker_02", "worker_services_00"}
