# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: supervisor_environments
short_description: Write the environments of all programs for supervisor
version_added: 0.1.0
author:
  - The allianceauth.tuning authors (@allianceauth)
description:
  - Returns the C(environment) option of each program as a JSON object, for M(allianceauth.tuning.supervisor_config).
  - It may hold secrets, so keep it from being printed.
options:
  _input:
    description: The role's variables, by name.
    type: dict
    required: true
  programs:
    description: The programs' names.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
environments: "{{ variables | allianceauth.tuning.supervisor_environments(['worker']) }}"
"""

RETURN = r"""
_value:
  description: A JSON object of program names and option values.
  type: str
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import variables as role


def supervisor_environments(variables: Mapping[str, Any], programs: list[str]) -> str:
    # The space keeps ansible-core before 2.19 from making a dictionary of text that looks like one.
    return " " + json.dumps(role.environments(variables, programs))


class FilterModule:
    """A filter for supervisor's configuration."""

    def filters(self) -> dict[str, Callable[..., str]]:
        return {"supervisor_environments": supervisor_environments}
