#!/usr/bin/python
# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: supervisor_programs
short_description: Drain supervised processes in stages, or wait until they run
version_added: 0.1.0
description:
  - Stops processes in ordered stages. All processes of a stage are told at once and awaited together,
    so a stage takes as long as its slowest process.
  - Or starts what is stopped and waits until every process runs and stays so.
  - A Celery worker first takes no more tasks (C(cancel_consumer)), goes on with those that it runs and holds, and is
    told to stop once it has finished what it ran then. Only where O(guard) names a run whose guard could give it its
    queues back; one that does not answer, whose node is not named C(PROCESS@HOST), or whose Celery is older than 5.7,
    is told to stop at once. Such a Celery would lose the queues again when it connects to the broker anew.
  - With O(state=running), workers that have only stopped to take tasks take them again (C(add_consumer)).
  - Works through supervisor's XML-RPC interface. While it waits, a line at least every ten seconds says for whom,
    which tasks they run and how long they may take.
options:
  state:
    description:
      - V(stopped) drains O(stages), one after the other.
      - V(running) waits until each process in O(processes) is RUNNING and has been for O(settle) seconds.
    type: str
    choices: [stopped, running]
    required: true
  stages:
    description:
      - Lists of processes (C(GROUP:PROCESS)) to stop, in this order. One that does not exist is no error.
      - An orphan of an earlier restart is named C(pid:PID@START), START being the clock ticks of its start.
    type: list
    elements: list
    default: []
  workers:
    description: Those of O(stages) that are Celery workers and may have running tasks.
    type: list
    elements: str
    default: []
  stopwaitsecs:
    description: Seconds that each process has to stop, by its name.
    type: dict
    default: {}
  timeout_action:
    description:
      - What happens to a process that does not stop within its time.
      - V(abort) calls the drain off. What was stopped is started again, and a worker that is still busy takes tasks
        again; one that was told to stop already is started again by supervisord once it has finished.
      - V(kill) kills it, as supervisor does. Its tasks are lost, and named.
      - What is none of O(workers) is killed by supervisord itself when its time is over, with either choice.
    type: str
    choices: [abort, kill]
    default: abort
  celery:
    description: How to ask the workers for their tasks, with the keys C(venv), C(project), C(project_dir) and C(user).
    type: dict
    default: {}
  apart:
    description:
      - Why O(workers) and those that would be started in their place must not take tasks from one queue, as
        RV(allianceauth.tuning.auth_code#module:apart) of M(allianceauth.tuning.auth_code). Then a worker that is still
        busy when the drain is called off does not take tasks again; it finishes, and supervisord starts it again.
    type: str
    default: ''
  serving:
    description:
      - The processes (C(GROUP:PROCESS)) beside which a further worker takes tasks during the drain, as
        M(allianceauth.tuning.celery_standby) starts them, each with its C(memory_limit) in bytes (0 for none) and its
        C(concurrency).
      - Once a minute each is weighed with its children. One that holds more than its limit gets a successor, and is
        told to finish once that has answered; if none can start it goes on, which is a warning.
    type: dict
    default: {}
  waiting:
    description:
      - Workers that were started to take the tasks of O(workers) and must not take any beside them, as
        RV(allianceauth.tuning.celery_standby#module:waiting) of M(allianceauth.tuning.celery_standby). They get their
        queues once each of O(workers) has said that it takes no more tasks, or has ended.
    type: dict
    default: {}
  last:
    description:
      - Those of O(stages) that stop after all others, whatever stage they are in. While somebody takes the tasks that
        it queues, beat has no reason to stop first.
    type: list
    elements: str
    default: []
  stop_requests:
    description: What an earlier call returned as RV(stop_requests), to go on with its drain.
    type: dict
    default: {}
  kill:
    description: Processes whose time is over, to be killed.
    type: list
    elements: str
    default: []
  processes:
    description: Processes (C(GROUP:PROCESS)) that shall run.
    type: list
    elements: str
    default: []
  own_groups:
    description:
      - With O(state=running), groups beside those of O(processes) that are none of others' and are left as they are.
      - The programs of others come into the state in which O(guard)'s run, or one before it that was cut off, has found
        them, unless nothing has happened to them.
    type: list
    elements: str
    default: []
  tolerate:
    description: Those of O(processes) that did not work before, so that it is no failure if they end again.
    type: list
    elements: str
    default: []
  site:
    description:
      - The address that gunicorn listens on (C(HOST:PORT) or C(unix:PATH)), empty for none.
      - With O(state=running) it has to answer with an HTTP status below 500.
    type: str
    default: ''
  standby_of:
    description:
      - The O(allianceauth.tuning.gunicorn_standby#module:name) of a second gunicorn that may answer on O(site) in the
        place of the one in O(processes); its answer does not count.
    type: str
    default: ''
  settle:
    description: Seconds that a process has to be up to count as running.
    type: int
    default: 10
  timeout:
    description: Seconds after which processes that do not run are a failure.
    type: int
    default: 300
  slice:
    description: Seconds after which the module returns though it is not done; the action plugin calls it again.
    type: int
    default: 5
author:
  - The allianceauth.tuning authors (@allianceauth)
extends_documentation_fragment:
  - allianceauth.tuning.attributes
  - allianceauth.tuning.guard
attributes:
  check_mode:
    support: full
    description: Can run in check mode and return whether anything would be stopped or started.
  diff_mode:
    support: none
  action:
    support: full
    description: An action plugin calls the module until it is done and reports progress.
"""

EXAMPLES = r"""
- name: Drain beat, then the workers together
  allianceauth.tuning.supervisor_programs:
    state: stopped
    stages:
      - ["myauth:beat"]
      - ["myauth:worker_00", "myauth:worker_01"]

- name: Wait until they run
  allianceauth.tuning.supervisor_programs:
    state: running
    processes: ["myauth:beat", "myauth:worker_00", "myauth:worker_01"]
"""

RETURN = r"""
pending:
  description: Processes that are not there yet, each with its C(name) and C(state), and when it was started (C(start)).
  returned: always
  type: list
  elements: dict
stop_requests:
  description:
    - The C(pid) of each process that was told to stop, when that was (C(at)) and when it had C(ended).
    - A worker that has only been told to take no more tasks has C(waits), the ids of those that it has to finish
      before.
  returned: O(state=stopped)
  type: dict
tasks:
  description: What each worker ran when it was told to stop, each task with its C(name), C(id) and C(age) in seconds.
  returned: O(state=stopped)
  type: dict
waiting:
  description: Those of O(waiting) that take no tasks yet.
  returned: O(state=stopped)
  type: dict
handed_over:
  description: When those of O(waiting) that do got their queues, in seconds since 1970; null if not in this call.
  returned: O(state=stopped)
  type: float
heavy:
  description: The bytes that each of O(serving) holds that is past its limit.
  returned: O(state=stopped)
  type: dict
replaced:
  description: Those of O(serving) that got a successor, each with the bytes that it held (C(held)) and its C(limit).
  returned: O(state=stopped)
  type: dict
back:
  description: Workers (C(GROUP:PROCESS)) that take tasks again.
  returned: O(state=running)
  type: list
  elements: str
finishing:
  description:
    - Workers that had only stopped to take tasks and do not answer, or for which O(apart) was given. They finish, and
      supervisord starts them again.
  returned: O(state=running), or a drain that was called off, if others take the tasks of their pools meanwhile
  type: list
  elements: str
starts:
  description: When each of O(processes) was started last, in seconds since 1970.
  returned: O(state=running)
  type: dict
site:
  description: The C(status) of the site's first answer and when it came (C(at), seconds since 1970).
  returned: O(state=running) and O(site) is given
  type: dict
"""

import contextlib
import re
import socket
import time
import xmlrpc.client
from typing import Any, Mapping, Sequence

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import managed_file
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.names import is_orphan
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import (
    celery_cli,
    consumers,
    drain,
    guard,
    http_probe,
    proc,
    serving,
    standby,
    supervisor_parser,
    supervisord,
)
from ansible_collections.allianceauth.tuning.plugins.module_utils.server.supervisord import Daemon, Process

# Of a program's log, for the message that says why it does not run.
_LOG_BYTES = 4000
_LOG_LINES = 4
# Programs that start need the processor more than whoever waits for them: nobody is kept from anything meanwhile.
_START_POLL_SECONDS = 0.5

# In the other states supervisord starts a process itself, or has given it up.
_STARTABLE_STATES = frozenset({"STOPPED", "EXITED"})

_CAUSE = re.compile(r"[\w.]*(Error|Exception)\b")


def stop(daemon: Daemon, module: AnsibleModule, result: dict[str, Any], until: float) -> None:
    """Go on draining until the time ``until``; the result says how far it got."""
    given = module.params
    workers = frozenset(given["workers"])
    known = workers_of(daemon, module) if workers and given["celery"] else None

    def before(names: Sequence[str]) -> dict[str, list[str]]:
        # In a warm shutdown a worker no longer answers, so this comes before the word.
        return known.pause([name for name in names if name in workers]) if known else {}

    warm_shutdowns = workers if given["timeout_action"] == "abort" else frozenset()
    unfinished = known.unfinished if known else set
    stages = drain.ordered(given["stages"], given["last"])
    result.update(waiting=given["waiting"], handed_over=None)

    def each_round() -> None:
        if known and result["waiting"]:
            hand_over(work, known, module, result)

    def telling(name: str, pid: int) -> None:
        if name in workers:
            guard.remember_finishing(module, name, pid)

    asked = given["stop_requests"]
    work = drain.Drain(daemon, stages, warm_shutdowns, asked, before, unfinished, each_round, telling)
    for name in given["kill"]:
        drain.kill(daemon, name)
    try:
        pending = work.run(until)
        if known and given["waiting"] and not result["waiting"]:
            known.delete_queue([one["node"] for one in given["waiting"].values()])
    finally:
        if known:
            known.close()
            result["tasks"] = known.tasks
    result.update(changed=work.changed, stop_requests=work.stop_requests, now=time.time())
    result["pending"] = [{"name": name, "state": state} for name, state in pending]
    result["heavy"] = heavy(given["serving"])


def hand_over(work: drain.Drain, known: consumers.Consumers, module: AnsibleModule, result: dict[str, Any]) -> None:
    """Have the workers that wait take tasks, once no old one does: old and new code never take them from one queue."""
    taking = work.may_take_tasks(module.params["workers"])
    if not taking - set(work.stop_requests):
        # Each was told by now, so whoever calls this drain off, or finds it cut off, may hand the queues over.
        guard.remember_waiting(module, result["waiting"])
    if taking:
        return
    left = known.hand_over(result["waiting"])
    if len(left) < len(result["waiting"]):
        result["handed_over"] = time.time()
        guard.remember_waiting(module, left)
    result["waiting"] = left


def heavy(given: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """Return the bytes of each worker that takes tasks meanwhile and holds more than its limit."""
    held: dict[str, int] = {}
    # It is no reason to keep a drain from going on.
    with contextlib.suppress(serving.ImpossibleError):
        for name in {process.partition(":")[0] for process in given}:
            held.update(serving.held(name))
    return {
        process: held[process] for process, one in given.items() if 0 < int(one["memory_limit"]) < held.get(process, 0)
    }


def workers_of(daemon: Daemon, module: AnsibleModule) -> consumers.Consumers:
    """Return this host's Celery workers."""

    def application() -> celery_cli.Application:
        return celery_cli.Application.configured(module.params["celery"], supervisord.MAIN_CONF)

    def remember(celery: Mapping[str, Any], found: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Mapping[str, Any]]:
        return guard.remember_consumers(module, celery, found, module.params["apart"])

    return consumers.Consumers(application, daemon, socket.gethostname(), remember)


def start_with_patience(daemon: Daemon, module: AnsibleModule, result: dict[str, Any], until: float) -> None:
    """Do what `start` does; a supervisord that has just been started may not answer yet."""
    while True:
        try:
            start(daemon, module, result, until)
            return
        except supervisord.NotAnsweringError as why:
            result["pending"] = [{"name": "supervisord", "state": str(why)}]
        if time.monotonic() >= until:
            return
        time.sleep(drain.POLL_SECONDS)


def start(daemon: Daemon, module: AnsibleModule, result: dict[str, Any], until: float) -> None:
    """Start what is stopped and wait for it until the time ``until``; the result says how far it got."""
    wanted, site = module.params["processes"], module.params["site"]
    note = standby.note(module.params["standby_of"])
    started: set[str] = set()
    # At first also what was given up before this call: perhaps its cause is gone.
    startable = supervisord.STOPPED_STATES
    take_again(module, result)
    while True:
        stopping = settle_neighbours(daemon, module)
        for process in daemon.processes():
            # Once in a call: who ends again and again has one life more in each, and `progress.Starts` counts them.
            if process.namespec in wanted and process.namespec not in started and process.state in startable:
                result["changed"] = True
                started.add(process.namespec)
                daemon.start(process.namespec)
        startable = _STARTABLE_STATES
        known = {process.namespec: process for process in daemon.processes()}
        gunicorns = [known[name] for name in wanted if name in known and is_gunicorn(known[name])]
        # gunicorn's workers come after it has its address (its arbiter.py); until then somebody else answers there.
        second = standby.running(note)
        if site and not result["site"] and not second and any(proc.has_children(p.pid) for p in gunicorns):
            result["site"] = http_probe.ask(site)
        absent = [name for name in wanted if name not in known]
        if absent:
            module.fail_json(
                msg=f"supervisord does not know {', '.join(absent)}; its configuration lacks them.", **result
            )
        pending = [known[name] for name in wanted if not settled(known[name], module.params["settle"])]
        pending = [process for process in pending if not given_up(process, module.params["tolerate"])]
        result["starts"] = {name: known[name].start for name in wanted}
        state = "answered by the second gunicorn" if second else "no answer"
        silent = [{"name": f"the site at {site}", "state": state}] if site and not result["site"] else []
        result["pending"] = silent + [
            {"name": process.namespec, "state": process.state, "start": process.start} for process in pending + stopping
        ]
        fatal = [process for process in pending if process.state == "FATAL"]
        if fatal:
            module.fail_json(msg=" ".join(spawn_error(daemon, process) for process in fatal), **result)
        if not result["pending"] or time.monotonic() >= until:
            break
        time.sleep(_START_POLL_SECONDS)
    result["logs"] = {
        process.namespec: last_log_lines(daemon, process) for process in pending + (gunicorns if silent else [])
    }


def take_again(module: AnsibleModule, result: dict[str, Any]) -> None:
    """Have workers take tasks again that take no more; the result has all that this call has told so."""
    back, finishing = consumers.give_back(module)
    result["back"] = [*result.get("back", []), *back]
    result["finishing"] = [*result.get("finishing", []), *finishing]


def settle_neighbours(daemon: Daemon, module: AnsibleModule) -> list[Process]:
    """Have the programs of others in the state in which the run has found them; nobody waits until they run.

    A new supervisord has started what it shall by its configuration: not what somebody had
    started by hand, and also what somebody had stopped. By its first answer it has done so.
    Return those that are to run and that a run which was cut off has told to stop: they can be started once they have.
    """
    ours = {name.partition(":")[0] for name in module.params["processes"]}
    ran, stopped = guard.neighbours(module, daemon, ours.union(module.params["own_groups"]))
    stopping = []
    for process in daemon.processes():
        # What it cannot start, or stop, it could not before this run.
        with contextlib.suppress(supervisord.RefusedError):
            if process.namespec in ran and process.state == "STOPPED":
                daemon.start(process.namespec)
            elif process.namespec in ran and process.state == "STOPPING":
                stopping.append(process)
            elif process.namespec in stopped and not process.stopped and process.state != "STOPPING":
                daemon.stop(process.namespec)
    return stopping


def is_gunicorn(process: Process) -> bool:
    """Whether a process is a gunicorn by its command line."""
    return bool(process.pid) and proc.kind(proc.command_line(process.pid)) == "gunicorn"


def settled(process: Process, seconds: int) -> bool:
    """Whether a process runs, and has for so long that it will not fall over at once."""
    return process.state == "RUNNING" and time.time() - process.start >= seconds


def given_up(process: Process, tolerated: Sequence[str]) -> bool:
    """Whether nobody waits for a process any more: it did not work before the run, and does not now."""
    return process.namespec in tolerated and process.state in ("BACKOFF", "FATAL")


def spawn_error(daemon: Daemon, process: Process) -> str:
    """Return the sentence on a program that supervisord gave up, with its last words."""
    # "Exited too quickly (process log may have details)" says less than the log does.
    reason = "" if "process log" in process.spawnerr else process.spawnerr
    reason = reason or last_log_lines(daemon, process) or "it left no word in its log"
    return supervisord.gave_up(process.namespec, reason)


def last_log_lines(daemon: Daemon, process: Process) -> str:
    """Return the last lines of a process's log, in one line."""
    for method in ("readProcessStderrLog", "readProcessStdoutLog"):
        try:
            text = str(daemon.call(method, process.namespec, -_LOG_BYTES, 0))
        except xmlrpc.client.Fault:
            continue
        # A program that was started again and again has said the same again and again: the last time counts.
        lines = [*dict.fromkeys(line.strip() for line in reversed(text.splitlines()) if line.strip())]
        last = lines[:_LOG_LINES]
        # In mid-traceback, which has not come to its last line yet: what it died of before says more.
        causes = [line for line in lines if _CAUSE.match(line)]
        if causes and causes[0] not in last and any(line.startswith('File "') for line in last):
            last = causes[:1]
        if last:
            return managed_file.redacted(" / ".join(reversed(last)), supervisor_parser.secrets(supervisord.MAIN_CONF))
    return ""


def predict(daemon: Daemon, given: dict[str, Any]) -> bool:
    """Whether a run would stop or start anything."""
    starts: bool = given["state"] == "running"
    names = given["processes"] if starts else [name for stage in given["stages"] for name in stage]
    if any(is_orphan(name) for name in names):
        return True
    try:
        known = {process.namespec: process for process in daemon.processes()}
    except supervisord.NotAnsweringError:
        # Then nothing of it can be stopped, and all has to be started.
        return starts
    return any(name in known and known[name].stopped is starts for name in names)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["stopped", "running"], "required": True},
            "stages": {"type": "list", "elements": "list", "default": []},
            "last": {"type": "list", "elements": "str", "default": []},
            "workers": {"type": "list", "elements": "str", "default": []},
            "stopwaitsecs": {"type": "dict", "default": {}},
            "timeout_action": {"type": "str", "choices": ["abort", "kill"], "default": "abort"},
            "celery": {"type": "dict", "default": {}},
            "apart": {"type": "str", "default": ""},
            "serving": {"type": "dict", "default": {}},
            "waiting": {"type": "dict", "default": {}},
            "stop_requests": {"type": "dict", "default": {}},
            "kill": {"type": "list", "elements": "str", "default": []},
            "processes": {"type": "list", "elements": "str", "default": []},
            "own_groups": {"type": "list", "elements": "str", "default": []},
            "tolerate": {"type": "list", "elements": "str", "default": []},
            "site": {"type": "str", "default": ""},
            "standby_of": {"type": "str", "default": ""},
            "settle": {"type": "int", "default": 10},
            "timeout": {"type": "int", "default": 300},
            "slice": {"type": "int", "default": 5},
            **guard.SPEC,
        },
        supports_check_mode=True,
    )
    supervisord.find_supervisor(module)
    given = module.params
    result: dict[str, Any] = {
        "changed": False,
        "pending": [],
        "stop_requests": given["stop_requests"],
        "tasks": {},
        "site": None,
    }
    until = time.monotonic() + given["slice"]
    with guard.as_owner(module):
        try:
            daemon = Daemon()
            if module.check_mode:
                result["changed"] = predict(daemon, given)
            elif given["state"] == "stopped":
                stop(daemon, module, result, until)
            else:
                start_with_patience(daemon, module, result, until)
        except (supervisord.NotAnsweringError, supervisord.RefusedError) as why:
            take_again(module, result)
            module.fail_json(msg=str(why), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
