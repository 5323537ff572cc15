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
  - Where that is not possible, nothing happens and RV(problem) says why. The running gunicorn has to have one TCP
    socket with C(SO_REUSEPORT), as the role C(auth) starts it, and the host memory for a second one.
options:
  name:
    description: Whose gunicorn it is; the supervisor group.
    type: str
    required: true
  state:
    description: V(present) starts it unless it runs, V(absent) ends it.
    type: str
    choices: [present, absent]
    default: present
  processes:
    description: The processes (C(GROUP:PROCESS)) that answer now. There has to be one.
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds in which it has to answer.
    type: int
    default: 90
author:
  - The allianceauth.tuning authors (@allianceauth)
attributes:
  check_mode:
    support: full
    description: Can run in check mode, where it starts and ends nothing.
  diff_mode:
    support: none
    description: Returns no diff.
  platform:
    support: full
    platforms: debian
    description: Where it runs.
"""

EXAMPLES = r"""
- name: Have a second gunicorn answer
  allianceauth.tuning.gunicorn_standby:
    name: myauth
    processes: ["myauth:gunicorn"]
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

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.allianceauth.tuning.plugins.module_utils import daemon as supervisord
from ansible_collections.allianceauth.tuning.plugins.module_utils import server, standby


def begin(names: list[str], note: str, timeout: int) -> None:
    """Start the second gunicorn. Raises `standby.Impossible`."""
    known = {process.namespec: process.pid for process in supervisord.Daemon().processes()}
    pids = [known[name] for name in names if known.get(name)]
    if len(names) != 1 or not pids:
        raise standby.Impossible("not exactly one gunicorn runs")
    weight = sum(server.rss(pid) for pid in [*pids, *server.children(pids)[pids[0]]])
    if weight > server.memory_available():
        raise standby.Impossible(f"there is no memory for {weight // 1024**2} MB more")
    problem = standby.start(pids[0], note, timeout)
    if problem:
        raise standby.Impossible(problem)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "processes": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "int", "default": 90},
        },
        supports_check_mode=True,
    )
    supervisord.import_supervisor(module)
    given, problem = module.params, ""
    note = standby.note(given["name"])
    runs = bool(standby.runs(note))
    changed = runs if given["state"] == "absent" else not runs
    if changed and not module.check_mode:
        try:
            if given["state"] == "absent":
                standby.stop(note)
            else:
                begin(given["processes"], note, given["timeout"])
        except (standby.Impossible, supervisord.NotAnswering, OSError) as why:
            problem, changed = str(why), False
        runs = not problem and bool(standby.runs(note))
    module.exit_json(changed=changed, running=runs, problem=problem)


if __name__ == "__main__":
    main()
