# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What check mode did to a tuned server."""

from __future__ import annotations

from typing import Any

from shared import playbook


def test_check_mode_changes_nothing_on_a_tuned_server(host: Any) -> None:
    assert playbook.last_step().changed[host.backend.get_hostname()] == 0
