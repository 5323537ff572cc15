# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: command_line
short_description: Write a command for supervisor
version_added: 0.1.0
author:
  - The allianceauth.tuning authors (@allianceauth)
description:
  - Quotes a list of arguments so that supervisor passes each one unchanged to the process.
options:
  _input:
    description: The program and its arguments.
    type: list
    required: true
"""

EXAMPLES = r"""
# printf %%s
command: "{{ ['printf', '%s'] | allianceauth.tuning.command_line }}"
"""

RETURN = r"""
_value:
  description: The option's value for C(supervisor.conf).
  type: str
"""

from collections.abc import Callable, Sequence

from ansible.errors import AnsibleFilterError
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import quoting


def command_line(value: Sequence[str]) -> str:
    try:
        return quoting.command_line(value)
    except quoting.UnwritableError as why:
        raise AnsibleFilterError(f"{value!r} {why}") from why


class FilterModule:
    """Filters for supervisor's configuration."""

    def filters(self) -> dict[str, Callable[..., str]]:
        return {"command_line": command_line}
