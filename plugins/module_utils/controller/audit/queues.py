# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Queues: who consumes them, how full they are, and places for tasks that wait for their time."""

from __future__ import annotations

from typing import Any, Iterator, Mapping

from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import places as counting
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.audit.finding import Finding, listed
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.audit.worker import (
    Worker,
    program,
    variable,
    workers,
)
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.program import DEFAULT_QUEUE

_ALIVE = ("RUNNING", "STARTING", None)

# As many tasks may wait for one that runs before it is called a backlog.
_WAITING_EACH = 2


def findings(look: Mapping[str, Any]) -> list[Finding]:
    """Return what is wrong with the queues of a host's projects."""
    found: list[Finding] = []
    for one in look["projects"]:
        own = [worker for worker in workers(look) if worker.namespec in one["processes"]]
        found += [
            *_silent(one),
            *_broker(one),
            *_without_worker(one, own),
            *_without_tasks(one, own),
            *_backlog(look, one, own),
            *_places(one, own),
        ]
    return found


def _silent(one: Mapping[str, Any]) -> Iterator[Finding]:
    problem = one["asked"].get("problem")
    if problem:
        yield Finding(
            "high",
            "project-silent",
            one["name"],
            f"it could not be loaded: {problem}",
            "A project that does not load fails at the next restart. What its queues hold, who consumes them and how "
            "many tasks wait cannot be told.",
            f"cd {one['directory']} && {one['venv']}/bin/python manage.py check",
            one["name"],
        )


def _broker(one: Mapping[str, Any]) -> Iterator[Finding]:
    broker = one["asked"].get("broker") or {}
    if broker.get("problem"):
        yield Finding(
            "high",
            "broker-silent",
            str(broker["address"]),
            f"it does not answer: {broker['problem']}",
            "No task can be queued, and none is taken.",
            "systemctl status redis-server"
            if str(broker["address"]).lower().startswith("redis")
            else "start the broker",
            one["name"],
        )


def routed(one: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the queues that tasks are routed to, with examples: by the application, else by celery.py's text."""
    queues = one["asked"].get("queues")
    if queues is not None:
        return {name: queue["tasks"] for name, queue in queues.items() if queue["tasks"]}
    return {DEFAULT_QUEUE: [], **{name: [] for name in one["routed_queues"]}}


def _consumed(one: Mapping[str, Any], own: list[Worker]) -> set[str]:
    """Return the queues that a worker consumes, here or on another host of the same broker."""
    default = one["asked"].get("default_queue", DEFAULT_QUEUE)
    here = {queue for worker in own if worker.process["state"] in _ALIVE for queue in worker.queues or (default,)}
    return here.union(*(node["queues"] for node in (one["asked"].get("nodes") or {}).values()))


def _without_worker(one: Mapping[str, Any], own: list[Worker]) -> Iterator[Finding]:
    consumed = _consumed(one, own)
    for queue, tasks in routed(one).items():
        if queue in consumed:
            continue
        waiting = (one["asked"].get("queues") or {}).get(queue, {}).get("after", 0)
        yield Finding(
            "high",
            "queue-without-worker",
            queue,
            "no worker consumes it"
            + (
                f"; {listed(tasks)} go there"
                if tasks
                else "; celery.py routes tasks to it"
                if queue != DEFAULT_QUEUE
                else ""
            )
            + (f"; {waiting} tasks wait" if waiting else ""),
            "What is queued there is never done.",
            f"auth_workers: [{{name: worker_{queue}, queues: [{queue}]}}]"
            if queue not in ("services", DEFAULT_QUEUE)
            else "ansible-playbook -i my-servers allianceauth.tuning.apply (it brings a worker for this queue)",
            one["name"],
        )


def _without_tasks(one: Mapping[str, Any], own: list[Worker]) -> Iterator[Finding]:
    asked = one["asked"].get("routed")
    known = {*(asked or []), one["asked"].get("default_queue", DEFAULT_QUEUE)}
    for queue in sorted({queue for worker in own for queue in worker.queues} - known) if asked is not None else []:
        consumers = sorted({program(worker.process) for worker in own if queue in worker.queues})
        yield Finding(
            "low",
            "queue-without-tasks",
            queue,
            f"{' and '.join(consumers)} takes tasks from it, and neither the project nor an app sends any there: they "
            f"send them to {', '.join(sorted(known))}",
            "Celery makes a queue of any name, so a misspelt one is never told, and its workers do nothing.",
            "correct the queue's name, or take the pool out, unless something else sends tasks there by name",
            one["name"],
        )


def _backlog(look: Mapping[str, Any], one: Mapping[str, Any], own: list[Worker]) -> Iterator[Finding]:
    default = one["asked"].get("default_queue", DEFAULT_QUEUE)
    for queue, counted in (one["asked"].get("queues") or {}).items():
        consumers = [worker for worker in own if queue in (worker.queues or (default,))]
        slots = sum(worker.tasks(look["cores"]) for worker in consumers)
        before, after = counted["before"], counted["after"]
        if not consumers or min(before, after) <= slots * _WAITING_EACH:
            continue
        way = "growing" if after > before else "shrinking" if after < before else "standing"
        yield Finding(
            "low" if way == "shrinking" else "medium",
            "backlog",
            queue,
            f"{after} tasks wait, {before} some seconds before: {way}; {len(consumers)} worker processes run "
            f"{slots} tasks at once",
            "Tasks are queued faster than they are done, or were.",
            f"{variable('worker', '--concurrency', program(consumers[0].process))} while processors idle, "
            f"{variable('worker', 'numprocs', program(consumers[0].process))} where a process uses a whole core of "
            f"{look['cores']}",
            one["name"],
        )


def places(one: Mapping[str, Any], own: list[Worker]) -> dict[str, Any] | None:
    """Return the places for tasks with a countdown and what a model update needs; None where there is no limit.

    Workers of other hosts that answer and take from the same queue have places too.
    """
    default = one["asked"].get("default_queue", DEFAULT_QUEUE)
    serving = [worker for worker in own if default in (worker.queues or (default,))]
    nodes = one["asked"].get("nodes") or {}
    here = {worker.node for worker in own}
    elsewhere = [name for name, node in nodes.items() if name not in here and default in node["queues"]]
    counted = counting.places(one["asked"], len(serving) + len(elsewhere))
    if counted is None:
        return None
    # More of the first pool that serves the queue are as good as more of any.
    pool = program(serving[0].process) if serving else "worker"
    others = counted["processes"] - sum(program(worker.process) == pool for worker in serving)
    return {
        "queue": default,
        "variable": variable("worker", "numprocs", pool),
        "numprocs": counted["processes_needed"] - others,
        **counted,
        "held": sum(node["scheduled"] for node in nodes.values()),
    }


def _places(one: Mapping[str, Any], own: list[Worker]) -> Iterator[Finding]:
    counted = places(one, own)
    if counted is None or counted["processes"] >= counted["processes_needed"]:
        return
    yield Finding(
        "high",
        "waiting-places",
        counted["queue"],
        f"a model update queues {counted['tasks']} tasks with a countdown of up to {counted['seconds']} s; "
        f"{counted['processes']} worker processes have {counted['places']} places for such tasks "
        f"(worker_eta_task_limit {counted['limit']}), {counted['held']} are held now",
        "A full worker takes nothing else, whatever its concurrency: at each model update all other tasks wait for "
        f"up to {counted['seconds'] // 60} minutes.",
        f"{counted['variable']}: {counted['numprocs']}",
        one["name"],
    )
