#!/usr/bin/python
# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: auth_adopt_info
short_description: Read how a server's Alliance Auth project is configured, to describe it by variables
version_added: 0.1.0
description:
  - Finds the project that supervisord runs, in whatever files and folders, and returns its places.
  - With O(content), compares its configuration with that of a C(supervisor.conf) by meaning.
  - Reads only.
options:
  project:
    description: The project's name, if supervisord runs several.
    type: str
    default: ""
  content:
    description: The C(supervisor.conf) to compare with, without the programs' environments.
    type: str
  environments:
    description:
      - The programs' environments that belong into O(content), as JSON; they may hold secrets.
      - The action gives them from the role's variables.
    type: str
    default: "{}"
author:
  - The allianceauth.tuning authors (@allianceauth)
extends_documentation_fragment:
  - allianceauth.tuning.attributes
attributes:
  check_mode:
    support: full
    description: Can run in check mode and return what it would otherwise return.
  diff_mode:
    support: none
"""

EXAMPLES = r"""
- name: Find the project
  allianceauth.tuning.auth_adopt_info:
  register: found
"""

RETURN = r"""
found:
  description:
    - The project's C(name), C(user), C(directory), C(venv), and C(path), the file that has its programs.
    - Sections of it in other files are C(elsewhere), programs in other files that go on without it C(apart), by path.
  returned: always
  type: dict
value_changes:
  description: What O(content) says otherwise, as M(allianceauth.tuning.supervisor_config) returns it.
  returned: O(content) is given
  type: list
  elements: dict
secrets:
  description: Values of environments that would keep something, each with its path in the variables.
  returned: O(content) is given
  type: list
  elements: list
"""

import configparser
import itertools
import json
import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import managed_file, manual_changes
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import (
    adoption,
    audit_host,
    audit_projects,
    supervisor_parser,
    supervisord,
)


def is_guest(project: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether all programs of a project are in groups of another one that has more of them there."""
    return set(project["groups"]) <= set(other["groups"]) and len(project["processes"]) < len(other["processes"])


def choose(projects: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """Return the project that is meant. Raises ValueError with a sentence if that cannot be told."""
    # A program of another project that is in the group of one is that one's.
    projects = [one for one in projects if not any(is_guest(one, other) for other in projects)]
    names = sorted(project["name"] for project in projects)
    chosen = [project for project in projects if name in ("", project["name"])]
    if not projects:
        raise ValueError(
            "supervisord runs no Alliance Auth project here: none of its programs is celery with -A, or gunicorn with "
            "PROJECT.wsgi"
        )
    if not chosen:
        raise ValueError(f"auth_project is {name}, and supervisord runs {' and '.join(names)} here; correct it")
    if len(chosen) > 1:
        raise ValueError(
            f"supervisord runs several projects here, {' and '.join(names)}: say which one is to be this "
            "collection's with auth_project. Programs of the others need other names than its own (beat, worker, "
            "gunicorn), because supervisor merges sections of one name, and go on without it"
        )
    return chosen[0]


def read(
    main_conf: str, daemon: dict[str, Any], name: str
) -> tuple[dict[str, Any], adoption.Configuration, dict[str, dict[str, Any]]]:
    """Return the project, its configuration, and its program sections with their environments."""
    effective = supervisor_parser.effective(main_conf)
    programs = adoption.programs(main_conf, adoption.daemon_environment(daemon.get("pid", 0)))
    project = choose(
        audit_projects.discover(audit_projects.processes(effective, daemon), effective["sections"]),
        name,
    )
    owners = {title: one["group"] for title, one in programs.items() if one["group"] is not None}
    configuration = adoption.read(main_conf, project, effective, owners)
    # Also those of its file that are in no group with the others.
    titles = {*effective["sections"][configuration.path], *itertools.chain(*configuration.elsewhere.values())}
    ours = {title: one for title, one in programs.items() if one["group"] is None or title in titles}
    return project, configuration, ours


def compared(
    configuration: adoption.Configuration, programs: dict[str, dict[str, Any]], content: str, daemon_pid: int
) -> dict[str, Any]:
    """Return what a file says otherwise, and the secrets that would keep it."""
    known = adoption.expansions(daemon_pid)
    changes = manual_changes.changes(configuration.text, content, (), known=known, elsewhere=configuration.beside)
    found = [change.as_dict() for change in changes]
    return {"value_changes": found, "secrets": adoption.secrets(found, programs)}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "project": {"type": "str", "default": ""},
            "content": {"type": "str"},
            "environments": {"type": "str", "no_log": True, "default": "{}"},
        },
        supports_check_mode=True,
    )
    if os.getuid() != 0:
        module.fail_json(msg="root on the server is needed, to read what only root can: set become: true")
    supervisord.find_supervisor(module)
    daemon = audit_host.daemon()
    try:
        project, configuration, programs = read(supervisord.MAIN_CONF, daemon, module.params["project"])
        result: dict[str, Any] = {
            "found": {
                **{key: project[key] for key in ("name", "user", "directory", "venv")},
                "path": configuration.path,
                "elsewhere": configuration.elsewhere,
                "apart": configuration.apart,
            }
        }
        if module.params["content"] is not None:
            content = managed_file.complete(module.params["content"], json.loads(module.params["environments"]))
            result.update(compared(configuration, programs, content, daemon.get("pid", 0)))
    except supervisor_parser.InvalidError as why:
        module.fail_json(msg=f"supervisor refuses its present configuration: {why}; repair that first.")
    except configparser.Error as why:
        module.fail_json(msg=f"supervisor's files cannot be read: {type(why).__name__}.")
    except (OSError, ValueError) as why:
        module.fail_json(msg=f"{why}.")
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
