#!/usr/bin/python
# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: celery_standby
short_description: Keep queues served with further workers while the supervised ones restart
version_added: 0.1.0
description:
  - Starts a worker beside each of O(processes), as supervisor's configuration on disk has it, with a node name of its
    own, and waits until it answers. It is a transient unit of systemd's, run by the program's user.
  - If one of them cannot work, the module ends all that it has started and fails with that one's last words. Nothing
    else has changed then, so this is how a configuration shows that it works before anything stops.
  - Where the memory, or MariaDB or MySQL's connections, do not suffice for them, nothing happens and RV(problem) says
    why.
options:
  name:
    description: Whose workers they are; the supervisor group.
    type: str
    required: true
  state:
    description:
      - V(present) starts them, and then ends those of a run before.
      - V(absent) has all of them finish the tasks that they run, and end, but for those of O(keep).
      - V(replaced) starts them, and then has those that took tasks before beside the same O(processes) finish. If one
        cannot work, those go on, RV(problem) says why, and the module does not fail.
    type: str
    choices: [present, absent, replaced]
    default: present
  processes:
    description: The supervised processes (C(GROUP:PROCESS)) to start another of each, one for each pool.
    type: list
    elements: str
    default: []
  keep:
    description:
      - With O(state=absent), supervised processes that finish and take no tasks meanwhile. Those of their pools are
        left to take tasks, until a later call ends them, or systemd does after the time that O(longest) gives.
    type: list
    elements: str
    default: []
  reserve:
    description: Bytes of memory that something else needs at the same time.
    type: int
    default: 0
  connections:
    description: Connections to the database that they, and what else begins at the same time, may take.
    type: int
    default: 0
  longest:
    description:
      - Seconds that the slowest program may take to stop. If nobody ends them, they end by themselves once a run that
        waits so long four times must be over.
    type: int
    default: 600
  timeout:
    description: Seconds in which they have to answer.
    type: int
    default: 180
  apart:
    description:
      - Why none must take tasks beside the supervised workers, empty if they may - the
        RV(allianceauth.tuning.auth_code#module:apart) of M(allianceauth.tuning.auth_code).
      - Then they begin on a queue of their own, to which nobody sends tasks, and
        M(allianceauth.tuning.supervisor_programs) hands them the queues of RV(waiting) once no other worker takes
        tasks.
    type: str
    default: ''
  queues:
    description:
      - Where O(apart) is not empty, the queues of a worker whose command names none - the
        RV(allianceauth.tuning.auth_code#module:queues) of M(allianceauth.tuning.auth_code). If it is empty nothing is
        started, and RV(problem) says why.
    type: list
    elements: str
    default: []
  brings:
    description: What is new in them, for the sentence on one that cannot work.
    type: str
    choices: [configuration, code]
    default: configuration
author:
  - The allianceauth.tuning authors (@allianceauth)
extends_documentation_fragment:
  - allianceauth.tuning.application
  - allianceauth.tuning.attributes
  - allianceauth.tuning.guard
attributes:
  check_mode:
    support: full
    description: Can run in check mode, where it starts and ends nothing.
  diff_mode:
    support: none
"""

EXAMPLES = r"""
- name: Have another worker take tasks
  allianceauth.tuning.celery_standby:
    name: myauth
    processes: ["myauth:worker_00"]
    venv: /home/allianceserver/venv/auth
    project: myauth
    project_dir: /home/allianceserver/myauth
    user: allianceserver

- name: Have it end
  allianceauth.tuning.celery_standby:
    name: myauth
    state: absent
    venv: /home/allianceserver/venv/auth
    project: myauth
    project_dir: /home/allianceserver/myauth
    user: allianceserver
"""

RETURN = r"""
running:
  description: The supervised processes beside which one takes tasks.
  returned: always
  type: list
  elements: str
waiting:
  description:
    - Those of RV(running) that take no tasks yet, each with its Celery C(node), the C(queues) that it is to take tasks
      from, and the units of an earlier run that it C(replaces), which end then.
  returned: always
  type: dict
problem:
  description: Why there is none, empty if there is.
  returned: always
  type: str
ending:
  description: The units that have not ended yet.
  returned: O(state=absent)
  type: list
  elements: str
found:
  description: The supervised processes beside which one took tasks until this call.
  returned: O(state=absent), and nothing is in the way
  type: list
  elements: str
running_tasks:
  description:
    - The tasks that each of those which end still runs, by the supervised process beside which it took tasks; each task
      with its C(name), C(id) and C(age) in seconds. A worker that does not answer at once is missing.
  returned: O(state=absent)
  type: dict
kept:
  description: A sentence on those that were left to take tasks, empty if there is none.
  returned: O(state=absent)
  type: str
"""

import inspect
import os
import re
import socket
import time
from typing import Any, Mapping

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import managed_file, worker_command
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.command import split_command
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.names import pool_of
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.program import FORKING_POOLS, most_seconds
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import (
    audit_program,
    celery_cli,
    guard,
    proc,
    serving,
    supervisor_parser,
    supervisord,
)

# What a worker holds at least, where none runs that could be weighed.
_AT_REST = 120 * 1024**2

# Asks the project's database; its settings come with its Celery application, and its apps are not needed.
_DATABASE = f"""
from __future__ import annotations
import importlib, json, sys
from typing import Any
{inspect.getsource(audit_program.database)}
importlib.import_module(sys.argv[1] + ".celery")
print(json.dumps(database() or {{}}))
"""
_DATABASE_SECONDS = 180

# Its number of connections, or that of this user's, is reached. Source: MariaDB's error codes
_FULL = re.compile(r"\((?:1040|1203|1226),")

# In which they say what they run, before they are told to stop.
_ACTIVE_SECONDS = 2

# Between two looks at units that have to answer.
_ROUND_SECONDS = 5


def dispensable(given: dict[str, Any], before: list[str], waiting: dict[str, Any]) -> list[str]:
    """Return those units of ``before`` that end once the new workers answer.

    One whose successor is among ``waiting`` takes tasks until that does, which has it as one that it ``replaces``.
    """
    if given["state"] == "replaced":
        return [unit for unit in before if serving.beside(given["name"], unit) in given["processes"]]
    ends = []
    for unit in before:
        pool = pool_of(serving.beside(given["name"], unit))
        successors = [one for process, one in waiting.items() if pool_of(process) == pool]
        for one in successors[:1]:
            one.setdefault("replaces", []).append(unit)
        ends += [] if successors else [unit]
    return ends


def end(given: dict[str, Any], before: list[str]) -> dict[str, Any]:
    """Have workers finish, but for those of pools whose tasks nobody else takes; return the module's result."""
    pools = {pool_of(process) for process in given["keep"]}
    kept = [unit for unit in before if pool_of(serving.beside(given["name"], unit)) in pools]
    ends = [unit for unit in before if unit not in kept]
    # One that was told to finish, by this run or by an earlier one, no longer answers.
    active = serving.active(given["name"])
    running = running_tasks(given, [unit for unit in ends if unit in active])
    serving.stop(ends)
    names = " and ".join(sorted({pool_of(serving.beside(given["name"], unit)) for unit in kept}))
    minutes = round(most_seconds(given["longest"]) / 60)
    return {
        "changed": bool(before),
        "running": [],
        "waiting": {},
        "problem": "",
        "ending": serving.units(given["name"]),
        "running_tasks": running,
        "found": sorted({serving.beside(given["name"], unit) for unit in active}),
        "kept": (
            f"Another worker takes the tasks of {names} until the next run that restarts ends it, or systemd "
            f"{minutes} minutes after it began, or you do (sudo systemctl stop {' '.join(kept)})."
            if kept
            else ""
        ),
    }


def running_tasks(given: dict[str, Any], units: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Return what the workers of ``units`` run, by process; nothing of one that does not answer soon."""
    if not units:
        return {}
    hostname = socket.gethostname()
    nodes = {serving.node(given["name"], unit, hostname): serving.beside(given["name"], unit) for unit in units}
    application = celery_cli.Application.configured(given, supervisord.MAIN_CONF)
    try:
        active = application.answers("active", sorted(nodes), _ACTIVE_SECONDS)
    except celery_cli.CannotAskError:
        # It is told for the admin's sake, and no reason to let them take tasks any longer.
        return {}
    found = celery_cli.running_tasks(active, hostname, time.time())
    return {
        process: found[name] for node, process in nodes.items() for name in [node.partition("@")[0]] if name in found
    }


def weight(programs: Mapping[str, Mapping[str, Any]]) -> int:
    """Return the bytes that another worker of each process will hold, with the children that its command asks for.

    ``programs`` are as `supervisor_parser.programs` has them. What a process or a child holds is what those hold that
    run; a child of a worker that has none yet is taken to hold what the lightest worker does.
    """
    running = {process.namespec: process.pid for process in supervisord.Daemon().processes() if process.pid}
    pids = [pid for pid in running.values() if proc.kind(proc.command_line(pid)) == "worker"]
    lightest = min(filter(None, map(proc.rss, pids)), default=_AT_REST)
    below = proc.children(pids)
    found = 0
    for process, program in programs.items():
        given = worker_command.options(split_command(program["command"]))
        forks = worker_command.pool(given) in FORKING_POOLS
        number = worker_command.tasks(given, os.cpu_count() or 1) if forks else 0
        pid = running.get(process, 0)
        children = list(filter(None, map(proc.rss, below.get(pid, []))))
        child = sum(children) // len(children) if children else lightest
        found += (proc.rss(pid) if pid in below else lightest) + number * child
    return found


def missing_connections(given: dict[str, Any]) -> str:
    """Return why the database has too few connections left, "" if it has enough, has no limit or cannot say."""
    application = celery_cli.Application.configured(given, supervisord.MAIN_CONF)
    try:
        found = application.ask(_DATABASE, [given["project"]], _DATABASE_SECONDS)
    except celery_cli.CannotAskError as why:
        return "the database takes no more connections" if _FULL.search(str(why)) else ""
    if found and given["connections"] > found["max_connections"] - found["threads_connected"]:
        return (
            f"the database has {found['max_connections']} connections, of which {found['threads_connected']} are "
            f"taken, and it takes up to {given['connections']} more; raise its max_connections"
        )
    return ""


def begin(given: dict[str, Any]) -> tuple[list[serving.Worker], dict[str, Any]]:
    """Start the workers; return them, and those of them that wait for their queues, once all answer.

    Raises `serving.ImpossibleError`, with the ones that were started ended, and `RuntimeError` if one cannot work.
    """
    private = bool(given["apart"])
    if private and not given["queues"]:
        raise serving.ImpossibleError(given["apart"])
    programs = supervisor_parser.programs(supervisord.MAIN_CONF, given["processes"])
    needed, available = weight(programs) + given["reserve"], proc.memory_available()
    if needed > available:
        raise serving.ImpossibleError(
            f"there is no memory for {needed // 1024**2} MB more, {available // 1024**2} MB are available"
        )
    if why := missing_connections(given):
        raise serving.ImpossibleError(why)
    started: list[serving.Worker] = []
    waiting: dict[str, Any] = {}
    try:
        for process, program in programs.items():
            most = most_seconds(given["longest"])
            worker = serving.start(given["name"], process, program, socket.gethostname(), most, private)
            started.append(worker)
            if private:
                queues = serving.queues(split_command(program["command"]), given["queues"])
                waiting[process] = {"node": worker.node, "queues": queues}
        wait(given, started)
    except BaseException:
        serving.stop([worker.unit for worker in started])
        raise
    return started, waiting


def wait(given: dict[str, Any], started: list[serving.Worker]) -> None:
    """Return once all answer. Raises `RuntimeError` with the last words of one that has ended, or does not answer."""
    application = celery_cli.Application.configured(given, supervisord.MAIN_CONF)
    silent = {worker.node: worker for worker in started}
    until = time.monotonic() + given["timeout"]
    while silent:
        for node in application.answers("ping", sorted(silent), _ROUND_SECONDS):
            silent.pop(node, None)
        for worker in silent.values():
            if not serving.runs(worker):
                raise RuntimeError(f"a worker like {worker.process} ended at once: {last_words(worker)}")
        if silent and time.monotonic() > until:
            worker = next(iter(silent.values()))
            words = last_words(worker)
            raise RuntimeError(f"a worker like {worker.process} did not answer within {given['timeout']} s: {words}")


def last_words(worker: serving.Worker) -> str:
    """Return what a worker said last, without what it may have taken from its environment."""
    return managed_file.redacted(serving.last_words(worker), supervisor_parser.secrets(supervisord.MAIN_CONF))


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent", "replaced"], "default": "present"},
            "processes": {"type": "list", "elements": "str", "default": []},
            "keep": {"type": "list", "elements": "str", "default": []},
            "reserve": {"type": "int", "default": 0},
            "connections": {"type": "int", "default": 0},
            "longest": {"type": "int", "default": 600},
            "timeout": {"type": "int", "default": 180},
            "apart": {"type": "str", "default": ""},
            "queues": {"type": "list", "elements": "str", "default": []},
            "brings": {"type": "str", "choices": ["configuration", "code"], "default": "configuration"},
            **celery_cli.APPLICATION_SPEC,
            **guard.SPEC,
        },
        supports_check_mode=True,
    )
    supervisord.find_supervisor(module)
    given = module.params
    if module.check_mode:
        module.exit_json(changed=False, running=[], waiting={}, problem="", ending=[], running_tasks={}, kept="")
    with guard.as_owner(module):
        before: list[str] = []
        replaces = given["state"] == "replaced"
        try:
            before = serving.units(given["name"])
            if given["state"] == "absent":
                module.exit_json(**end(given, before))
            started, waiting = begin(given)
            if not replaces:
                guard.remember_serving(module, bool(waiting))
            serving.stop(dispensable(given, before, waiting))
        except (RuntimeError, celery_cli.CannotAskError) as why:
            if replaces:
                module.exit_json(changed=False, running=[], waiting={}, problem=str(why).rstrip("."))
            module.fail_json(
                msg=f"{socket.gethostname()}: the new {given['brings']} does not work, so nothing was stopped: "
                f"{str(why).rstrip('.')}."
            )
        except (serving.ImpossibleError, supervisord.NotAnsweringError, supervisor_parser.InvalidError, OSError) as why:
            if given["apart"] and not replaces:
                # Their code may be older than that of the workers that come.
                serving.stop(before)
            # Those that are to be absent may be there still; each ends by itself in the end.
            there = [] if given["apart"] else {pool_of(serving.beside(given["name"], unit)) for unit in before}
            module.exit_json(
                changed=bool(before),
                running=[process for process in given["processes"] if pool_of(process) in there],
                waiting={},
                problem=str(why),
                ending=before,
                kept="",
            )
    module.exit_json(changed=True, running=[worker.process for worker in started], waiting=waiting, problem="")


if __name__ == "__main__":
    main()
