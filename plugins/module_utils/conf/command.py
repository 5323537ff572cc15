# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Command lines as supervisord splits them."""

from __future__ import annotations

import shlex


def split_command(command: str) -> list[str]:
    """Return a command's words. One with unmatched quotes, which supervisord cannot start, is split at its spaces."""
    try:
        return shlex.split(command)
    except ValueError:
        return command.split()
