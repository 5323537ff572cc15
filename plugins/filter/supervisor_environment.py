# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: supervisor_environment
short_description: Write an environment for supervisor
version_added: 0.1.0
author:
  - The allianceauth.tuning authors (@allianceauth)
description:
  - Quotes names and values for an C(environment) option.
options:
  _input:
    description: Names and values.
    type: dict
    required: true
"""

EXAMPLES = r"""
# LANG="C.UTF-8"
value: "{{ {'LANG': 'C.UTF-8'} | allianceauth.tuning.supervisor_environment }}"
"""

RETURN = r"""
_value:
  description: The option's value for C(supervisor.conf).
  type: str
"""

from typing import Callable, Mapping

from ansible.errors import AnsibleFilterError
from ansible_collections.allianceauth.tuning.plugins.module_utils import quoting


def supervisor_environment(value: Mapping[str, str]) -> str:
    try:
        return quoting.environment(value)
    except quoting.Unwritable as why:
        raise AnsibleFilterError(f"{value!r} {why}") from why


class FilterModule:
    """Filters for supervisor's configuration."""

    def filters(self) -> dict[str, Callable[..., str]]:
        return {"supervisor_environment": supervisor_environment}
