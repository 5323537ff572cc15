# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""memmon: whom it protects, whom it only seems to, and whom it restarts in circles."""

from __future__ import annotations

from typing import Any, Iterator, Mapping

from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import memory
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.audit.finding import (
    Finding,
    listed,
    megabytes,
)
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.audit.programs import FEW_DEATHS
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.audit.worker import (
    limits,
    program,
    workers,
)
from ansible_collections.allianceauth.tuning.plugins.module_utils.model import memmon

_ALIVE = ("RUNNING", "STARTING", None)


def findings(look: Mapping[str, Any]) -> list[Finding]:
    """Return what is wrong with the memory limits of a host."""
    return [
        *_dead_memmons(look),
        *_names_of_nothing(look),
        *_without_limit(look),
        *_trees(look),
        *_too_small(look),
        *_restarts(look),
        *_lost_names(look),
    ]


def variable(process: Mapping[str, Any]) -> str:
    """Return the role's variable for the memory limit of a process."""
    name = program(process)
    known = {
        "beat": "auth_beat_memory_limit",
        "gunicorn": "auth_gunicorn_memory_limit",
        "worker": "auth_worker_memory_limit",
    }
    if name in known:
        return known[name]
    if process["kind"] == "worker":
        return f"memory_limit of {name} in auth_workers"
    return f"auth_extra_programs.{name}.memory_limit"


def _dead_memmons(look: Mapping[str, Any]) -> Iterator[Finding]:
    known = {limit["listener"] for limit in look["limits"]}
    for process in look["processes"]:
        if process["namespec"] not in known:
            continue
        deaths = look["log"]["deaths"].get(process["name"], 0)
        if process["state"] in _ALIVE and deaths <= FEW_DEATHS:
            continue
        said = f"; {process['spawnerr']}" if process["spawnerr"] else ""
        crashed = f"; it has died {deaths} times in the last day" if deaths else ""
        yield Finding(
            "high",
            "memmon-not-running",
            process["namespec"],
            f"supervisord says {process['state']}{said}{crashed}",
            "Nothing watches the memory: a worker that leaks grows until the kernel ends some process of the host.",
            "ansible-playbook -i my-servers allianceauth.tuning.apply (it installs superlance, and writes limits that "
            "memmon can read)",
        )


def _names_of_nothing(look: Mapping[str, Any]) -> Iterator[Finding]:
    processes = {process["name"] for process in look["processes"]}
    groups = {process["group"] for process in look["processes"]}
    for listener in look["limits"]:
        wrong = [f"-p {name}={size}" for name, size in listener["programs"].items() if name not in processes]
        wrong += [f"-g {name}={size}" for name, size in listener["groups"].items() if name not in groups]
        if wrong:
            # The names that were meant.
            alike = sorted(
                process["name"]
                for process in look["processes"]
                if program(process) in {name.rpartition(":")[2] for name in listener["programs"]} - processes
                or process["name"] in {name.rpartition(":")[2] for name in listener["programs"] if ":" in name}
            )
            fits = f"; the processes are called {listed(alike)}" if alike else ""
            yield Finding(
                "high",
                "limit-without-process",
                listener["listener"],
                f"{listed(wrong)} {'match' if len(wrong) > 1 else 'matches'} no process{fits}",
                "memmon compares the names of processes, not of programs, and says nothing of a name that it never "
                "meets: what the limit was meant for is not watched.",
                "auth_worker_memory_limit, auth_gunicorn_memory_limit: apply writes the names that the processes have",
            )


def _without_limit(look: Mapping[str, Any]) -> Iterator[Finding]:
    limited = limits(look)
    bare = [worker for worker in workers(look) if worker.namespec not in limited]
    for project in sorted({worker.project for worker in bare}):
        own = [worker for worker in bare if worker.project == project]
        yield Finding(
            "medium",
            "worker-without-limit",
            listed([worker.namespec for worker in own]),
            "no memmon watches "
            + listed([f"{worker.name} ({megabytes(memory.weight(worker.process, True))})" for worker in own])
            + ("" if look["limits"] else "; supervisord runs no memmon at all"),
            "Community apps leak. Without a limit a worker grows until the kernel ends some process of the host.",
            "auth_worker_memory_limit",
            project,
        )


def _trees(look: Mapping[str, Any]) -> Iterator[Finding]:
    limited = limits(look)
    forking = {worker.namespec for worker in workers(look) if worker.forks}
    for process in look["processes"]:
        forks = process["kind"] == "gunicorn" or process["namespec"] in forking
        if not forks or process["namespec"] not in limited:
            continue
        limit, children, listener = limited[process["namespec"]]
        if not children:
            yield Finding(
                "medium",
                "limit-counts-one-process",
                process["namespec"],
                f"{listener} has no -c, so its limit of {megabytes(limit)} is compared with the "
                f"{megabytes(process['rss'])} of the first process alone; its {len(process['children'])} children hold "
                f"{megabytes(sum(process['children']))}",
                "The work is done, and the memory held, by the children: this limit is never reached, however much "
                "they hold.",
                f"{variable(process)}: apply counts the children, so take what one holds times their number plus "
                "one, twice",
            )


def _too_small(look: Mapping[str, Any]) -> Iterator[Finding]:
    limited = limits(look)
    for process in look["processes"]:
        if process["namespec"] not in limited or not process["pid"]:
            continue
        limit, children, _listener = limited[process["namespec"]]
        pool = {other["name"] for other in look["processes"] if program(other) == program(process)}
        number = len(process["children"]) if children else 0
        now, rest = (
            memory.weight(process, children),
            memory.at_rest(process["kind"], pool, look["processes"], children, number),
        )
        if now >= limit or rest * memory.ROOM > limit:
            # With no more than what it holds, memmon would restart it at once.
            enough = max(rest * memory.ROOM, now * 5 // 4)
            yield Finding(
                "high" if now >= limit else "medium",
                "limit-below-use",
                process["namespec"],
                f"the limit is {megabytes(limit)}, and it holds {megabytes(now)} now"
                + (f", the lightest of its kind {megabytes(rest)}" if rest < now else ""),
                "memmon restarts a healthy process again and again: it takes no tasks until it has finished what it "
                "runs, and loads everything anew.",
                f"{variable(process)}: {memmon.size_text(memmon.least_limit(enough, len(pool)))} or more",
            )


def _restarts(look: Mapping[str, Any]) -> Iterator[Finding]:
    for name, said in memory.restarted_too_often(look["log"], look["now"]).items():
        yield Finding(
            "medium",
            "memmon-restarts",
            name,
            f"memmon has restarted it {said}",
            "That is more than a leak explains: the limit is too small for what the process does.",
            "auth_worker_memory_limit: run a day with a generous limit, look up in memmon's log what a healthy "
            "process holds, and take about twice that",
        )


def _lost_names(look: Mapping[str, Any]) -> Iterator[Finding]:
    for listener in look["limits"]:
        if listener["name_lost"]:
            yield Finding(
                "low",
                "option-without-effect",
                listener["listener"],
                "-n stands before a limit",
                "memmon keeps both in one variable: each later limit takes the place of the name in its mails.",
                "auth_memmon_name: apply writes it last",
            )
