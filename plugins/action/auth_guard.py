# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Call the module, and say once what happens from now on if the run is cut off: at Ctrl-C nobody can."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import progress

display = Display()


class ActionModule(ActionBase):
    """See the documentation of the module auth_guard."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        result.update(self._execute_module(task_vars=task_vars))
        given = self._task.args
        seconds = int((given.get("guard") or {}).get("seconds", 0))
        is_set = given.get("state", "present") == "present" and not self._task.check_mode
        if is_set and seconds and not result.get("failed"):
            display.display(progress.guarded((task_vars or {})["inventory_hostname"], seconds))
        return result
