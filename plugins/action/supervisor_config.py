# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Call the module with the environments that the role's variables give, and name the host in what it refuses."""

from __future__ import annotations

import json
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import managed_file
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import variables
from ansible_collections.allianceauth.tuning.plugins.plugin_utils import role


class ActionModule(ActionBase):
    """See the documentation of the module supervisor_config."""

    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        programs = managed_file.programs_with_environment(arguments.get("content") or "")
        if programs and "environments" not in arguments:
            # Here and not in a variable, which any task could print: they may be secrets.
            values = role.read_variables(self._templar, task_vars or {})
            arguments["environments"] = json.dumps(variables.environments(values, programs))
        result.update(self._execute_module(module_args=arguments, task_vars=task_vars))
        if result.get("failed") and "msg" in result:
            result["msg"] = f"{(task_vars or {})['inventory_hostname']}: {result['msg']}"
        return result
