#!/usr/bin/python
# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gunicorn_standby
short_description: Keep a site up with a second gunicorn while the supervised one restarts
version_added: 0.1.0
description:
  - Starts another gunicorn like the one that runs, on the same address. Once it answers, it gets all new connections,
    and the supervised one can be stopped.
  - It gives the address back by itself, and ends, as soon as a new gunicorn answers there; at the latest after
    15 minutes. No connection is refused or reset for that, and none waits for a gunicorn that is still loading.
  - It is a transient scope of systemd's, which outlives the login session.
  - Where that is not possible, nothing happens and RV(problem) says why. The running gunicorn and the next one, by
    supervisor's configuration on disk, have to share one TCP address, and the host needs memory for a second one.
options:
  name:
    description: Whose gunicorn it is; the supervisor group.
    type: str
    required: true
  state:
    description:
      - V(present) starts it unless it runs, V(absent) ends it.
      - It is ended as well if the next gunicorn could not start beside it.
      - V(tried) starts it and ends it once it answers, without any visitor. If it does not answer, the module fails.
    type: str
    choices: [present, absent, tried]
    default: present
  processes:
    description: The processes (C(GROUP:PROCESS)) that answer now. There has to be one.
    type: list
    elements: str
    default: []
  config:
    description: The configuration file that gunicorn shares its address by.
    type: path
    default: ''
  reserve:
    description: Bytes of memory that are needed for something else as well, before the second gunicorn has ended.
    type: int
    default: 0
  timeout:
    description: Seconds in which it has to answer.
    type: int
    default: 90
author:
  - The allianceauth.tuning authors (@allianceauth)
extends_documentation_fragment:
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
- name: Have a second gunicorn answer
  allianceauth.tuning.gunicorn_standby:
    name: myauth
    processes: ["myauth:gunicorn"]
    config: /etc/supervisor/myauth.gunicorn.py
"""

RETURN = r"""
running:
  description: Whether a second gunicorn answers now.
  returned: always
  type: bool
problem:
  description: Why none does, empty if one does or none is asked for.
  returned: always
  type: str
"""

import os
import socket
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import managed_file
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.command import split_command
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.names import is_orphan, make_namespec
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import (
    guard,
    proc,
    standby,
    supervisor_parser,
    supervisord,
)


def next_bind(names: list[str], config: str) -> str:
    """Return the address that the processes' next gunicorn will share, "" if it will not.

    What is on disk is what supervisord will start.
    """
    commands = [
        split_command(process["command"])
        for group in supervisor_parser.effective(supervisord.MAIN_CONF)["groups"]
        for process in group["processes"]
        if make_namespec(group["name"], process["name"]) in names
    ]
    for command in commands:
        # As the role's template writes them.
        options = dict(zip(command, command[1:]))
        if options.get("--config") == config:
            return options.get("--bind", "")
    return ""


def numbers(names: list[str]) -> list[int]:
    """Return those of the processes that run, by number."""
    known = {process.namespec: process.pid for process in supervisord.Daemon().processes()}
    return [known[name] for name in names if known.get(name)]


def own(given: dict[str, Any]) -> list[str]:
    """Return the processes that are of our group, or orphans: those of another project have addresses of their own."""
    return [name for name in given["processes"] if is_orphan(name) or name.partition(":")[0] == given["name"]]


def begin(pids: list[int], bind: str, note: str, given: dict[str, Any], unit: str = "") -> None:
    """Start the second gunicorn. Raises `standby.ImpossibleError`."""
    if len(own(given)) != 1 or len(pids) != 1:
        raise standby.ImpossibleError("not exactly one gunicorn runs")
    weight = sum(proc.rss(pid) for pid in [*pids, *proc.children(pids)[pids[0]]])
    if weight + given["reserve"] > proc.memory_available():
        raise standby.ImpossibleError(f"there is no memory for {weight // 1024**2} MB more")
    problem = standby.start(pids[0], bind, note, given["timeout"], given.get("state") == "tried", unit)
    if problem:
        # It ends with gunicorn's own last words.
        raise standby.ImpossibleError(managed_file.redacted(problem, supervisor_parser.secrets(supervisord.MAIN_CONF)))


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent", "tried"], "default": "present"},
            "processes": {"type": "list", "elements": "str", "default": []},
            "config": {"type": "path", "default": ""},
            "reserve": {"type": "int", "default": 0},
            "timeout": {"type": "int", "default": 90},
            **guard.SPEC,
        },
        supports_check_mode=True,
    )
    supervisord.find_supervisor(module)
    if module.check_mode:
        module.exit_json(changed=False, running=False, problem="")
    with guard.as_owner(module):
        result = work(module.params, scope(module.params["name"]))
    if module.params["state"] == "tried" and result["problem"].startswith(standby.SILENT):
        module.fail_json(
            msg=f"{socket.gethostname()}: the site does not work with what is installed, so nothing was stopped: "
            f"{result['problem'].rstrip('.')}."
        )
    module.exit_json(**result)


def scope(name: str) -> str:
    """Return the name of the unit that the second gunicorn gets, "" where systemd does not run the host."""
    # Source: sd_booted(3)
    booted = os.path.isdir("/run/systemd/system")
    return f"allianceauth-tuning-{name}-gunicorn-{int(time.time())}.scope" if booted else ""


def work(given: dict[str, Any], unit: str = "") -> dict[str, Any]:
    """Do what is asked for; return the result. ``unit`` is the one that the second gunicorn gets, if any."""
    note, wanted = standby.note(given["name"]), given["state"] != "absent"
    tries = given["state"] == "tried"
    changed, problem = False, ""
    try:
        bind = next_bind(own(given), given["config"]) if wanted else ""
        pids = numbers(own(given)) if bind else []
        found = standby.running(note)
        # One that gives back to the gunicorn that is about to stop is of no use, and on its way out.
        if found and (tries or not (found["bind"] == bind and (not pids or found["original"] in pids))):
            changed, found = standby.stop(note), {}
        if wanted and not bind:
            raise standby.ImpossibleError("the next gunicorn will not share its address")
        if wanted and not found:
            begin(pids, bind, note, given, unit)
            changed = True
        if tries:
            # It has ended by itself, or is just doing so.
            standby.stop(note)
    except (standby.ImpossibleError, supervisord.NotAnsweringError, supervisor_parser.InvalidError, OSError) as why:
        problem = str(why)
    return {"changed": changed, "running": wanted and not tries and not problem, "problem": problem}


if __name__ == "__main__":
    main()
