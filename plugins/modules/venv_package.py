#!/usr/bin/python
# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: venv_package
short_description: Install a package into a virtual environment with its user's rights
version_added: 0.1.0
description:
  - Runs the environment's own pip as O(user), whoever runs the module.
  - What pip is told of an index may hold credentials. They come by the module's input and go on in pip's environment,
    so that no list of processes and no log of sudo's has them; nor has what pip says of a failure.
  - What is new in the environment then is noted, so that V(absent) takes that away and nothing else.
options:
  state:
    description:
      - V(absent) takes away what this module has brought into the environment, with the packages that O(name) needs.
        What was there before stays.
    type: str
    choices: [present, absent]
    default: present
  venv:
    description: The virtual environment.
    type: path
    required: true
  user:
    description: The user whose it is.
    type: str
    required: true
  name:
    description: The package.
    type: str
    required: true
  version:
    description: Its version. O(state=present) needs it.
    type: str
  pip:
    description:
      - Further C(arguments) of C(pip install), a list, and environment variables of pip's (C(environment), a mapping),
        as a JSON object. They may be secrets, so they are not shown.
    type: str
    default: '{}'
  timeout:
    description: Seconds after which pip is ended.
    type: int
    default: 800
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
- name: Install superlance by a mirror
  allianceauth.tuning.venv_package:
    venv: /home/allianceserver/venv/auth
    user: allianceserver
    name: superlance
    version: 2.0.0
    pip: "{{ {'arguments': ['--index-url', 'https://name:secret@mirror.example/simple']} | to_json }}"
"""

RETURN = r"""
packages:
  description: The packages that were brought or taken away.
  returned: success
  type: list
  elements: str
has_pip:
  description: C(false) if it failed because the virtual environment has no pip.
  returned: the virtual environment has no pip
  type: bool
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import guard, origin, pip


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "venv": {"type": "path", "required": True},
            "user": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "version": {"type": "str"},
            "pip": {"type": "str", "default": "{}", "no_log": True},
            "timeout": {"type": "int", "default": 800},
            **guard.SPEC,
        },
        required_if=[("state", "present", ["version"])],
        supports_check_mode=True,
    )
    given, project = module.params, module.params["guard"].get("name", "")
    before = pip.packages(given["venv"])
    ours = sorted(before.intersection(origin.brought(project))) if project else []
    if given["state"] == "absent" and not ours:
        module.exit_json(changed=False, packages=[])
    if module.check_mode:
        module.exit_json(changed=True, packages=ours)
    with guard.as_owner(module):
        try:
            problem = pip.install(given) if given["state"] == "present" else pip.uninstall(given, ours)
        except pip.NoPipError as why:
            module.fail_json(msg=f"{why}.", has_pip=False)
    if problem:
        module.fail_json(msg=problem)
    brought = sorted(pip.packages(given["venv"]) - before)
    if brought and project:
        origin.has_brought(project, brought)
    module.exit_json(changed=True, packages=brought or ours)


if __name__ == "__main__":
    main()
