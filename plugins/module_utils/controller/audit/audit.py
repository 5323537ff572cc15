# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit of all hosts of a run: findings by severity, and the figures they come from."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Mapping, Sequence

from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import memory
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.audit import (
    beat,
    capacity,
    daemon,
    installed,
    limits,
    programs,
    queues,
    rights,
    worker,
)
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.audit.finding import (
    BAD,
    SEVERITIES,
    Finding,
)

# Raised when something of audit.json changes its meaning or goes.
VERSION = 1

_SUBJECTS = (daemon, programs, installed, limits, queues, rights, capacity)


def findings(looks: Mapping[str, Mapping[str, Any]]) -> dict[str, list[Finding]]:
    """Return the findings on each host, the worst first."""
    together = beat.findings(looks)
    return {
        host: by_severity([*(found for subject in _SUBJECTS for found in subject.findings(look)), *together[host]])
        for host, look in looks.items()
    }


def by_severity(found: Sequence[Finding]) -> list[Finding]:
    """Return findings with the worst first, else in their order."""
    return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))


def report(looks: Mapping[str, Mapping[str, Any]], silent: Mapping[str, str], when: str) -> dict[str, Any]:
    """Return what audit.json holds. ``silent``: the hosts that could not be looked at, with why."""
    found = findings(looks)
    return {
        "version": VERSION,
        "audited": when,
        "hosts": {
            **{host: _host(look, found[host]) for host, look in looks.items()},
            **{
                host: {"verdict": "unknown", "problem": problem, "findings": [], "counts": dict.fromkeys(SEVERITIES, 0)}
                for host, problem in silent.items()
            },
        },
    }


def _host(look: Mapping[str, Any], found: Sequence[Finding]) -> dict[str, Any]:
    counts = {severity: sum(one.severity == severity for one in found) for severity in SEVERITIES}
    sums = capacity.sums(look)
    return {
        "verdict": "bad" if any(counts[severity] for severity in BAD) else "good",
        "counts": counts,
        "findings": [asdict(one) for one in found],
        "memory": {"total": look["memory_total"], **sums},
        "cores": look["cores"],
        "projects": [_project(look, one) for one in look["projects"]],
        "processes": [_process(look, process) for process in look["processes"]],
    }


def _project(look: Mapping[str, Any], one: Mapping[str, Any]) -> dict[str, Any]:
    own = [each for each in worker.workers(look) if each.namespec in one["processes"]]
    return {
        "name": one["name"],
        "user": one["user"],
        "directory": one["directory"],
        "venv": one["venv"],
        "files": one["files"],
        "versions": one["versions"],
        "broker": (one["asked"].get("broker") or {}).get("address"),
        "tasks_at_once": sum(each.tasks(look["cores"]) for each in own),
        "tasks_now": sum(node["active"] for node in (one["asked"].get("nodes") or {}).values()),
        "places": queues.places(one, own),
        "queues": {
            name: {"waiting": queue["after"], "before": queue["before"]}
            for name, queue in (one["asked"].get("queues") or {}).items()
        },
    }


def _process(look: Mapping[str, Any], process: Mapping[str, Any]) -> dict[str, Any]:
    limit, children, _listener = worker.limits(look).get(process["namespec"], (None, True, ""))
    return {
        "name": process["namespec"],
        "kind": process["kind"],
        "state": process["state"],
        "memory": memory.weight(process, children),
        "memory_with_children": memory.weight(process, True),
        "limit": limit,
    }


def at_or_above(whole: Mapping[str, Any], severity: str) -> dict[str, int]:
    """Return how many findings each host has of this severity or a worse one; a host without a look counts as one."""
    counted = SEVERITIES[: SEVERITIES.index(severity) + 1]
    numbers = {
        host: 1 if one["verdict"] == "unknown" else sum(one["counts"][each] for each in counted)
        for host, one in whole["hosts"].items()
    }
    return {host: number for host, number in numbers.items() if number}
