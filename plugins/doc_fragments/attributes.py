# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """What is the same for all modules; one that differs says so itself."""

    DOCUMENTATION = r"""
attributes:
  check_mode:
    description: Can run in check mode and return the changes without making them.
  diff_mode:
    description: Returns what has changed, or would, when in diff mode.
  platform:
    description: Where it runs.
    support: full
    platforms: debian
"""
