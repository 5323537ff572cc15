# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: supervisor_option
short_description: Write an option's value for supervisor
version_added: 0.1.0
author:
  - The allianceauth.tuning authors (@allianceauth)
description:
  - Doubles C(%) and refuses what supervisor's parser would cut off.
options:
  _input:
    description: The value.
    type: str
    required: true
"""

EXAMPLES = r"""
# 50%%
value: "{{ '50%' | allianceauth.tuning.supervisor_option }}"
"""

RETURN = r"""
_value:
  description: The option's value for C(supervisor.conf).
  type: str
"""

from collections.abc import Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import quoting


def supervisor_option(value: str) -> str:
    try:
        return quoting.option(value)
    except quoting.UnwritableError as why:
        raise AnsibleFilterError(f"{value!r} {why}") from why


class FilterModule:
    """Filters for supervisor's configuration."""

    def filters(self) -> dict[str, Callable[..., str]]:
        return {"supervisor_option": supervisor_option}
