# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell which variables were set: in an inventory, a play, a role's parameters or with ``-e``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import variables


def names(task: Any, task_vars: Mapping[str, Any], wanted: Iterable[str]) -> set[str]:
    """Return those of ``wanted`` that were set above the role's defaults, also where the value is the default.

    ``task`` is the action's. ansible-core does not tell where a variable comes from, but what it gives to a host
    outside any role (hostvars) comes from elsewhere, and so does what a play, a block or a role's call gives.
    """
    role = task._role
    if role is None:
        return {name for name in wanted if name in task_vars}
    defaults = role.get_default_vars(dep_chain=task.get_dep_chain())
    elsewhere: set[str] = set(task_vars["hostvars"].raw_get(task_vars["inventory_hostname"]))
    elsewhere |= set(task.get_vars()) | set(task.get_include_params()) | set(_play_vars(task))
    elsewhere |= set(role.vars) | set(role.get_role_params(task.get_dep_chain()))
    # The comparison is for files of variables that a play names.
    return {
        name
        for name in wanted
        if name in task_vars and (name in elsewhere or name not in defaults or task_vars[name] != defaults[name])
    }


def unknown_variables(templar: Any, task_vars: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each variable that begins like the role's and is none, such as one that was misspelt."""
    allowed = templar.template(task_vars.get("auth_other_variables", []))
    others = allowed if isinstance(allowed, (list, tuple)) else []
    return variables.unknown_names(task_vars, others, task_vars["inventory_hostname"])


def _play_vars(task: Any) -> Mapping[str, Any]:
    parent = task._parent
    while parent is not None:
        play = getattr(parent, "_play", None)
        if play is not None:
            found: Mapping[str, Any] = play.get_vars()
            return found
        parent = parent._parent
    return {}
