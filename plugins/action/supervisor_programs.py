# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Call the module in slices until it is done, with a line of progress for each."""

from __future__ import annotations

import time
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

display = Display()


class ActionModule(ActionBase):
    """See the documentation of the module supervisor_programs."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        host = (task_vars or {})["inventory_hostname"]
        arguments = dict(self._task.args)
        timeout = int(arguments.get("timeout", 120))
        began = time.monotonic()
        changed, told = False, {}
        while True:
            answer = self._execute_module(module_name="allianceauth.tuning.supervisor_programs", module_args=arguments, task_vars=task_vars)
            changed = changed or answer.get("changed", False)
            told = {**answer.get("told", {}), **told}
            result.update(answer, changed=changed, told=told)
            waited = round(time.monotonic() - began)
            if result.get("failed") or not result.get("pending"):
                return result
            names = ", ".join(f"{process['name']} ({process['state']})" for process in result["pending"])
            if arguments["state"] == "running" and waited >= timeout:
                result.update(failed=True, msg=f"{host}: after {waited} s these do not run: {names}. Their logs say why.")
                return result
            display.display(f"{host}: waiting for {names}, {waited} s so far")
