# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Call the module in slices until it is done, with a line of progress for each."""

from __future__ import annotations

import os
import time
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import progress
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.program import DEFAULT_STOPWAITSECS
from ansible_collections.allianceauth.tuning.plugins.plugin_utils import terminal

# A supervisord that has just been started answers within a second or two, on a busy host later.
_DAEMON_SECONDS = 60

# A worker counts as running after its startsecs, 10 s; on a busy host all of it takes longer.
_AGAIN_SECONDS = 60

# For what did not work before: a program that ends again and again is up in between.
_TOLERATED_SECONDS = 30

# As often as memmon looks (TICK_60).
_WEIGH_SECONDS = 60

# Between two attempts to reach a server.
_LINE_SECONDS = 3


class ActionModule(ActionBase):
    """See the documentation of the module supervisor_programs."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        self._vars = task_vars or {}
        self._run_process = os.getppid()
        if self._task.args.get("state") == "stopped":
            return self._stop(result)
        return self._start(result)

    def _call(self, module: str = "supervisor_programs", **arguments: Any) -> dict[str, Any]:
        """Call the module; if the line is cut, again and again until the guard on the server has to act."""
        guard = self._task.args.get("guard") or {}
        until = time.monotonic() + int(guard.get("seconds", 0))
        while True:
            if os.getppid() != self._run_process:
                # We are its child, in a session of our own since ansible-core 2.19, and outlive it. The next run may
                # be at work by now.
                raise AnsibleActionFail("The run was killed, so this task goes no further.")
            try:
                answer: dict[str, Any] = self._execute_module(
                    module_name=f"allianceauth.tuning.{module}",
                    module_args={**arguments, "guard": guard},
                    task_vars=self._vars,
                )
                return answer
            except AnsibleConnectionFailure:
                # What a call has done whose answer was lost, the next one finds.
                left = until - time.monotonic()
                if left <= 0:
                    raise
                terminal.say(progress.unreachable(self._vars["inventory_hostname"], round(left)))
                time.sleep(_LINE_SECONDS)

    def _stop(self, result: dict[str, Any]) -> dict[str, Any]:
        host, arguments = self._vars["inventory_hostname"], dict(self._task.args)
        drained = progress.Drained(host, arguments.get("stopwaitsecs", {}), arguments.get("workers", []))
        kills = arguments.get("timeout_action") == "kill"
        serving = progress.Serving(host, arguments.pop("serving", {}), arguments.pop("waiting", {}))
        weighed = time.monotonic()
        while True:
            weighs = time.monotonic() - weighed >= _WEIGH_SECONDS
            weighed = time.monotonic() if weighs else weighed
            answer = self._call(
                **arguments,
                # A successor takes tasks at once.
                serving=serving.taking() if weighs else {},
                waiting=serving.waiting,
                stop_requests=drained.stop_requests,
                kill=drained.overdue() if kills else [],
            )
            drained.update(answer)
            serving.waiting = answer.get("waiting", serving.waiting)
            serving.handed_over = answer.get("handed_over") or serving.handed_over
            result.update(answer, changed=drained.changed, tasks=drained.tasks)
            result.update(replaced=serving.replaced, handed_over=serving.handed_over)
            if serving.warnings:
                result["warnings"] = [*answer.get("warnings", []), *serving.warnings]
            if answer.get("failed") or not drained.pending:
                if kills and drained.killed():
                    result.setdefault("warnings", []).append(drained.lost_tasks_warning())
                return result
            if drained.overdue() and not kills:
                # Before anybody reads of it: not every playbook has a rescue.
                trouble, back, finishing = self._start_again(drained)
                result.update(failed=True, msg=drained.abort_message(trouble, back), finishing=finishing)
                return result
            terminal.say(drained.line())
            for process, held in answer.get("heavy", {}).items():
                self._replace(serving, process, held)

    def _replace(self, serving: progress.Serving, process: str, held: int) -> None:
        """Have another worker take the tasks of one that is past its memory limit, and that one finish."""
        terminal.say(serving.line(process, held))
        answer = self._call(
            "celery_standby",
            state="replaced",
            name=process.partition(":")[0],
            processes=[process],
            connections=serving.limited[process]["concurrency"],
            # The drain waits for it.
            timeout=60,
            longest=max(map(int, self._task.args["stopwaitsecs"].values()), default=DEFAULT_STOPWAITSECS),
            **self._task.args["celery"],
        )
        serving.update(process, held, answer)

    def _start_again(self, drained: progress.Drained) -> tuple[str, list[str], list[str]]:
        """Start what a drain has stopped, or stops yet, and have workers take tasks again that take no more.

        Return what could not be started and why, "" if all runs, the workers that take tasks again, and those that
        finish first.
        """
        names, troubles, back = drained.supervised(), [], []
        stopped: set[str] = set()
        until = time.monotonic() + drained.stopping_for() + _AGAIN_SECONDS
        while names:
            given = {"state": "running", "processes": names, "settle": 0, "tolerate": self._tolerated()}
            again = self._run_all(given, until - time.monotonic())
            back += again["back"]
            if not again.get("failed"):
                break
            troubles.append(again["msg"])
            # If supervisord gives one program up, the call ends: those that were still stopping, or had just stopped,
            # are yet to be started. One that is stopped even then does not start.
            states = {one["name"]: one["state"] for one in again.get("pending", [])}
            left = [name for name in states if states[name] in ("STOPPING", "STOPPED") and name not in stopped]
            stopped.update(name for name in left if states[name] == "STOPPED")
            names = left if time.monotonic() < until else []
        return " ".join(troubles), back, drained.finishing(back)

    def _start(self, result: dict[str, Any]) -> dict[str, Any]:
        arguments = dict(self._task.args)
        result.update(self._run_all(arguments, int(arguments.get("timeout", 300))))
        if result.get("failed"):
            result["msg"] = f"{self._vars['inventory_hostname']}: {result['msg']}"
        return result

    def _run_all(self, arguments: dict[str, Any], timeout: float) -> dict[str, Any]:
        """Call the module until all processes run; return its answers as one, and if it failed why (``msg``)."""
        result: dict[str, Any] = {}
        began, changed, site, starts = time.monotonic(), False, None, progress.Starts()
        back: list[str] = []
        finishing: list[str] = []
        while True:
            answer = self._call(**arguments)
            changed, site = changed or answer.get("changed", False), site or answer.get("site")
            back += answer.get("back", [])
            finishing += answer.get("finishing", [])
            result.update(answer, changed=changed, site=site, back=back, finishing=finishing)
            if answer.get("failed"):
                result.setdefault("msg", "")
                return result
            if not answer.get("pending"):
                return result
            waited = time.monotonic() - began
            if waited >= _TOLERATED_SECONDS and {one["name"] for one in answer["pending"]} <= set(self._tolerated()):
                return result
            if trouble := self._trouble(answer, starts, waited, timeout):
                result.update(failed=True, msg=trouble)
                return result
            if site:
                # Its first answer is what counts; the later ones are the visitors'.
                arguments["site"] = ""
            terminal.say(progress.waiting(self._vars["inventory_hostname"], answer, round(waited)))

    def _tolerated(self) -> list[str]:
        return list(self._task.args.get("tolerate") or [])

    def _trouble(self, answer: dict[str, Any], starts: progress.Starts, waited: float, timeout: float) -> str:
        """Return why to wait no longer, "" to go on."""
        first = answer["pending"][0]
        if first["name"] == "supervisord" and waited >= _DAEMON_SECONDS:
            return str(first["state"])
        if starts.restarted_too_often(one for one in answer["pending"] if one["name"] not in self._tolerated()):
            return starts.said(answer)
        return progress.timeout_message(answer, round(waited)) if waited >= timeout else ""
