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
options:
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
    description: Its version.
    type: str
    required: true
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

RETURN = r""" # """

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import guard, pip


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "venv": {"type": "path", "required": True},
            "user": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "version": {"type": "str", "required": True},
            "pip": {"type": "str", "default": "{}", "no_log": True},
            "timeout": {"type": "int", "default": 800},
            **guard.SPEC,
        },
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=True)
    with guard.as_owner(module):
        problem = pip.install(module.params)
    if problem:
        module.fail_json(msg=problem)
    module.exit_json(changed=True)


if __name__ == "__main__":
    main()
