#!/usr/bin/python
# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: auth_guard
short_description: Have a server bring itself back if the run is cut off
version_added: 0.1.0
description:
  - Sets a transient timer of systemd's on the server. Every module of the run that takes O(guard) renews it, and
    M(allianceauth.tuning.auth_lock) ends it with the lock. If it is not renewed in time, the controller or the line
    to it is gone.
  - Then its program takes the lock over, puts the previous configuration back if the new one has not proved itself,
    starts what ran before, has workers take tasks again that take no more, ends what the run has left, and says in the
    journal and in a file what it did.
options:
  state:
    description:
      - V(present) sets it. What runs now is what it brings back, with what a run before has found whose guard has not
        acted yet.
      - V(told) removes what one has said that had to act.
      - V(proven) remembers that what is at O(path) has proved itself. From then on the guard brings back what ran, and
        no file.
    type: str
    choices: [present, told, proven]
    default: present
  path:
    description: The configuration that has proved itself, with O(state=proven).
    type: path
    default: ""
  name:
    description: Whose guard it is; the supervisor group.
    type: str
    required: true
  site:
    description: The processes (C(GROUP:PROCESS)) that answer the site's visitors.
    type: list
    elements: str
    default: []
  longest:
    description: Seconds that the slowest program may take to stop.
    type: int
    default: 0
  webhook:
    description:
      - Who is told if it had to act, as a JSON object with C(url), C(format), C(host) and C(job).
      - It comes from the variables of the role C(auth). The address is a secret.
    type: str
author:
  - The allianceauth.tuning authors (@allianceauth)
extends_documentation_fragment:
  - allianceauth.tuning.attributes
  - allianceauth.tuning.guard
attributes:
  check_mode:
    support: full
    description: Can run in check mode, where it sets and removes nothing.
  diff_mode:
    support: none
  action:
    support: full
    description: An action plugin says what happens from then on if the run is cut off.
"""

EXAMPLES = r"""
- name: Keep other runs out
  allianceauth.tuning.auth_lock:
    name: myauth
  register: locked

- name: Have the server bring itself back if this run is cut off
  allianceauth.tuning.auth_guard:
    name: myauth
    site: ["myauth:gunicorn"]
    guard:
      name: myauth
      owner: "{{ locked.run }}"
      seconds: 120
"""

RETURN = r""" # """

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import (
    files,
    guard,
    guard_program,
    proof,
    serving,
    standby,
    supervisor_parser,
    supervisord,
)

# Beside the time to stop: programs start, those that fail three times, and Django loads on a busy host.
_START_SECONDS = 300


def what_runs(given: dict[str, Any]) -> dict[str, Any]:
    """Return what the guard shall bring back, in the words of guard_program; little if no supervisord answers."""
    found: dict[str, Any] = {
        "daemon": {},
        "ran": [],
        "stopped": [],
        "site": given["site"],
        "standby": standby.note(given["name"]),
        "serving": serving.prefix(given["name"]),
        "patience": given["longest"] + _START_SECONDS,
        "access": supervisor_parser.client(supervisord.MAIN_CONF),
    }
    try:
        daemon = supervisord.Daemon()
        pid = daemon.pid()
        found["daemon"] = {"pid": pid, "start": guard_program.start_ticks(pid)}
        processes = daemon.processes()
        found["ran"] = [process.namespec for process in processes if process.pid]
        # By hand; what has ended or failed by itself may as well do so again.
        found["stopped"] = [process.namespec for process in processes if process.state == "STOPPED"]
    except supervisord.NotAnsweringError:
        # Started, it runs what its configuration has.
        pass
    return found


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "told", "proven"], "default": "present"},
            "name": {"type": "str", "required": True},
            "path": {"type": "path", "default": ""},
            "site": {"type": "list", "elements": "str", "default": []},
            "longest": {"type": "int", "default": 0},
            "webhook": {"type": "str", "no_log": True},
            **guard.SPEC,
        },
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=False)
    if module.params["state"] == "told":
        guard.forget(module.params["name"])
        module.exit_json(changed=False)
    if module.params["state"] == "proven":
        guard.proven(module)
        proof.passed(module.params["name"], files.readable(module.params["path"]) or "")
        module.exit_json(changed=False)
    supervisord.find_supervisor(module)
    try:
        guard.put(module, what_runs(module.params))
    except (supervisor_parser.InvalidError, guard.NotSetError) as why:
        module.fail_json(msg=str(why))
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
