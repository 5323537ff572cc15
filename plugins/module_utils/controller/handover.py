# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say which pools another worker may serve while their workers restart: of the variables, or of a file on disk."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Iterable, Mapping

from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import worker_command
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.command import split_command
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.decided import Serving
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.declared import Declared
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.names import make_namespec, pool_of
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.program import Worker


def of_variables(declared: Declared) -> dict[str, Serving]:
    """Return a process of each pool whose tasks another worker may take while its workers restart."""
    return {
        make_namespec(declared.project, worker.process_names[0]): _serving(declared, worker)
        for worker in declared.workers
        if worker.can_hand_over
    }


def of_file(declared: Declared, on_disk: Iterable[Mapping[str, Any]], names: Iterable[str]) -> dict[str, Serving]:
    """Return the same where the file on disk is to run, whatever the variables say of processes and tasks at once.

    ``on_disk`` are the project's processes as `auth_info` has them (``effective``); those that are not among ``names``
    are left out. Whether a pool may be handed over at all (``handover``), and its memory limit, is the variables'.
    """
    among, pools = set(names), {worker.name: worker for worker in declared.workers}
    found: dict[str, list[Mapping[str, Any]]] = {}
    for process in on_disk:
        is_worker = worker_command.is_worker(split_command(process["command"]))
        if process["always_runs"] and pool_of(process["name"]) in pools and is_worker:
            found.setdefault(pool_of(process["name"]), []).append(process)
    serving = {}
    for pool, processes in found.items():
        given = worker_command.options(split_command(processes[0]["command"]))
        worker = replace(
            pools[pool],
            numprocs=len(processes),
            pool=worker_command.pool(given),
            # What the command does not say is taken from the variables: nobody knows the server's cores here.
            concurrency=worker_command.tasks(given, pools[pool].concurrency),
        )
        name = make_namespec(declared.project, processes[0]["name"])
        if worker.can_hand_over and name in among:
            serving[name] = _serving(declared, worker)
    return serving


def _serving(declared: Declared, worker: Worker) -> Serving:
    return Serving(worker.memory_limit if declared.watches else 0, worker.concurrency)
