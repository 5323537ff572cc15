# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: supervisor_checksum
short_description: Tell the checksum of the file that supervisor_config would write
version_added: 0.1.0
author:
  - The allianceauth.tuning authors (@allianceauth)
description:
  - Returns the SHA-1 of what M(allianceauth.tuning.supervisor_config) makes of some sections and environments,
    so that a file can be compared without being shown.
options:
  _input:
    description: The sections.
    type: str
    required: true
  environments:
    description: What P(allianceauth.tuning.supervisor_environments#filter) returned.
    type: str
    required: true
"""

EXAMPLES = r"""
same: "{{ server.supervisor_conf.checksum == sections | allianceauth.tuning.supervisor_checksum(environments) }}"
"""

RETURN = r"""
_value:
  description: A checksum.
  type: str
"""

import hashlib
import json
from collections.abc import Callable

from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import managed_file


def supervisor_checksum(sections: str, environments: str) -> str:
    return hashlib.sha1(managed_file.complete(sections, json.loads(environments)).encode()).hexdigest()


class FilterModule:
    """A filter for supervisor's configuration."""

    def filters(self) -> dict[str, Callable[..., str]]:
        return {"supervisor_checksum": supervisor_checksum}
