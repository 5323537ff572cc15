# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the command of a Celery worker or of gunicorn asks for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Mapping

from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.options import KINDS
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.worker_command import options, pool, tasks
from ansible_collections.allianceauth.tuning.plugins.module_utils.model import memmon
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.program import FORKING_POOLS


@dataclass(frozen=True)
class Worker:
    """A Celery worker process; ``concurrency`` is None where Celery takes the number of cores."""

    namespec: str
    name: str
    project: str
    pool: str
    concurrency: int | None
    queues: tuple[str, ...]
    node: str
    options: Mapping[str, str]
    process: Mapping[str, Any]

    @property
    def forks(self) -> bool:
        return self.pool in FORKING_POOLS

    def tasks(self, cores: int) -> int:
        """Return how many tasks it runs at once."""
        return tasks(self.options, cores)


def variable(kind: str, item: str, name: str) -> str:
    """Return the role's variable for an option of a program's section, or an argument of its command."""
    found = KINDS[kind].find(item)
    if found is None or found.is_read_only:
        return f"auth_program_settings.{name}.{item}"
    if kind == "worker" and name != "worker" and found.key:
        return f"{found.key} of {name} in auth_workers"
    return found.variable.replace("{name}", name)


def program(process: Mapping[str, Any]) -> str:
    """Return the program that a process belongs to: a number of two digits at its end is the process's."""
    return re.sub(r"_\d\d\Z", "", str(process["name"]))


def workers(look: Mapping[str, Any]) -> list[Worker]:
    """Return the Celery workers of a host."""
    owners = {name: one["name"] for one in look["projects"] for name in one["processes"]}
    return [
        _worker(process, owners.get(process["namespec"], ""), look["hostname"])
        for process in look["processes"]
        if process["kind"] == "worker"
    ]


def _worker(process: Mapping[str, Any], project: str, hostname: str) -> Worker:
    given = options(process["arguments"])
    concurrency = given.get("--concurrency", "")
    queues = given.get("--queues", "")
    return Worker(
        namespec=process["namespec"],
        name=process["name"],
        project=project,
        pool=pool(given),
        concurrency=int(concurrency) if concurrency.isdigit() else None,
        queues=tuple(filter(None, (queue.strip() for queue in queues.split(",")))),
        node=node(given.get("--hostname", ""), hostname),
        options=given,
        process=process,
    )


def node(name: str, hostname: str) -> str:
    """Return the name of a worker's node. Source: celery/utils/nodenames.py."""
    text = name or f"celery@{hostname}"
    for key, value in {
        "%h": hostname,
        "%n": hostname.partition(".")[0],
        "%d": hostname.partition(".")[2],
        "%i": "",
        "%I": "",
    }.items():
        text = text.replace(key, value)
    return text if "@" in text else f"celery@{text}"


def limits(look: Mapping[str, Any]) -> dict[str, tuple[int, bool, str]]:
    """Return each process's limit: bytes, whether children count, and the listener; by the process's namespec.

    Of several it is the least. Source: superlance/memmon.py (runforever), which compares a process with its own, its
    group's and the one for any in turn.
    """
    found: dict[str, tuple[int, bool, str]] = {}
    for listener in look["limits"]:
        for process in look["processes"]:
            given = (
                listener["programs"].get(process["name"]),
                listener["groups"].get(process["group"]),
                listener["any"],
            )
            sizes = [size for size in (memmon.size_in_bytes(text) for text in given if text) if size is not None]
            if sizes and process["namespec"] != listener["listener"]:
                limit = (min(sizes), listener["children"], listener["listener"])
                found[process["namespec"]] = min(limit, found.get(process["namespec"], limit))
    return found
