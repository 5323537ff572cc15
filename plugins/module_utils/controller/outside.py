# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide what systemd and needrestart have to be told, so that tasks are whole whoever restarts supervisord."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping

from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.declared import Declared
from ansible_collections.allianceauth.tuning.plugins.module_utils.model import outside
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.program import DEFAULT_STOPWAITSECS


@dataclass(frozen=True)
class Outside:
    """The files for systemd and needrestart: ``texts`` by path, and why they have to be written, if they have to.

    ``seconds`` is how long systemd is to wait for supervisord. ``warnings`` say what no file of ours can change.
    """

    seconds: int
    texts: Mapping[str, str]
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def decide(declared: Declared, info: Mapping[str, Any]) -> Outside:
    """Return what is to be done; ``info`` is `auth_info`'s result."""
    found, needed = info["outside"], _needed(declared, info)
    waits = found["stop_seconds"]
    texts, reasons, warnings = {}, [], []
    if declared.drop_in and info["unit"]:
        # Somebody may have given it more, another project under the same supervisord among them.
        seconds = needed if waits is None else max(needed, int(waits))
        if waits is not None and waits < needed and found["set_by"]:
            warnings.append(
                f"{outside.too_short(waits, needed)}, because {found['set_by']} says so: raise it there, or whoever "
                "restarts supervisord from outside leaves workers behind."
            )
        elif waits is not None and waits < needed:
            reasons.append(outside.too_short(waits, needed))
        if waits is not None and found["drop_in"] != outside.drop_in(seconds):
            texts[outside.DROP_IN] = outside.drop_in(seconds)
            reasons = reasons or [f"{outside.DROP_IN} has other contents"]
    if declared.needrestart and found["has_needrestart"] and found["needrestart"] != outside.NEEDRESTART_TEXT:
        texts[outside.NEEDRESTART] = outside.NEEDRESTART_TEXT
        reasons.append("needrestart may restart supervisord by itself after an upgrade of packages")
    return Outside(needed, texts, tuple(reasons), tuple(warnings))


def _needed(declared: Declared, info: Mapping[str, Any]) -> int:
    ours = declared.own_groups(info)
    others = [
        [int(process["stopwaitsecs"]) for process in group["processes"]]
        for group in info.get("effective", {}).get("groups", [])
        if group["name"] not in ours
    ]
    listeners = [[DEFAULT_STOPWAITSECS] for _name in declared.listener_names]
    return outside.stop_seconds([[program.stopwaitsecs for program in declared.programs], *listeners, *others])
