# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Call the module with what the role's variables give, and ask about values that somebody has chosen on the server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import managed_file
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import (
    adopt_files,
    consent,
    values,
    variables,
)
from ansible_collections.allianceauth.tuning.plugins.plugin_utils import explicit, inventory, role, terminal


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
            given = role.read_variables(self._templar, task_vars or {})
            arguments["environments"] = json.dumps(variables.environments(given, programs))
        result.update(self._execute_module(module_args=arguments, task_vars=task_vars))
        host = (task_vars or {})["inventory_hostname"]
        if result.get("failed"):
            if "msg" in result:
                result["msg"] = f"{host}: {result['msg']}"
            return result
        if arguments.get("application"):
            # For whoever asks whether another host of the run has a beat there, too.
            beat = values.boolean(role.read_variables(self._templar, task_vars or {})["auth_beat"])
            result["beat_broker"] = (result.get("waiting", {}).get("broker") or {}).get("identity", "") if beat else ""
        changes = result.get("value_changes", [])
        # Only before anything is touched; see the task that checks the new file.
        if changes and self._task.check_mode:
            self._ask(result, host, changes, task_vars or {})
        if changes and result.get("diff"):
            lines = [f"{host}: what differs in meaning:", *(f"  {text}" for text in consent.summary(changes)), ""]
            result["diff"] = [{"prepared": "\n".join(lines)}, *result["diff"]]
        return result

    def _ask(self, result: dict[str, Any], host: str, changes: list[dict[str, Any]], task_vars: dict[str, Any]) -> None:
        """Stop the run if it would change what somebody has chosen and nobody has asked for."""
        names = explicit.names(self._task, task_vars, variables.NAMES)
        present = role.read_variables(self._templar, task_vars)
        given = consent.Variables(present, names)
        unasked = consent.unasked(changes, given)
        if not unasked:
            return
        routed = task_vars.get("__auth_info", {}).get("routed_queues", [])

        def problems(tree: Mapping[str, Any]) -> list[str]:
            _declared, wrong = variables.declare(consent.added(present, tree), host, routed)
            return [sentence.removeprefix(f"{host}: ").rstrip(".") for sentence in wrong]

        unasked = consent.sayable(unasked, given, problems)
        path = self._task.args["path"]
        place = adopt_files.read_from(inventory.sources(), host)
        terminal.say("\n".join(consent.question(host, path, unasked, given, place)))
        result.update(
            failed=True,
            msg=f"{host}: {path} was not replaced: {len(unasked)} values that somebody has chosen there would change, "
            "and no variable asks for it. The table above has them, with the lines that keep them.",
        )
