# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell which inventories a run has, for what is written beside them."""

from __future__ import annotations

from ansible import constants, context


def sources() -> list[str]:
    """Return the inventories of this run, as -i or the configuration names them; a list of hosts is none."""
    given = context.CLIARGS.get("inventory") or constants.config.get_config_value("DEFAULT_HOST_LIST") or []
    return [str(one) for one in given if "," not in str(one)]
