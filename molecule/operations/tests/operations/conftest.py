# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where each fault begins."""

from __future__ import annotations

from typing import Any

import pytest
from shared import server


@pytest.fixture(autouse=True)
def _tuned(host: Any) -> None:
    """Have all programs run: a worker that an earlier test kept busy comes back by itself."""
    assert server.wait(lambda: server.healthy(host), bool)
