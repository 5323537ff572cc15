# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare memory limits with the memory that there is, and that processes need."""

from __future__ import annotations

from typing import Any, Callable, Mapping

from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.variables import Declared
from ansible_collections.allianceauth.tuning.plugins.module_utils.model import memmon
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.program import Program, Worker

# What a process or one of its children weighs at least, where none like it runs that could be weighed.
# The tuning guide: "new workers start with around 80 MB already".
_AT_REST = 80 * 1024**2


def excess(declared: Declared, info: Mapping[str, Any], host: str) -> list[str]:
    """Return a sentence if the limits together are more than the host's memory."""
    limits = [listener.size for listener in declared.listeners]
    if sum(limits) <= info["memory_total"]:
        return []
    asked, there = (number // 1024**2 for number in (sum(limits), info["memory_total"]))
    sentence = (
        f"{host}: the memory limits of {len(limits)} processes are {asked} MB in all, and the host has {there} MB; "
        "lower auth_worker_memory_limit or auth_worker_numprocs, or allow it with auth_memory_overcommit."
    )
    return [sentence]


def limits_below_rest(declared: Declared, info: Mapping[str, Any], host: str) -> list[str]:
    """Return a sentence for each limit of a process with its children that they exceed at rest.

    memmon would restart it at every tick. What one child weighs is taken from the
    lightest of those that run now: another may be leaking.
    """
    children = {worker.name: worker.concurrency for worker in declared.workers}
    # The limit and the number of children, each with the variable that gives it.
    sentences = dict.fromkeys(
        children,
        "the memory_limit of {name} (auth_worker_memory_limit, or its own in auth_workers) is {limit}, but with "
        "{children} children (auth_worker_concurrency of auth_worker_pool prefork, or its own in auth_workers)",
    )
    if declared.gunicorn:
        children["gunicorn"] = declared.gunicorn_options.workers
        sentences["gunicorn"] = (
            "auth_gunicorn_memory_limit is {limit}, but with {children} children (auth_gunicorn_workers)"
        )
    found = []
    for program in declared.programs if declared.watches else []:
        if not (program.cumulative and program.memory_limit and program.name in children):
            continue
        master, child = _weights(program, info["daemon"]["processes"])
        rest = master + child * children[program.name]
        if rest > program.memory_limit:
            begin = sentences[program.name].format(
                name=program.name, limit=memmon.size_text(program.memory_limit), children=children[program.name]
            )
            found.append(
                f"{host}: {begin} of {child // 1024**2} MB each {program.name} needs {rest // 1024**2} MB at rest, "
                "so memmon would restart it at every tick; raise the limit well above that."
            )
    return found


def _weights(program: Program, processes: list[Mapping[str, Any]]) -> tuple[int, int]:
    """Return the bytes of a process of a program and of one of its children.

    A program that has not run yet is taken to weigh what one like it does: a child of a
    worker about as much as a worker with threads.
    """
    running = [process for process in processes if process["pid"]]
    own = [process for process in running if process["name"] in program.process_names]
    kind = "worker" if isinstance(program, Worker) else "gunicorn"
    alike = own or [process for process in running if process["kind"] == kind]
    master = min((process["rss"] for process in alike), default=_AT_REST)
    return master, min((weight for process in alike for weight in process["children"]), default=master)


def warnings(declared: Declared) -> list[str]:
    """Return a sentence for each limit that is too small or missing."""
    if not declared.watches:
        return []
    found = []
    for program in declared.programs:
        if 0 < program.memory_limit < memmon.SMALLEST_SENSIBLE:
            limit = memmon.size_text(program.memory_limit)
            found.append(
                f"{program.name} has a memory limit of {limit}. We would suggest to not go below 128MB "
                "though, since new workers start with around 80 MB already (Alliance Auth's tuning guide)."
            )
    found += [
        f"{worker.name} has no memory limit: memmon does not watch it."
        for worker in declared.workers
        if not worker.memory_limit
    ]
    return found


def held(info: Mapping[str, Any], counts: Callable[[str], bool]) -> int:
    """Return the bytes that processes of those kinds hold now, with their children."""
    found = [process for process in info["daemon"]["processes"] if counts(process["kind"])]
    return sum(int(process["rss"]) + sum(process["children"]) for process in found)
