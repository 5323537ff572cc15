# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what the role ``auth`` has: its variables, as the play gives them, and its template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jinja2
from ansible.template import Templar
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import sections, values, variables
from ansible_collections.allianceauth.tuning.plugins.module_utils.model import webhook


def read_variables(templar: Templar, task_vars: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value of each variable that shapes the configuration; secrets among them."""
    return {name: templar.template(task_vars[name]) for name in variables.NAMES}


def read_webhook(templar: Templar, task_vars: Mapping[str, Any], host: str, job: str) -> dict[str, str]:
    """Return what `webhook.send` needs, nothing if there is no webhook or its variables are wrong, which is refused."""
    try:
        url = values.webhook(templar.template(task_vars.get("auth_notify_url", "")))
        kind = values.one_of(webhook.FORMATS)(templar.template(task_vars.get("auth_notify_format", "json")))
    except ValueError:
        return {}
    return {"url": url, "format": kind, "host": host, "job": job} if url else {}


def hosts(task_vars: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the variables of each host of the play by its name, with what the steps of this run have registered."""
    known = {name: task_vars["hostvars"][name] for name in task_vars.get("ansible_play_hosts_all", [])}
    return {**known, task_vars["inventory_hostname"]: task_vars}


def render(template: str, context: Mapping[str, Any]) -> str:
    """Return the text of ``supervisor.conf.j2`` with what `sections.context` returned."""
    environment = jinja2.Environment(trim_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined)
    environment.filters.update(sections.FILTERS)
    return environment.from_string(template).render(context)
