# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Capacity: memory, processors, the database's connections, and whether Redis keeps what is queued."""

from __future__ import annotations

import math
from typing import Any, Iterator, Mapping

from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.worker_command import options
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import memory
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.audit.finding import (
    Finding,
    megabytes,
)
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.audit.worker import (
    limits,
    workers,
)

# Beyond that many children for each core they only wait for each other.
_CHILDREN_PER_CORE = 4

# That part of the allowed connections, once reached, is close to the end.
_CLOSE = 0.8


def findings(look: Mapping[str, Any]) -> list[Finding]:
    """Return where a host's means do not fit what its programs may take."""
    found = [*_memory(look), *_cores(look)]
    for one in look["projects"]:
        found += [*_connections(look, one), *_redis(one)]
    return found


def sums(look: Mapping[str, Any]) -> dict[str, int]:
    """Return the bytes that limits allow in all (``limited``), and that the others hold now (``unlimited``)."""
    limited = limits(look)
    return {
        "limited": sum(
            limited[process["namespec"]][0] for process in look["processes"] if process["namespec"] in limited
        ),
        "unlimited": sum(
            memory.weight(process, True) for process in look["processes"] if process["namespec"] not in limited
        ),
    }


def _memory(look: Mapping[str, Any]) -> Iterator[Finding]:
    both = sums(look)
    held = sum(memory.weight(process, True) for process in look["processes"])
    room = min(look["memory_total"], look["memory_available"] + held)
    if sum(both.values()) > room:
        yield Finding(
            "medium",
            "memory-does-not-fit",
            look["hostname"],
            f"limits allow {megabytes(both['limited'])}, programs without one hold {megabytes(both['unlimited'])}, "
            f"and the host has {megabytes(room)} for them beside all else that runs there",
            "Before a limit is reached the kernel may end some process of the host, such as the database.",
            "auth_worker_memory_limit or auth_worker_numprocs: less",
        )


def _cores(look: Mapping[str, Any]) -> Iterator[Finding]:
    children = sum(worker.tasks(look["cores"]) for worker in workers(look) if worker.forks)
    if children > look["cores"] * _CHILDREN_PER_CORE:
        yield Finding(
            "low",
            "more-children-than-cores",
            look["hostname"],
            f"prefork workers have {children} children, and the host has {look['cores']} cores",
            "Each child holds as much memory as a worker, and most of them wait for a core. Alliance Auth's tasks "
            "wait for the network: threads do that with a fraction of the memory.",
            "auth_worker_pool: threads",
        )


def _connections(look: Mapping[str, Any], one: Mapping[str, Any]) -> Iterator[Finding]:
    database = one["asked"].get("database")
    if not database:
        return
    own = [process for process in look["processes"] if process["namespec"] in one["processes"]]
    tasks = sum(worker.tasks(look["cores"]) for worker in workers(look) if worker.namespec in one["processes"])
    # A second gunicorn answers during a restart.
    site = sum(2 * _gunicorn_workers(process) for process in own if process["kind"] == "gunicorn")
    most = tasks + site + 1
    used, allowed = database["max_used_connections"], database["max_connections"]
    if most > allowed or used >= allowed * _CLOSE:
        # The database remembers the most that were used until it is restarted.
        enough = max(most + 50, math.ceil((used + 1) / _CLOSE), used + 50)
        yield Finding(
            "medium" if used >= allowed * _CLOSE else "low",
            "database-connections",
            one["name"],
            f"workers and site may take {most} connections ({tasks} tasks at once), {used} were used at most"
            + (f", {database['threads_connected']} are open now" if "threads_connected" in database else "")
            + f", and the database allows {allowed}",
            "What gets no connection fails: tasks and pages alike.",
            f"max_connections = {enough} for the database, or a lower auth_worker_concurrency",
            one["name"],
        )


def _gunicorn_workers(process: Mapping[str, Any]) -> int:
    """Return how many workers a gunicorn has by its command; one that is no number keeps it from starting."""
    given = options(process["arguments"])
    asked = given.get("--workers", given.get("-w", ""))
    return int(asked) if asked.isdecimal() else 1


def _redis(one: Mapping[str, Any]) -> Iterator[Finding]:
    redis = one["asked"].get("redis")
    if not redis:
        return
    if redis["maxmemory"] not in ("", "0") and redis["maxmemory-policy"] != "noeviction":
        yield Finding(
            "medium",
            "redis-evicts",
            one["name"],
            f"maxmemory is {redis['maxmemory']} with maxmemory-policy {redis['maxmemory-policy']}",
            "When Redis is full it drops keys, and a queue is a key: all tasks in it are lost.",
            "maxmemory-policy noeviction in /etc/redis/redis.conf",
            one["name"],
        )
    if not redis["save"] and redis["appendonly"] != "yes":
        yield Finding(
            "low",
            "redis-forgets",
            one["name"],
            "save is empty and appendonly is off",
            "When Redis restarts, every task that waits is lost.",
            "appendonly yes in /etc/redis/redis.conf",
            one["name"],
        )
