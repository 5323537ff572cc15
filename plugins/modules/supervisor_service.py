#!/usr/bin/python
# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: supervisor_service
short_description: Restart or stop the unit supervisor, as the run that may
version_added: 0.1.0
description:
  - Does what M(ansible.builtin.systemd_service) does, and in the same call asks whether the run still holds the lock.
options:
  state:
    description:
      - V(restarted) starts it if it does not run. V(stopped) is for one that does not answer, and kills it alone if it
        has not stopped after 90 seconds.
    type: str
    choices: [restarted, stopped]
    required: true
author:
  - The allianceauth.tuning authors (@allianceauth)
extends_documentation_fragment:
  - allianceauth.tuning.attributes
  - allianceauth.tuning.guard
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
"""

EXAMPLES = r"""
- name: Restart supervisord
  allianceauth.tuning.supervisor_service:
    state: restarted
"""

RETURN = r""" # """

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import guard, guard_program

_VERBS = {"restarted": "restart", "stopped": "stop"}


def main() -> None:
    module = AnsibleModule(
        argument_spec={"state": {"type": "str", "choices": [*_VERBS], "required": True}, **guard.SPEC},
        supports_check_mode=True,
    )
    state, unit = module.params["state"], guard_program.UNIT
    if state == "stopped" and module.run_command(["systemctl", "is-active", unit])[1].strip() == "inactive":
        module.exit_json(changed=False)
    if module.check_mode:
        module.exit_json(changed=True)
    with guard.as_owner(module):
        if state == "stopped":
            done = guard_program.end_silent("stop")
            status, said = done.returncode, done.stdout
        else:
            status, out, problem = module.run_command(["systemctl", _VERBS[state], unit])
            said = problem or out
    if status:
        # systemctl's second line says where to look.
        reason = " ".join(said.split()).rstrip(".")
        module.fail_json(msg=f"systemd could not {_VERBS[state]} {unit}: {reason}.")
    module.exit_json(changed=True)


if __name__ == "__main__":
    main()
