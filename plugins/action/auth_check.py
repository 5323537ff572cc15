# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare on the controller what runs with what was decided."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import differences


class ActionModule(ActionBase):
    """See the documentation in plugins/modules/auth_check.yml."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, given = self.validate_argument_spec(
            argument_spec={"plan": {"type": "dict", "required": True}, "info": {"type": "dict", "required": True}}
        )
        problems = differences.disagreements(given["plan"], given["info"])
        result["changed"] = False
        if problems:
            host = (task_vars or {})["inventory_hostname"]
            result.update(failed=True, msg=f"{host}: after the restart {'; '.join(problems)}.")
        return result
