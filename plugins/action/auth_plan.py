# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide on the controller what to do to a server; nothing is sent there."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import plan, variables


class ActionModule(ActionBase):
    """See the documentation in plugins/modules/auth_plan.yml."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, given = self.validate_argument_spec(
            argument_spec={"variables": {"type": "dict", "required": True}, "info": {"type": "dict", "required": True}}
        )
        host = (task_vars or {})["inventory_hostname"]
        declared, refusals = variables.declare(given["variables"], host, given["info"]["routed_queues"])
        refusals = refusals or plan.refusals(declared, given["info"], host)
        if refusals:
            result.update(failed=True, msg=" ".join(refusals))
            return result
        decided = {**plan.plan(declared, given["info"]), "switched_off": variables.switched_off(given["variables"])}
        result.update(changed=False, plan=decided, warnings=[f"{host}: {warning}" for warning in decided["warnings"]])
        return result
