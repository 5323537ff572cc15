# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say how a run ended on a host to who parses it (set_stats), and to the webhook of ``auth_notify_url``."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import ending
from ansible_collections.allianceauth.tuning.plugins.module_utils.model import webhook
from ansible_collections.allianceauth.tuning.plugins.plugin_utils import role


class ActionModule(ActionBase):
    """See the documentation in plugins/modules/auth_result.yml."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, given = self.validate_argument_spec(
            argument_spec={
                "job": {"type": "str", "required": True},
                "ended": {"type": "bool", "required": True},
                "looked_at": {"type": "float", "default": 0},
                "changes": {"type": "list", "elements": "str", "default": []},
            }
        )
        known = task_vars or {}
        host, check_mode = known["inventory_hostname"], bool(self._task.check_mode)
        cause = "" if given["ended"] else ending.cause(known)
        result.update(
            changed=False,
            looked_at=given["looked_at"],
            # As the module set_stats does it.
            ansible_stats={
                "data": {"allianceauth_tuning": ending.stats(given, cause, check_mode)},
                "per_host": True,
                "aggregate": False,
            },
        )
        # Read here and not among the arguments, which Ansible shows.
        config = role.read_webhook(self._templar, known, host, given["job"])
        if config and not check_mode:
            text = ending.text(host, given, cause)
            if problem := webhook.send(config, "ok" if given["ended"] else "failed", text):
                result["warnings"] = [f"{host}: the webhook of auth_notify_url has not taken the message: {problem}."]
        return result
