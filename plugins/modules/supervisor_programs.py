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
  - Works through supervisor's XML-RPC interface. While it waits, a line every few seconds says for whom.
options:
  state:
    description:
      - V(stopped) drains O(stages), one after the other. A process has its own C(stopwaitsecs); supervisord kills it then.
      - V(running) waits until each process in O(processes) is RUNNING and has been for O(settle) seconds.
    type: str
    choices: [stopped, running]
    required: true
  stages:
    description: Lists of processes (C(GROUP:PROCESS)) to stop, in this order. One that does not exist is no error.
    type: list
    elements: list
    default: []
  processes:
    description: Processes (C(GROUP:PROCESS)) that shall run.
    type: list
    elements: str
    default: []
  site:
    description:
      - The address that gunicorn listens on (C(HOST:PORT) or C(unix:PATH)), empty for none.
      - With O(state=running) it has to answer with an HTTP status below 500.
    type: str
    default: ''
  settle:
    description: Seconds that a process has to be up to count as running.
    type: int
    default: 10
  timeout:
    description: Seconds after which processes that do not run are a failure.
    type: int
    default: 120
  slice:
    description: Seconds after which the module returns though it is not done, for the action plugin that calls it again.
    type: int
    default: 8
author:
  - The allianceauth.tuning authors (@allianceauth)
attributes:
  check_mode:
    support: full
    description: Can run in check mode and return whether anything would be stopped or started.
  diff_mode:
    support: none
    description: Returns no diff.
  platform:
    support: full
    platforms: debian
    description: Where it runs.
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
  description: Processes that are not there yet, each with its C(name) and C(state).
  returned: always
  type: list
  elements: dict
told:
  description: When (seconds since 1970, the server's clock) each process was told to stop.
  returned: O(state=stopped)
  type: dict
site:
  description: The C(status) of the site's first answer and when (C(at), seconds since 1970, the server's clock) it came.
  returned: O(state=running) and O(site) is given
  type: dict
"""

import time
import xmlrpc.client
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.allianceauth.tuning.plugins.module_utils import daemon as supervisord
from ansible_collections.allianceauth.tuning.plugins.module_utils import site as web
from ansible_collections.allianceauth.tuning.plugins.module_utils.daemon import Daemon, Process

# Often enough that a stage's end costs nobody time, seldom enough to cost the daemon none.
POLL_SECONDS = 0.2


def by_name(daemon: Daemon) -> dict[str, Process]:
    return {process.namespec: process for process in daemon.processes()}


def stop(daemon: Daemon, stages: list[list[str]], until: float, result: dict[str, Any]) -> list[Process]:
    """Stop the stages in turn until the time ``until``; return the processes of the stage that is not done."""
    for names in stages:
        while True:
            known = by_name(daemon)
            pending = [known[name] for name in names if name in known and not known[name].stopped]
            for process in pending:
                if process.state != "STOPPING":
                    result["changed"] = True
                    result["told"][process.namespec] = time.time()
                    tell(daemon, "stopProcess", process.namespec)
            if not pending:
                break
            if time.monotonic() >= until:
                return pending
            time.sleep(POLL_SECONDS)
    return []


def tell(daemon: Daemon, method: str, name: str) -> None:
    """Call stopProcess or startProcess without waiting; a process that is there already is fine."""
    try:
        daemon.call(method, name, False)
    except xmlrpc.client.Fault as why:
        # It ended, or came up, between the look and the word.
        if not why.faultString.startswith(("NOT_RUNNING", "ALREADY_STARTED")):
            raise


def start(daemon: Daemon, module: AnsibleModule, until: float, result: dict[str, Any]) -> list[Process]:
    """Start what is stopped; return the processes that do not run at the time ``until``."""
    wanted, site = module.params["processes"], module.params["site"]
    result["site"] = None
    for process in by_name(daemon).values():
        if process.namespec in wanted and process.stopped:
            result["changed"] = True
            tell(daemon, "startProcess", process.namespec)
    while True:
        if site and not result["site"]:
            result["site"] = web.ask(site)
        known = by_name(daemon)
        absent = [name for name in wanted if name not in known]
        if absent:
            module.fail_json(msg=f"supervisord does not know {', '.join(absent)}; its configuration lacks them.", **result)
        fatal = [known[name] for name in wanted if known[name].state == "FATAL"]
        if fatal:
            reasons = ", ".join(f"{process.namespec} ({process.spawnerr or 'see its log'})" for process in fatal)
            module.fail_json(msg=f"supervisord gave up starting {reasons}.", **result)
        pending = [known[name] for name in wanted if not settled(known[name], module.params["settle"])]
        if not pending and (result["site"] or not site):
            return []
        if time.monotonic() >= until:
            return pending or [Process("the site", site, "SILENT", 0, 0, "")]
        time.sleep(POLL_SECONDS)


def settled(process: Process, seconds: int) -> bool:
    return process.state == "RUNNING" and time.time() - process.start >= seconds


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["stopped", "running"], "required": True},
            "stages": {"type": "list", "elements": "list", "default": []},
            "processes": {"type": "list", "elements": "str", "default": []},
            "site": {"type": "str", "default": ""},
            "settle": {"type": "int", "default": 10},
            "timeout": {"type": "int", "default": 120},
            "slice": {"type": "int", "default": 8},
        },
        supports_check_mode=True,
    )
    supervisord.import_supervisor(module)
    given = module.params
    result: dict[str, Any] = {"changed": False, "pending": [], "told": {}}
    until = time.monotonic() + given["slice"]
    try:
        daemon = Daemon()
        if module.check_mode:
            known = by_name(daemon)
            stopping = given["state"] == "stopped"
            names = [name for stage in given["stages"] for name in stage] if stopping else given["processes"]
            result["changed"] = any(known[name].stopped is not stopping for name in names if name in known)
            module.exit_json(**result)
        if given["state"] == "stopped":
            pending = stop(daemon, given["stages"], until, result)
        else:
            pending = start(daemon, module, until, result)
    except (supervisord.NotAnswering, xmlrpc.client.Fault) as why:
        module.fail_json(msg=str(why), **result)
    result["pending"] = [{"name": process.namespec, "state": process.state} for process in pending]
    module.exit_json(**result)


if __name__ == "__main__":
    main()
