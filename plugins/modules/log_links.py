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
  state:
    description: V(absent) takes the links away, and what was kept beside them gets its name back.
    type: str
    choices: [present, absent]
    default: present
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
  description: The links that were made, or with O(state=absent) taken away.
  returned: always
  type: list
  elements: str
kept:
  description: The files that hold what was there before, or with O(state=absent) have their names back.
  returned: always
  type: list
  elements: str
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import backup_name
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import files, guard, privileges


def take_away(link: str, log: str, check_mode: bool) -> list[str]:
    """Take a link to a log away, and return the file that was kept of what was there before, which has its name again.

    The folder's owner does it.
    """

    def work() -> list[str]:
        kept = files.kept_files(link)[-1:]
        if not check_mode and os.path.islink(link) and os.readlink(link) == log:
            os.unlink(link)
            for file in kept:
                os.rename(file, link)
        return [link] if kept else []

    return privileges.as_untrusted_owner(os.path.dirname(link) + "/.", work)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "folder": {"type": "path", "required": True},
            "logs": {"type": "list", "elements": "path", "required": True},
            **guard.SPEC,
        },
        supports_check_mode=True,
    )
    links = {os.path.join(module.params["folder"], os.path.basename(log)): log for log in module.params["logs"]}
    right = {link: log for link, log in links.items() if os.path.islink(link) and os.readlink(link) == log}
    removes = module.params["state"] == "absent"
    wrong = right if removes else {link: log for link, log in links.items() if link not in right}
    stamp = backup_name.now()
    linked: list[str] = []
    kept: list[str] = []
    try:
        with guard.as_owner(module):
            for link, log in wrong.items():
                if removes:
                    kept += take_away(link, log, module.check_mode)
                elif module.check_mode:
                    kept += [f"{link}.{stamp}"] if os.path.lexists(link) else []
                else:
                    kept += files.put_link(link, log, f"{link}.{stamp}")
                linked.append(link)
    except OSError as why:
        module.warn(f"{why.strerror} while making links to the logs in {module.params['folder']}.")
    module.exit_json(changed=bool(linked or kept), linked=linked, kept=kept)


if __name__ == "__main__":
    main()
