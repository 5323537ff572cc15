#!/usr/bin/python
# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: auth_belongings
short_description: Look at what the role has put on a server, or take it away
version_added: 0.1.0
description:
  - Finds what the role C(auth) has put on a server beside its C(supervisor.conf), which
    M(allianceauth.tuning.supervisor_config) gives back, and the links to the logs.
  - Takes it away. Logs move into the project's folder, dated, and what somebody has changed by hand stays.
options:
  state:
    description: V(listed) only says what there is.
    type: str
    choices: [listed, absent]
    default: listed
  name:
    description: The project's name.
    type: str
    required: true
  user:
    description: The user that the auth programs run as.
    type: str
    required: true
  project_dir:
    description: The project's folder.
    type: path
    required: true
  path:
    description: The auth programs' file.
    type: path
    required: true
  log_dir:
    description: The folder of the programs' logs.
    type: path
    required: true
  gunicorn_conf:
    description: The role's configuration file of gunicorn.
    type: path
    required: true
  files:
    description: Files of root's that nobody but the role has put there.
    type: list
    elements: path
    default: []
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
- name: Look at what the role has put there
  allianceauth.tuning.auth_belongings:
    name: myauth
    user: allianceserver
    project_dir: /home/allianceserver/myauth
    path: /etc/supervisor/conf.d/myauth.conf
    log_dir: /var/log/supervisor/myauth
    gunicorn_conf: /etc/supervisor/myauth.gunicorn.py
    files: [/etc/supervisor/myauth.gunicorn.py]
"""

RETURN = r"""
origin:
  description:
    - Where the file of before the first run is. C(noted), a kept file, C(present) if there is none any more, so that it
      can only be the present one in the installation guide's layout, or C(nothing) if the role has no file there.
  returned: always
  type: str
in_place:
  description: Whether that file is in place.
  returned: always
  type: bool
files:
  description: The files of the role that are there, kept ones and notes included, or were taken away.
  returned: always
  type: list
  elements: str
by_hand:
  description: Kept files that somebody has changed or written. They stay.
  returned: always
  type: list
  elements: str
logs:
  description: The logs that lie in O(log_dir), or with O(state=absent) where they are now.
  returned: always
  type: list
  elements: str
brought:
  description: The packages that runs have brought into the virtual environment.
  returned: always
  type: list
  elements: str
"""

import contextlib
import os
import pwd
import shutil
import subprocess
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import backup_name, managed_file
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.names import link_to
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import files, guard, origin, privileges, proof

_UNITS = "/etc/systemd/"
_SYSTEMD_SECONDS = 60


def kept_files(given: dict[str, Any], first: str | None) -> tuple[list[str], list[str]]:
    """Return the kept files that the role has written or whose text is back, and those that hold more than that."""
    ours: list[str] = []
    others: list[str] = []
    for path in [*files.kept_files(given["path"]), *files.kept_files(given["link"])]:
        text = files.readable(path)
        known = text is not None and (text == first or managed_file.is_unchanged(text))
        (ours if known else others).append(path)
    return ours, others


def logs_of(folder: str) -> list[str]:
    """Return the files in the role's folder for logs."""
    if not os.path.isdir(folder):
        return []
    return sorted(entry.path for entry in os.scandir(folder) if entry.is_file(follow_symlinks=False))


def move(log: str, folder: str, stamp: str) -> str:
    """Move a log of root's into a folder by the rights of that one's owner; return where it is."""
    target = os.path.join(folder, f"{os.path.basename(log)}.{stamp}")
    with open(log, "rb") as source:

        def work() -> None:
            with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640), "wb") as copy:
                shutil.copyfileobj(source, copy)

        privileges.as_untrusted_owner(folder + "/.", work)
    os.unlink(log)
    return target


def take_away(path: str) -> None:
    """Remove a file, and a folder of a unit's drop-ins that is empty then."""
    files.remove(path)
    if path.startswith(_UNITS):
        with contextlib.suppress(OSError):
            os.rmdir(os.path.dirname(path))


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["listed", "absent"], "default": "listed"},
            "name": {"type": "str", "required": True},
            "user": {"type": "str", "required": True},
            "project_dir": {"type": "path", "required": True},
            "path": {"type": "path", "required": True},
            "log_dir": {"type": "path", "required": True},
            "gunicorn_conf": {"type": "path", "required": True},
            "files": {"type": "list", "elements": "path", "default": []},
            **guard.SPEC,
        },
        supports_check_mode=True,
    )
    work(module)


def work(module: AnsibleModule) -> None:
    """Do what is asked for, and end with the result."""
    given = module.params
    given["link"] = link_to(given["path"], given["name"], given["project_dir"])
    try:
        user = pwd.getpwnam(given["user"])
    except KeyError:
        user = None
    if not user or os.geteuid() != 0:
        # auth_info and auth_plan say what is wrong with that.
        nothing: dict[str, list[str]] = {"files": [], "by_hand": [], "logs": [], "brought": []}
        module.exit_json(changed=False, origin="nothing", in_place=True, **nothing)
    first = origin.find({**given, "uid": user.pw_uid, "gid": user.pw_gid})
    ours, by_hand = kept_files(given, first.text)
    project_logs = os.path.join(given["project_dir"], "log")
    # Not through a folder that somebody else could have lead elsewhere meanwhile.
    own_logs = os.path.isdir(given["log_dir"]) and privileges.untrusted_owner(given["log_dir"] + "/.") is None
    own_logs = own_logs and os.path.realpath(given["log_dir"]) != os.path.realpath(project_logs)
    result: dict[str, Any] = {
        "origin": first.kept or first.source,
        "in_place": first.in_place(),
        "files": [path for path in given["files"] if os.path.lexists(path)] + ours + origin.notes(given["name"]),
        "by_hand": by_hand,
        "logs": logs_of(given["log_dir"]) if own_logs else [],
        "brought": origin.brought(given["name"]),
    }
    changes = given["state"] == "absent" and bool(result["files"] or own_logs)
    if changes and not module.check_mode:
        with guard.as_owner(module):
            absent(module, result, project_logs if own_logs else "")
    module.exit_json(changed=changes, **result)


def absent(module: AnsibleModule, result: dict[str, Any], project_logs: str) -> None:
    """Move the logs and take the files away; what cannot be done is worth a warning and no failure."""
    stamp, moved = backup_name.now(), []
    try:
        for log in result["logs"]:
            moved.append(move(log, project_logs, stamp))
        if project_logs:
            os.rmdir(module.params["log_dir"])
    except OSError as why:
        module.warn(f"{why.strerror} while moving logs from {module.params['log_dir']} to {project_logs}.")
    result["logs"] = moved
    for path in result["files"]:
        try:
            take_away(path)
        except OSError as why:
            module.warn(f"{why.strerror} while removing {path}.")
    with contextlib.suppress(OSError):
        os.rmdir(proof.FOLDER)
    if any(path.startswith(_UNITS) for path in result["files"]):
        subprocess.run(["systemctl", "daemon-reload"], timeout=_SYSTEMD_SECONDS, check=False)


if __name__ == "__main__":
    main()
