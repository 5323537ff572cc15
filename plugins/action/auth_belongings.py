# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Call the module, and say if this ansible-core does not support the server's Python."""

from __future__ import annotations

from ansible_collections.allianceauth.tuning.plugins.plugin_utils import pythons


class ActionModule(pythons.Look):
    """See the documentation of the module auth_belongings."""
