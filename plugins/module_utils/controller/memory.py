# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare memory limits with the memory that there is, and that processes need."""

from __future__ import annotations

from typing import Any, Callable, Container, Iterable, Mapping, Sequence

from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.declared import Declared
from ansible_collections.allianceauth.tuning.plugins.module_utils.model import memmon
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.names import pool_of
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.program import Program, Worker

# What a process or one of its children weighs at least, where none like it runs that could be weighed.
# The tuning guide: "new workers start with around 80 MB already".
_AT_REST = 80 * 1024**2

# The same of a listener: each memmon is a Python of its own.
_LISTENER = 24 * 1024**2

# Below that many times what it holds at rest, a healthy process is restarted for its work. The tuning guide's factor.
ROOM = 2

# The part of the memory that is left free in a number that is advised.
_RESERVE = 32

# They load the same project and, without children, hold the same at rest; beat never leaks.
_LOADED = ("worker", "beat")

# Programs whose processes have children that hold about the same each.
_WITH_CHILDREN = ("worker", "gunicorn")

# More restarts than this do not come from a leak: the limit is too small for what the process does.
_MOST_AN_HOUR = 2
_MOST_A_DAY = 8
_HOUR = 3600


def excess(declared: Declared, info: Mapping[str, Any]) -> str:
    """Return a sentence if the limits, with what programs without one hold, are more than the host has for them."""
    if declared.memory_overcommit:
        return ""
    limits = [listener.size for listener in declared.listeners]
    others = _without_limit(declared, info["daemon"]["processes"])
    held, there = sum(others.values()), _room(declared, info)
    if not limits or sum(limits) + held <= there:
        return ""
    return (
        f"the memory limits of {len(limits)} processes are {_megabytes(sum(limits))} in all, and "
        f"{', '.join(others)} without one hold {_megabytes(held)}: together {_megabytes(sum(limits) + held)}, and "
        f"the host has {_megabytes(there)} for them beside all else that runs there; {_what_fits(declared, info)}. "
        "Or allow it with auth_memory_overcommit: true."
    )


def exceeds_present(declared: Declared, info: Mapping[str, Any]) -> bool:
    """Whether the limits are more in all than what the memmons give the project's processes now.

    Where one names a program and not its processes, as Alliance Auth's template does, what was meant counts.
    """
    processes = info["daemon"]["processes"]
    memmons = [one["watches"] for one in processes if one.get("watches")]
    present = sum(
        _present(one, memmons) for one in processes if one["group"] == declared.project and one["kind"] != "listener"
    )
    return sum(listener.size for listener in declared.listeners) > present


def _present(process: Mapping[str, Any], memmons: Iterable[Mapping[str, Any]]) -> int:
    """Return the bytes of the least limit that a process has now, 0 for none."""
    name, group = str(process["name"]), str(process["group"])
    names = {name, pool_of(name)}
    found = []
    for one in memmons:
        given = [size for watched, size in one["programs"].items() if watched.rpartition(":")[2] in names]
        given += [one["groups"].get(group, ""), one["any"]]
        found += [size for size in (memmon.size_in_bytes(text) for text in given) if size]
    return min(found, default=0)


def _what_fits(declared: Declared, info: Mapping[str, Any]) -> str:
    """Return the number with which the limits fit, or what has to be otherwise if a worker could not live with it."""
    processes = info["daemon"]["processes"]
    workers = [worker for worker in declared.workers if worker.memory_limit]
    fixed = sum(listener.size for listener in declared.listeners) - sum(map(_together, workers))
    there = _room(declared, info) - sum(_without_limit(declared, processes).values()) - fixed
    # What else runs takes a little more at times, and what fits now has to fit in the next run.
    there -= int(info["memory_total"]) // _RESERVE
    # The least with which each of them can work.
    enough = {
        worker.name: memmon.least_limit(ROOM * (rest(worker, processes) or _AT_REST), worker.numprocs)
        for worker in workers
    }
    if not workers or sum(_together(worker, enough[worker.name]) for worker in workers) > there:
        missing = sum(_together(worker, enough[worker.name]) for worker in workers) - there
        return (
            f"it takes {_megabytes(missing)} more for every worker to have twice what it holds at rest, or fewer "
            "processes (auth_worker_numprocs, auth_gunicorn_workers)"
        )
    # One variable changes them all if no pool has a limit of its own.
    alike = len({worker.memory_limit for worker in workers}) == 1
    alike = alike and not any("memory_limit" in worker.of_its_own for worker in workers)
    size = there // max(1, sum(worker.numprocs for worker in workers)) // 1024**2 * 1024**2
    # Each process but the first has less, so that a little more fits.
    while sum(_together(worker, size + 1024**2) for worker in workers) <= there:
        size += 1024**2
    if alike and size >= max(enough.values()):
        return f"auth_worker_memory_limit: {memmon.size_text(size)} fits, or a lower auth_worker_numprocs"
    fits = ", ".join(f"{name} {memmon.size_text(least)}" for name, least in enough.items())
    return f"lower auth_worker_numprocs or the memory limits of the pools in auth_workers (they need {fits} at least)"


def _together(worker: Worker, size: int = 0) -> int:
    """Return the sum of the limits of a pool's processes, with its own limit or with another."""
    return sum(memmon.pool_limits(size or worker.memory_limit, worker.numprocs))


def _without_limit(declared: Declared, processes: list[Mapping[str, Any]]) -> dict[str, int]:
    """Return the bytes that programs without a limit hold now, or will about hold; listeners among them."""
    found = {}
    for program in declared.programs:
        if not program.memory_limit:
            found[program.name] = _holds(program, declared, processes)
    if declared.listener_names:
        weights = [one["rss"] for one in processes if one["pid"] and one["kind"] == "listener"]
        found[f"{len(declared.listener_names)} listeners"] = len(declared.listener_names) * min(
            weights, default=_LISTENER
        )
    return found


def _holds(program: Program, declared: Declared, processes: list[Mapping[str, Any]]) -> int:
    own = [one for one in processes if one["pid"] and one["name"] in program.process_names]
    if own or program in declared.extra:
        return sum(weight(one, True) for one in own)
    if program is declared.beat:
        return at_rest("beat", program.process_names, processes, False) or _AT_REST
    master, child = _weights(_kind(program), program.process_names, processes)
    return (master + child * _children(program, declared)) * len(program.process_names)


def _room(declared: Declared, info: Mapping[str, Any]) -> int:
    """Return the bytes that the host has for the auth programs: what is free, and what they hold already."""
    ours = declared.own_groups(info)
    held = sum(weight(one, True) for one in info["daemon"]["processes"] if one["group"] in ours)
    return min(int(info["memory_total"]), int(info["memory_available"]) + held)


def weight(process: Mapping[str, Any], cumulative: bool) -> int:
    """Return the bytes that a process holds now, its children's included if they count."""
    return int(process["rss"]) + (sum(process["children"]) if cumulative else 0)


def _megabytes(size: int) -> str:
    return f"{size // 1024**2} MB"


def at_rest(
    kind: str, names: Container[str], processes: Sequence[Mapping[str, Any]], cumulative: bool, children: int = 0
) -> int:
    """Return the bytes that a process of a kind and one of the names holds at rest, 0 if nothing like it runs.

    That is what the lightest holds now: the others may be leaking. Of a worker's or gunicorn's ``children``, their
    number where they count and it is known, each is taken to hold what the lightest does.
    """
    if cumulative and children and kind in _WITH_CHILDREN:
        if not any(one["pid"] and one["kind"] in _WITH_CHILDREN for one in processes):
            return 0
        master, child = _weights(kind, names, processes)
        return master + child * children
    return min(
        (
            weight(one, cumulative)
            for one in processes
            if one["pid"] and (one["name"] in names or not cumulative and kind in _LOADED and one["kind"] in _LOADED)
        ),
        default=0,
    )


def rest(program: Program, processes: Sequence[Mapping[str, Any]], children: int = 0) -> int:
    """Return the bytes that each process of a program holds at rest, 0 if nothing like it runs.

    ``children`` is their number, where the limit counts them and it is known.
    """
    if program.cumulative and isinstance(program, Worker):
        children = program.concurrency
    return at_rest(_kind(program), program.process_names, processes, program.cumulative, children)


def _kind(program: Program) -> str:
    return "worker" if isinstance(program, Worker) else program.name


def _children(program: Program, declared: Declared) -> int:
    """Return how many children a process of a program has, 0 if that is not known."""
    if isinstance(program, Worker):
        return program.concurrency if program.cumulative else 0
    return declared.gunicorn_options.workers if program is declared.gunicorn else 0


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
        master, child = _weights(_kind(program), program.process_names, info["daemon"]["processes"])
        rest = master + child * children[program.name]
        if rest > program.memory_limit:
            begin = sentences[program.name].format(
                name=program.name, limit=memmon.size_text(program.memory_limit), children=children[program.name]
            )
            found.append(
                f"{host}: {begin} of {child // 1024**2} MB each {program.name} needs {rest // 1024**2} MB at rest, "
                "so memmon would restart it at every tick; set it to "
                f"{memmon.size_text(memmon.least_limit(ROOM * rest, len(program.process_names)))} or more."
            )
    return found


def _weights(kind: str, names: Container[str], processes: Iterable[Mapping[str, Any]]) -> tuple[int, int]:
    """Return the bytes of a process of a program, a worker's or gunicorn's, and of one of its children.

    A program that has not run yet is taken to weigh what one like it does: a child of a
    worker about as much as a worker with threads.
    """
    running = [process for process in processes if process["pid"]]
    own = [process for process in running if process["name"] in names]
    alike = own or [process for process in running if process["kind"] == kind]
    master = min((process["rss"] for process in alike), default=_AT_REST)
    return master, min((weight for process in alike for weight in process["children"]), default=master)


def warnings(declared: Declared, info: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each limit that is too small or missing, and for what memmon restarts again and again."""
    if not declared.watches:
        return []
    processes = info["daemon"]["processes"]
    found = []
    for program in declared.programs:
        count = len(program.process_names)
        held = rest(program, processes, _children(program, declared))
        if held and 0 < program.memory_limit < memmon.least_limit(ROOM * held, count):
            limit = memmon.size_text(program.memory_limit)
            enough = memmon.size_text(memmon.least_limit(ROOM * held, count))
            found.append(
                f"{program.name} has a memory limit of {limit}, which is less than twice the {_megabytes(held)} that "
                f"it holds at rest{_in_steps(program)}, so that memmon would restart it for its work; set "
                f"{variable(program, declared)} to {enough} or more."
            )
        elif 0 < program.memory_limit < memmon.SMALLEST_SENSIBLE:
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
    ours = {name for program in declared.programs for name in program.process_names}
    for name, said in restarted_too_often(info["log"], info["now"]).items():
        if name in ours:
            found.append(
                f"memmon has restarted {name} {said}, which is more than a leak explains: raise its memory limit."
            )
    return found


def _in_steps(program: Program) -> str:
    lowest = memmon.pool_limits(program.memory_limit, len(program.process_names))[-1]
    return "" if lowest == program.memory_limit else f" (its last process has {memmon.size_text(lowest)})"


def variable(program: Program, declared: Declared) -> str:
    """Return the variable that gives a program's limit."""
    if isinstance(program, Worker):
        alike = len({worker.memory_limit for worker in declared.workers}) == 1
        if "memory_limit" not in program.of_its_own and (program.name == "worker" or alike):
            return "auth_worker_memory_limit"
        return f"memory_limit of {program.name} in auth_workers"
    if program in declared.extra:
        return f"auth_extra_programs.{program.name}.memory_limit"
    return f"auth_{program.name}_memory_limit"


def restarted_too_often(log: Mapping[str, Any], now: float) -> dict[str, str]:
    """Return how often memmon has restarted a process, for each for which that is more than a leak explains.

    ``log`` has the times of its ``restarts`` by process, and the time ``since`` when; in seconds since 1970.
    """
    found = {}
    for name, times in log["restarts"].items():
        hour = sum(when >= now - _HOUR for when in times)
        day = sum(when >= now - 24 * _HOUR for when in times)
        if hour > _MOST_AN_HOUR or day > _MOST_A_DAY:
            found[name] = (
                f"{hour} times in the last hour and {day} times in the last day (supervisord's log reaches "
                f"{(now - log['since']) / _HOUR:.0f} hours back)"
            )
    return found


def held(info: Mapping[str, Any], counts: Callable[[str], bool]) -> int:
    """Return the bytes that processes of those kinds hold now, with their children."""
    found = [process for process in info["daemon"]["processes"] if counts(process["kind"])]
    return sum(int(process["rss"]) + sum(process["children"]) for process in found)
