#!/usr/bin/python
# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: log_links
short_description: Have logs found where they were before they moved
version_added: 0.1.0
description:
  - Puts a link to each log into a folder. A log that is there instead is kept beside it, dated.
  - The folder's owner does it, whoever runs the module, because root would write wherever that one has the folder lead.
  - It only helps people to find the logs, so if it cannot be done, it warns.
options:
  folder:
    description: Where people look for the logs.
    type: path
    required: true
  logs:
    description: The logs, wherever they are; they need not exist yet.
    type: list
    elements: path
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
- name: Have the logs found where they were
  allianceauth.tuning.log_links:
    folder: /home/allianceserver/myauth/log
    logs: [/var/log/supervisor/myauth/worker.log]
"""

RETURN = r"""
linked:
  description: The links that were made.
  returned: always
  type: list
  elements: str
kept:
  description: The files that hold what was there before.
  returned: always
  type: list
  elements: str
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import backup_name
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import files, guard


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "folder": {"type": "path", "required": True},
            "logs": {"type": "list", "elements": "path", "required": True},
            **guard.SPEC,
        },
        supports_check_mode=True,
    )
    links = {os.path.join(module.params["folder"], os.path.basename(log)): log for log in module.params["logs"]}
    missing = {link: log for link, log in links.items() if not (os.path.islink(link) and os.readlink(link) == log)}
    stamp = backup_name.now()
    linked: list[str] = []
    kept: list[str] = []
    try:
        with guard.as_owner(module):
            for link, log in missing.items():
                if module.check_mode:
                    kept += [f"{link}.{stamp}"] if os.path.lexists(link) else []
                else:
                    kept += files.put_link(link, log, f"{link}.{stamp}")
                linked.append(link)
    except OSError as why:
        module.warn(f"{why.strerror} while making links to the logs in {module.params['folder']}.")
    module.exit_json(changed=bool(linked or kept), linked=linked, kept=kept)


if __name__ == "__main__":
    main()
