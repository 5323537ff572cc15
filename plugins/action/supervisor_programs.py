# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Call the module in slices until it is done, with a line of progress for each."""

from __future__ import annotations

import time
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.allianceauth.tuning.plugins.module_utils import progress

display = Display()

# A supervisord that has just been started answers within a second or two, on a busy host later.
_DAEMON_SECONDS = 60


class ActionModule(ActionBase):
    """See the documentation of the module supervisor_programs."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        self._vars = task_vars or {}
        if self._task.args.get("state") == "stopped":
            return self._stop(result)
        return self._start(result)

    def _call(self, **arguments: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self._execute_module(
            module_name="allianceauth.tuning.supervisor_programs", module_args=arguments, task_vars=self._vars
        )
        return answer

    def _stop(self, result: dict[str, Any]) -> dict[str, Any]:
        host, arguments = self._vars["inventory_hostname"], dict(self._task.args)
        drained = progress.Drained(host, arguments.get("stopwaitsecs", {}))
        kills = arguments.get("timeout_action") == "kill"
        while True:
            answer = self._call(**arguments, told=drained.told, kill=drained.overdue() if kills else [])
            drained.update(answer)
            result.update(answer, changed=drained.changed, tasks=drained.tasks)
            if answer.get("failed") or not drained.pending:
                if kills and drained.killed():
                    result.setdefault("warnings", []).append(drained.said_of_lost())
                return result
            if drained.overdue() and not kills:
                # Everything that was stopped is started again before anybody reads of it.
                names = drained.supervised()
                again = self._call(state="running", processes=names, settle=0) if names else {}
                result.update(failed=True, msg=drained.said_of_abort(again.get("msg", "")))
                return result
            display.display(drained.line())

    def _start(self, result: dict[str, Any]) -> dict[str, Any]:
        host, arguments = self._vars["inventory_hostname"], dict(self._task.args)
        timeout, began, changed, site = int(arguments.get("timeout", 300)), time.monotonic(), False, None
        starts = progress.Starts()
        while True:
            answer = self._call(**arguments)
            changed, site = changed or answer.get("changed", False), site or answer.get("site")
            result.update(answer, changed=changed, site=site)
            if answer.get("failed"):
                result["msg"] = f"{host}: {answer.get('msg', '')}"
                return result
            if not answer.get("pending"):
                return result
            waited = round(time.monotonic() - began)
            if answer["pending"][0]["name"] == "supervisord" and waited >= _DAEMON_SECONDS:
                result.update(failed=True, msg=f"{host}: {answer['pending'][0]['state']}")
                return result
            if site:
                # Its first answer is what counts; the later ones are the visitors'.
                arguments["site"] = ""
            if starts.never_stay(answer["pending"]):
                result.update(failed=True, msg=starts.said(host, answer))
                return result
            if waited >= timeout:
                result.update(failed=True, msg=progress.said_of_silence(host, answer, waited))
                return result
            display.display(progress.waiting(host, answer, waited))
