# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print the table that ends a run, as lines and not as JSON."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import refusals, removal, report
from ansible_collections.allianceauth.tuning.plugins.plugin_utils import role, terminal


class ActionModule(ActionBase):
    """See the documentation in plugins/modules/auth_report.yml."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, given = self.validate_argument_spec(
            argument_spec={
                "plan": {"type": "dict", "required": True},
                "results": {"type": "dict", "default": {}},
            }
        )
        host, check_mode = (task_vars or {})["inventory_hostname"], bool(self._task.check_mode)
        warnings: list[str] = []
        if given["plan"]["job"] == "remove":
            restarted = bool(given["results"].get("supervisord", {}).get("changed"))
            lines = removal.lines(host, given["plan"], restarted, check_mode)
            still = report.still_running(given["results"].get("served", {}))
            lines += [f"  {still}"] * bool(still)
            warnings = report.Report(host, given["plan"], given["results"], check_mode).warnings()
            changes = [line.strip() for line in lines[2:]]
        elif given["plan"]["job"] == "drain":
            lines = changes = report.drained(host, given["plan"]["drain"], check_mode)
        elif given["plan"]["job"] == "start":
            lines = report.started(host, given["plan"], given["results"], check_mode)
            changes = lines if given["results"].get("resumed", {}).get("changed") else []
        elif given["plan"]["job"] == "rollback":
            told = report.Report(host, given["plan"], given["results"], check_mode)
            changes, warnings = told.back(), told.warnings()
            lines = [f"{host}: {' '.join(changes)}"]
        else:
            told = report.Report(host, given["plan"], given["results"], check_mode)
            lines, changes, warnings = told.lines(), told.changes(), told.warnings()
            if not given["plan"]["actions"]:
                # A host that was looked at before has not seen this one, which takes no lock.
                warnings += filter(None, [refusals.second_beat(host, role.hosts(task_vars or {}))])
        terminal.say("\n".join(lines))
        result.update(changed=False, changes=changes, warnings=warnings)
        return result
