# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide on the controller what to do to a server; nothing is sent there."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import managed_file
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import (
    consent,
    gunicorn_file,
    plan,
    refusals,
    report,
    restarting,
    sections,
    values,
    variables,
)
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.decided import Plan, Wanted
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.declared import Declared
from ansible_collections.allianceauth.tuning.plugins.plugin_utils import explicit, role, terminal

_STEPS = ("install", "configure", "restart", "verify")


class ActionModule(ActionBase):
    """See the documentation in plugins/modules/auth_plan.yml."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, self._given = self.validate_argument_spec(
            argument_spec={
                "job": {
                    "type": "str",
                    "choices": [
                        "apply",
                        "verify",
                        "drain",
                        "start",
                        "restart",
                        "rollback",
                        "remove",
                        "removed",
                        "revert",
                    ],
                    "default": "apply",
                },
                "info": {"type": "dict", "required": True},
                "before": {"type": "dict", "default": {}},
                "belongings": {"type": "dict", "default": {}},
                "file_is_back": {"type": "bool", "default": True},
                "replaced": {"type": "bool", "default": False},
                "gunicorn_conf": {"type": "path", "required": True},
            }
        )
        self._vars = task_vars or {}
        job, info, host = self._given["job"], self._given["info"], self._vars["inventory_hostname"]
        self._values = role.read_variables(self._templar, self._vars)
        problems = explicit.unknown_variables(self._templar, self._vars)
        declared, wrong = variables.declare(self._values, host, info["routed_queues"], self._left_to_gunicorn())
        problems += wrong
        # What ran before runs again, whatever is to be said of the server.
        if not problems and job != "revert":
            problems = refusals.refusals(declared, info, host)
        if not problems and job == "restart":
            problems = restarting.refusals(declared, info, str(self._values["auth_restart_only"]), host)
        if problems:
            result.update(failed=True, msg=refusals.message(problems, host, terminal.say))
            return result
        result["changed"] = False
        if job == "verify":
            left = plan.problems_left(
                declared, info, self._wanted(declared, info), self._steps(), self._given["before"]
            )
            if left:
                result.update(failed=True, msg=f"{host}: after the restart {'; '.join(left)}.")
            # What each process holds now.
            return {**result, "table": report.table(declared, info)}
        decided = self._decide(job, declared, info)
        if decided.refused:
            result.update(failed=True, msg=f"{host}: {decided.refused}")
            return result
        # As tasks read it again, with lists for tuples.
        as_data = json.loads(json.dumps({**asdict(decided), "connections": decided.connections}))
        warnings = [*decided.warnings, *variables.renamed(self._values)]
        return {**result, "plan": as_data, "warnings": [f"{host}: {said}" for said in warnings]}

    def _left_to_gunicorn(self) -> dict[str, Any]:
        info = self._given["info"]
        if not info["own_gunicorn_conf"] and not info["named_gunicorn_conf"]:
            return {}
        return gunicorn_file.left_to_it(info, str(self._values["auth_project"]), self._explicit(), self._values)

    def _explicit(self) -> set[str]:
        return explicit.names(self._task, self._vars, variables.NAMES)

    def _decide(self, job: str, declared: Declared, info: dict[str, Any]) -> Plan:
        wanted = self._wanted(declared, info)
        if job == "drain":
            return plan.drain(declared, info, wanted)
        if job == "start":
            return plan.start(declared, info, wanted)
        if job == "restart":
            return plan.restart(declared, info, wanted, str(self._values["auth_restart_only"]))
        if job == "rollback":
            return plan.rollback(declared, info, wanted, self._given["replaced"], self._given["before"])
        if job == "remove":
            uninstalls = values.boolean(self._values["auth_remove_superlance"])
            return plan.remove(declared, info, wanted, self._given["belongings"], uninstalls)
        if job == "removed":
            return plan.removed(declared, info, wanted, self._given["replaced"], self._given["before"])
        if job == "revert":
            return plan.revert(declared, info, wanted, self._given["before"], self._given["file_is_back"])
        return plan.apply(declared, info, wanted, self._steps())

    def _wanted(self, declared: Declared, info: dict[str, Any]) -> Wanted:
        template = Path(self._find_needle("templates", "supervisor.conf.j2")).read_text(encoding="utf-8")
        content = role.render(template, sections.context(declared, info, self._given["gunicorn_conf"]))
        gunicorn_conf = Path(self._find_needle("files", "gunicorn.py")).read_bytes()
        environments = variables.environments(self._values, [program.name for program in declared.programs])
        return Wanted(
            content=content,
            checksum=hashlib.sha1(managed_file.complete(content, environments).encode()).hexdigest(),
            gunicorn_conf_checksum=hashlib.sha1(gunicorn_conf).hexdigest(),
            superlance=str(self._values["auth_superlance_version"]),
            discard=(*self._values["auth_discard"], *variables.switched_off(self._values)),
            limits_set=consent.Variables(self._values, self._explicit()).have_limit(),
        )

    def _steps(self) -> list[str]:
        """Return the steps that the run's tags let run."""
        wanted = set(self._vars.get("ansible_run_tags") or ["all"])
        skipped = set(self._vars.get("ansible_skip_tags") or [])
        return [step for step in _STEPS if wanted & {step, "all", "tagged"} and not skipped & {step, "tagged"}]
