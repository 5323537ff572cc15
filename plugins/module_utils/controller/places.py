# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare what the project queues with what its workers take: queues, and places for tasks with a countdown."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.declared import Declared
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.program import DEFAULT_QUEUE


def places(asked: Mapping[str, Any], processes: int) -> dict[str, int] | None:
    """Return the places that so many worker processes have and what a model update needs; None if nothing limits them.

    ``asked`` is what `server/audit_program.py` says of the project: ``eta_limit`` and ``countdown``.

    A worker process at its limit takes nothing until all that it holds is done, so that one process more is
    needed than the tasks would fill. Measured: three processes of 100 stand still with 300 tasks, four do not.
    """
    limit, needed = asked.get("eta_limit"), asked.get("countdown")
    if not limit or not needed:
        return None
    return {
        "limit": limit,
        "processes": processes,
        "places": processes * limit,
        "tasks": needed["tasks"],
        "seconds": needed["seconds"],
        "processes_needed": needed["tasks"] // limit + 1,
    }


def pools(declared: Declared) -> list[dict[str, Any]]:
    """Return each pool: ``name``, ``queues`` (none: the default one), ``processes`` and the ``variable`` for these."""
    return [
        {
            "name": worker.name,
            "queues": list(worker.queues),
            "processes": worker.numprocs,
            "variable": "auth_worker_numprocs"
            if worker.name == "worker" and "numprocs" not in worker.of_its_own
            else f"numprocs of {worker.name} in auth_workers",
        }
        for worker in declared.workers
    ]


def lines(asked: Mapping[str, Any], found: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Return the line of the report and the warning, each empty if there is none; ``found`` is `pools`'.

    Without a process that consumes the default queue another host does, and has the places.
    """
    default = asked.get("default_queue") or DEFAULT_QUEUE
    serving = [pool for pool in found if default in (pool["queues"] or [default])]
    counted = places(asked, sum(pool["processes"] for pool in serving))
    if not serving or counted is None:
        return "", ""
    line = (
        f"places for tasks with a countdown: {counted['places']}; a model update queues {counted['tasks']} within "
        f"{counted['seconds']} s"
    )
    if counted["processes"] >= counted["processes_needed"]:
        return line, ""
    warning = (
        f"a model update queues {counted['tasks']} tasks with a countdown, and the workers have {counted['places']} "
        f"places for such tasks ({counted['processes']} processes, worker_eta_task_limit {counted['limit']}): while "
        f"these are taken, all others wait, for up to {counted['seconds'] // 60} minutes, whatever the concurrency. "
        f"Set {serving[0]['variable']} to {_enough(counted, serving)}, unless other hosts have workers for the same "
        "broker."
    )
    return line, warning


def unrouted(asked: Mapping[str, Any], found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a sentence on each pool with a queue that no task is sent to; ``found`` is `pools`'."""
    routed = asked.get("routed")
    if routed is None:
        return []
    known = {*routed, asked.get("default_queue") or DEFAULT_QUEUE}
    wrong = {pool["name"]: [queue for queue in pool["queues"] if queue not in known] for pool in found}
    return [
        f"the pool {name} takes tasks from {' and '.join(queues)}, to which neither the project nor an app sends any: "
        f"they send them to {', '.join(sorted(known))}. Celery makes a queue of any name, so correct it in "
        "auth_workers if it is misspelt."
        for name, queues in wrong.items()
        if queues
    ]


def _enough(counted: Mapping[str, int], serving: Sequence[Mapping[str, Any]]) -> int:
    """Return how many processes the first pool has to have, beside those of the others."""
    others = counted["processes"] - int(serving[0]["processes"])
    return counted["processes_needed"] - others
