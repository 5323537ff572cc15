# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Call the module, and say once what happens from now on if the run is cut off: at Ctrl-C nobody can."""

from __future__ import annotations

import json
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import progress
from ansible_collections.allianceauth.tuning.plugins.plugin_utils import role, terminal


class ActionModule(ActionBase):
    """See the documentation of the module auth_guard."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        given, known = self._task.args, task_vars or {}
        # Not among the task's arguments, which Ansible shows: its address is a secret.
        config = role.read_webhook(self._templar, known, known["inventory_hostname"], str(known.get("__auth_job", "")))
        arguments = {**given, "webhook": json.dumps(config)} if config else dict(given)
        result.update(self._execute_module(module_args=arguments, task_vars=task_vars))
        seconds = int((given.get("guard") or {}).get("seconds", 0))
        is_set = given.get("state", "present") == "present" and not self._task.check_mode
        if is_set and seconds and not result.get("failed"):
            terminal.say(progress.guarded((task_vars or {})["inventory_hostname"], seconds))
        return result
