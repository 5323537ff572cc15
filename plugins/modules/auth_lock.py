#!/usr/bin/python
# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: auth_lock
short_description: Keep two runs from changing one Alliance Auth server at the same time
version_added: 0.1.0
description:
  - Takes or gives back a lock on the server. The action plugin says whose it is.
  - There is one for all projects of a server, because a supervisord restarts with all that it runs.
  - Who takes it is about to change something, so the action plugin refuses a second beat on one broker there.
  - A run that is dead holds no lock. On the controller that it ran on, that is seen at once; elsewhere its lease ends.
  - Who takes the lock takes the guard of a dead run as well, and who gives it back ends it;
    see M(allianceauth.tuning.auth_guard).
options:
  name:
    description: Whose programs the run works on; the supervisor group.
    type: str
    required: true
  state:
    description: V(present) takes the lock, V(absent) gives it back.
    type: str
    choices: [present, absent]
    default: present
  looked_at:
    description: When the server was looked at (seconds since 1970, its clock). A run that ended later changed it since.
    type: float
    default: 0
  longest:
    description: Seconds that the slowest program may take to stop. A run may wait so long four times, for its lease.
    type: int
    default: 0
  owner:
    description: The run. Set by the action plugin.
    type: str
    default: ''
  dead:
    description: An owner that is known to be dead. Set by the action plugin.
    type: str
    default: ''
author:
  - The allianceauth.tuning authors (@allianceauth)
extends_documentation_fragment:
  - allianceauth.tuning.attributes
attributes:
  check_mode:
    support: full
    description: Can run in check mode, where it takes no lock.
  diff_mode:
    support: none
  action:
    support: full
    description: An action plugin names the run and finds out whether another one is still alive.
"""

EXAMPLES = r"""
- name: Keep other runs out
  allianceauth.tuning.auth_lock:
    name: myauth
"""

RETURN = r"""
held_by:
  description: The other run that holds the lock, empty for none.
  returned: always
  type: str
path:
  description: The lock's file.
  returned: always
  type: str
run:
  description: The run, for the option C(guard) of other modules.
  returned: always
  type: str
"""

import time
from typing import Any, Sequence

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.program import most_seconds
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import guard, guard_program


def decide(
    held: dict[str, Any], given: dict[str, Any], now: float, elsewhere: Sequence[str] = ()
) -> tuple[str, dict[str, Any]]:
    """Return who else holds the lock ("" for nobody) and what the lock holds from now on.

    ``elsewhere`` are other projects of this supervisord that a guard is about to bring back.
    """
    owner = held.get("owner", "")
    if given["state"] == "absent":
        return "", {"released": now} if is_held(held, given) else held
    if owner == given["owner"] and not is_held(held, given):
        # Hosts of one run, which go through its tasks side by side.
        return f"this very run, on the project {held['project']}; hosts that are one server need a run each", held
    if owner and owner not in (given["owner"], given["dead"]) and now <= held.get("until", 0):
        return owner, held
    if elsewhere:
        return f"the guard of a run for the project {elsewhere[0]}, which was cut off", held
    if held.get("released", 0) > given["looked_at"] > 0:
        return "a run that has ended since", held
    until = now + most_seconds(given["longest"])
    return "", {"owner": given["owner"], "project": given["name"], "until": until}


def is_held(held: dict[str, Any], given: dict[str, Any]) -> bool:
    """Whether the lock is that of this run, for this project."""
    return bool(held.get("owner") == given["owner"] and held.get("project", given["name"]) == given["name"])


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "looked_at": {"type": "float", "default": 0},
            "longest": {"type": "int", "default": 0},
            "owner": {"type": "str", "default": ""},
            "dead": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    name, owner = module.params["name"], module.params["owner"]
    path = guard.lock_path()
    if module.check_mode:
        module.exit_json(changed=False, held_by="", path=path, run=owner)
    with guard_program.opened(path) as lock:
        was_held = is_held(lock, module.params)
        held_by, held = decide(dict(lock), module.params, time.time(), guard.pending_elsewhere(name))
        if module.params["state"] == "present" and not held_by:
            guard.adopt(name, owner)
        elif module.params["state"] == "absent" and was_held:
            guard.end(name)
        lock.clear()
        lock.update(held)
    module.exit_json(changed=False, held_by=held_by, path=path, run=owner)


if __name__ == "__main__":
    main()
