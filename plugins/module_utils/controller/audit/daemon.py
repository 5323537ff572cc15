# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""supervisord itself: what it runs beside what is on disk, and what systemd does to it."""

from __future__ import annotations

from typing import Any, Iterator, Mapping

from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.audit.finding import Finding, listed
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.outside import stop_seconds, too_short


def findings(look: Mapping[str, Any]) -> list[Finding]:
    """Return what is wrong with the daemon of a host."""
    found = [*_silent(look), *_invalid(look), *_no_project(look), *_cut_off(look)]
    return [*found, *_drift(look), *_orphans(look), *_unit(look)]


def _silent(look: Mapping[str, Any]) -> Iterator[Finding]:
    problem = look["daemon"].get("problem")
    if problem:
        yield Finding(
            "high",
            "supervisord-silent",
            "supervisord",
            problem,
            "Nobody looks after the auth programs.",
            "systemctl status supervisor; then systemctl start supervisor",
        )
    elif not look["daemon"]["of_systemd"]:
        yield Finding(
            "medium",
            "supervisord-by-hand",
            "supervisord",
            f"process {look['daemon']['pid']} was not started by systemd's unit",
            "After a reboot or a crash it does not come back.",
            "supervisorctl shutdown, then systemctl enable --now supervisor",
        )


def _invalid(look: Mapping[str, Any]) -> Iterator[Finding]:
    if look.get("invalid"):
        yield Finding(
            "high",
            "configuration-invalid",
            "supervisor",
            look["invalid"],
            "What runs goes on, but supervisord does not start again with these files. Nothing else could be judged.",
            "mend what the sentence names, then ask again",
        )


def _no_project(look: Mapping[str, Any]) -> Iterator[Finding]:
    if not look["projects"] and not look.get("invalid"):
        yield Finding(
            "high",
            "no-project",
            "supervisord",
            f"none of its {len(look['processes'])} programs is a Celery worker, beat or gunicorn of a project",
            "Alliance Auth does not run here, or something else looks after it.",
            "supervisorctl status; the project's supervisor.conf has to be in /etc/supervisor/conf.d, or a link to it",
        )


def _cut_off(look: Mapping[str, Any]) -> Iterator[Finding]:
    for one in look["projects"]:
        if one["guard"]:
            yield Finding(
                "medium",
                "run-cut-off",
                one["name"],
                one["guard"],
                "A run that changed this server was cut off, and its guard has acted. What that run was to do may not "
                "be done.",
                "ansible-playbook -i my-servers allianceauth.tuning.apply, or the playbook that was cut off",
                one["name"],
            )


def _drift(look: Mapping[str, Any]) -> Iterator[Finding]:
    drift = {how: names for how, names in look["daemon"]["drift"].items() if names}
    if drift:
        yield Finding(
            "medium",
            "disk-differs",
            listed(sorted({name for names in drift.values() for name in names})),
            "; ".join(f"{listed(names)} {how}" for how, names in drift.items())
            + " on disk since supervisord has read it",
            "What runs is not what stands in the files: at the next restart, whenever that is, it becomes so.",
            "ansible-playbook -i my-servers allianceauth.tuning.apply",
        )


def _orphans(look: Mapping[str, Any]) -> Iterator[Finding]:
    for orphan in look["orphans"]:
        yield Finding(
            "high",
            "orphan",
            f"process {orphan['pid']}",
            f"{orphan['command']}: its supervisord is gone",
            "It runs on beside its successor, with the old code and the old settings, and nobody restarts or limits "
            "it.",
            "ansible-playbook -i my-servers allianceauth.tuning.apply (it lets it finish its tasks)",
        )


def _unit(look: Mapping[str, Any]) -> Iterator[Finding]:
    groups: dict[str, list[int]] = {}
    for process in look["processes"]:
        groups.setdefault(process["group"], []).append(process["stopwaitsecs"])
    allowed, needed = look["unit"]["stop_seconds"], stop_seconds(groups.values())
    if look["unit"]["exists"] and allowed is not None and allowed < needed:
        yield Finding(
            "low",
            "unit-stops-too-early",
            "supervisor.service",
            too_short(allowed, needed),
            "Whoever restarts it by systemd, such as an upgrade of packages, leaves workers behind, or loses their "
            "tasks.",
            "ansible-playbook -i my-servers allianceauth.tuning.apply (auth_systemd_drop_in), or systemctl edit "
            f"supervisor: [Service] TimeoutStopSec={needed}",
        )
