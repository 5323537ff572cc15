# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a server's configuration, and write the variables that describe it beside the inventory."""

from __future__ import annotations

import datetime
import json
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import (
    adopt,
    adopt_files,
    gunicorn_file,
    sections,
    values,
    variables,
)
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.declared import Declared
from ansible_collections.allianceauth.tuning.plugins.plugin_utils import explicit, inventory, role, terminal

_COLLECTION = "allianceauth.tuning"
_OF_THE_LOOK = ("project", "user", "project_dir", "venv", "supervisor_conf", "log_dir")


class CannotAdoptError(Exception):
    """The text is a sentence that says why."""


class ActionModule(ActionBase):
    """See the documentation in plugins/modules/auth_adopt.yml."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        self._vars = dict(task_vars or {})
        self._host = str(self._vars["inventory_hostname"])
        # Nothing of what the modules return goes into the result: there are secrets in it.
        result.update(changed=False, files=[], problem="")
        try:
            result.update(self._adopt())
        except CannotAdoptError as why:
            result["problem"] = f"{self._host}: {why}"
        except OSError as why:
            result["problem"] = f"{self._host}: {why.strerror or type(why).__name__}: {why.filename or 'a file'}."
        except (AnsibleError, ValueError) as why:
            # Its text may have a secret in it, and the task shows nothing of its own (no_log).
            result["problem"] = (
                f"{self._host}: {type(why).__name__} while the variables were read or written; its text is not shown, "
                "because there may be secrets in it. A run of apply with --check reads the same variables of your "
                "inventory, and shows it if one of them is the cause."
            )
        return result

    def _adopt(self) -> dict[str, Any]:
        target = self._target()
        old = adopt_files.names_in(os.path.join(target.folder, adopt_files.VARIABLES))
        named = explicit.names(self._task, self._vars, variables.NAMES)
        wanted = self._templar.template(self._vars["auth_project"]) if "auth_project" in named else ""
        self._found = self._ask("auth_adopt_info", project=wanted)["found"]
        start = self._places(old)
        effective = role.read_variables(self._templar, self._vars)
        self._info = self._look(effective)
        self._base = {**effective, **self._defaults()}
        pools = adopt.pools_to_keep(effective["auth_workers"])
        # Where the inventory says something else than the server has, silence would not do.
        said = {
            name: self._base[name]
            for name in adopt.COMMENTS
            if name in old or (name in named and effective[name] != self._base[name])
        }
        adopted = adopt.adopt(
            {**start, **({"auth_workers": pools} if pools else {})},
            said,
            self._compare,
            lambda given: self._declare(given)[1],
        )
        files, lines = self._write(target, adopted.variables)
        other = adopt.overridden({**self._base, **adopted.variables}, effective, named - old)
        if other:
            lines += [
                "",
                f"Your inventory has other values for {', '.join(other)}; on this host, the new file's count.",
            ]
        for later, names in adopt_files.read_later(target.folder, adopted.variables).items():
            lines += ["", f"{later} sets {', '.join(names)} as well, and is read later: remove that there."]
        terminal.say("\n".join([*lines, *adopt.lines(self._host, adopted, self._found), ""]))
        return {"changed": True, "files": files}

    def _target(self) -> adopt_files.Target:
        target = adopt_files.target(
            inventory.sources(), str(self._vars.get("inventory_file") or ""), self._host, os.getcwd()
        )
        path = os.path.join(target.folder, adopt_files.VARIABLES)
        if os.path.exists(path) and not values.boolean(self._templar.template(self._vars["auth_adopt_force"])):
            raise CannotAdoptError(
                f"{path} is there already, and was not replaced; -e auth_adopt_force=true writes it anew, and keeps "
                "the present one beside it under a hidden name."
            )
        return target

    def _places(self, old: set[str]) -> dict[str, Any]:
        """Return the variables that say where the project is, and have the others be made from them from now on."""
        told = {}
        keys = ("name", "user", "directory", "venv", "path")
        for name, key in dict(zip(adopt.PLACES, keys, strict=True)).items():
            if self._templar.template(self._vars[name]) != self._found[key] or name in old:
                told[name] = self._found[key]
            self._vars[name] = self._found[key]
            self._templar.available_variables = self._vars
        return told

    def _look(self, effective: Mapping[str, Any]) -> dict[str, Any]:
        arguments = {name: effective[f"auth_{name}"] for name in _OF_THE_LOOK}
        info = self._ask("auth_info", **arguments, gunicorn_conf=self._gunicorn_conf())
        if info["user"] is None or not info["venv"]["exists"] or not info["project_exists"]:
            folder, venv = self._found["directory"] or "no folder", self._found["venv"] or "no virtual environment"
            raise CannotAdoptError(
                f"the programs of {self._found['name']} run in {folder} out of {venv}, which is no project with "
                "manage.py and a virtual environment; repair that in supervisor.conf first."
            )
        return info

    def _gunicorn_conf(self) -> str:
        return str(self._templar.template(self._vars["__auth_gunicorn_conf"]))

    def _defaults(self) -> dict[str, Any]:
        """Return the role's defaults of all that describes a server."""
        defaults = self._task._role.get_default_vars()
        return {name: self._templar.template(defaults[name]) for name in adopt.COMMENTS}

    def _declare(self, given: Mapping[str, Any]) -> tuple[Declared, list[str]]:
        together = {**self._base, **given}
        left = gunicorn_file.left_to_it(self._info, self._found["name"], given, together)
        return variables.declare(together, self._host, self._info["routed_queues"], left)

    def _compare(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return how the server's configuration differs from what these variables give."""
        declared, wrong = self._declare(given)
        if wrong:
            raise CannotAdoptError(" ".join(wrong).removeprefix(f"{self._host}: "))
        template = Path(self._find_needle("templates", "supervisor.conf.j2")).read_text(encoding="utf-8")
        content = role.render(template, sections.context(declared, self._info, self._gunicorn_conf()))
        environments = variables.environments({**self._base, **given}, [program.name for program in declared.programs])
        return self._ask(
            "auth_adopt_info", project=self._found["name"], content=content, environments=json.dumps(environments)
        )

    def _ask(self, module: str, **arguments: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self._execute_module(
            module_name=f"{_COLLECTION}.{module}", module_args=arguments, task_vars=self._vars
        )
        if answer.get("failed") or answer.get("unreachable"):
            raise CannotAdoptError(str(answer.get("msg") or "the look at it failed"))
        return answer

    def _write(self, target: adopt_files.Target, described: Mapping[str, Any]) -> tuple[list[str], list[str]]:
        """Write the files; return their paths, and what is to be said of them."""
        secret = os.path.join(target.folder, adopt_files.SECRETS)
        taken = {name for name in self._vars if name.startswith("vault_")} - adopt_files.names_in(secret)
        text, secrets, count = adopt.texts(described, taken, f"{datetime.date.today():%Y-%m-%d}")
        files = []
        if not self._task.check_mode:
            files.append(adopt_files.write(target.folder, adopt_files.VARIABLES, text, 0o644))
            if secrets:
                files.append(adopt_files.write(target.folder, adopt_files.SECRETS, secrets, 0o600))
        place = os.path.join(target.folder, adopt_files.VARIABLES)
        would = "would be written to" if self._task.check_mode else "are in"
        lines = ["", f"{self._host}: the {len(described)} variables that describe this server {would} {place}"]
        if target.why:
            lines += [
                f"Ansible does not read it there, because {target.why}.",
                "This moves it to its place, and all that is read now stays so:",
                f"  {target.command}",
            ]
        if secrets:
            lines += [f"Values of environments ({count}) {would} {secret}, for you alone. Encrypt them:"]
            lines += [f"  ansible-vault encrypt {shlex.quote(secret)}"]
        return files, lines
