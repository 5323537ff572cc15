# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge the servers of a run on the controller, print a table, and write the report's files there."""

from __future__ import annotations

import datetime
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from ansible.plugins.action import ActionBase
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.audit import audit, finding, page, table
from ansible_collections.allianceauth.tuning.plugins.plugin_utils import terminal

_JSON, _HTML = "audit.json", "audit.html"

# Where no terminal says how wide it is, and the widest that one still likes to read.
_WIDTH, _WIDEST = 100, 120


class ActionModule(ActionBase):
    """See the documentation in plugins/modules/auth_audit.yml."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, given = self.validate_argument_spec(
            argument_spec={
                "register": {"type": "str", "required": True},
                "path": {"type": "path", "required": True},
                "template": {"type": "path", "required": True},
                "strict": {"type": "str", "default": "", "choices": ["", *finding.SEVERITIES]},
            }
        )
        looks, silent = _looks(task_vars or {}, given["register"])
        now = datetime.datetime.now(datetime.timezone.utc)
        whole = audit.report(looks, silent, f"{now:%Y-%m-%dT%H:%M:%SZ}")
        files = _write(Path(given["path"]).absolute(), whole, Path(given["template"]).read_text(encoding="utf-8"))
        width = min(shutil.get_terminal_size((_WIDTH, 0)).columns, _WIDEST)
        terminal.say("\n".join([*table.lines(whole, width), f"The report: {' and '.join(files)}", ""]))
        result.update(changed=False, files=files)
        bad = audit.at_or_above(whole, given["strict"]) if given["strict"] else {}
        if not bad:
            # A failure is printed with all that it returns.
            result["audit"] = whole
        else:
            said = ", ".join(f"{host} ({number})" for host, number in bad.items())
            result.update(
                failed=True,
                msg=f"There are findings of severity {given['strict']} or above, or hosts that could not be audited: "
                f"{said}; auth_audit_strict is {given['strict']}. The report is {files[-1]}.",
            )
        return result


def _looks(task_vars: Mapping[str, Any], register: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what was seen on each host of the play, and why nothing was on the others."""
    looks, silent = {}, {}
    for host in sorted(task_vars["ansible_play_hosts_all"]):
        looked = task_vars["hostvars"][host].get(register)
        if looked and "processes" in looked:
            # Plain values: what Ansible makes of them knows more than JSON does.
            looks[host] = json.loads(json.dumps(looked, default=str))
        else:
            silent[host] = str(
                (looked or {}).get("msg") or "it could not be reached, or the look at it failed; see above"
            )
    return looks, silent


def render(template: str, whole: Mapping[str, Any]) -> str:
    """Return the page. Whatever a server says of itself is text there, never markup."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["megabytes"] = finding.megabytes
    return environment.from_string(template).render(page.values(whole))


def _write(folder: Path, whole: Mapping[str, Any], template: str) -> list[str]:
    """Write both files, for the owner alone: they say where a server is weak."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        _JSON: json.dumps(whole, indent=2, ensure_ascii=False) + "\n",
        _HTML: render(template, whole),
    }
    for name, text in texts.items():
        with open(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
    return [str(folder / name) for name in texts]
