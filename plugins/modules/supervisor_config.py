#!/usr/bin/python
# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: supervisor_config
short_description: Put a supervisor configuration in place if the daemon's parser accepts it
version_added: 0.1.0
description:
  - Writes a file that supervisord includes, and the link that leads to it.
  - The whole configuration is read by supervisor's own parser with the new file in it first.
    If the parser refuses it, the module fails with its sentence and touches nothing.
  - The same holds if a command cannot be executed, a folder is missing, a log cannot be written, another file defines a
    program of the same name, or something that somebody added to the file by hand would be gone.
  - The file is replaced atomically. What was there before is kept beside it, dated.
  - Nothing is restarted or reloaded.
options:
  path:
    description: The file to write.
    type: path
    required: true
  content:
    description: The file's sections. One of this and O(restore) is needed.
    type: str
  environments:
    description:
      - The values of C(environment) options by program, as a JSON object. They may be secrets, so they are not shown.
      - Each replaces C(<environment of PROGRAM>) in O(content).
      - If it is left out, it comes from the variables of the role C(auth).
    type: str
  restore:
    description:
      - Put a file back that was kept before, instead of O(content).
      - The name of one of those beside O(path), or V(newest).
    type: str
  keep:
    description: Whether to keep what is there now.
    type: bool
    default: true
  link:
    description:
      - A link that shall lead to O(path).
      - A file that is there instead is kept beside it, dated.
    type: path
    required: true
  log_dir:
    description:
      - A folder for logs that need not exist yet, because another task makes it.
    type: path
    default: ""
  discard:
    description:
      - What may go of that which is in the file by hand. C(program:NAME) is a section, C(program:NAME.OPTION) an option
        or environment variable and C(program:NAME --ARGUMENT) an argument of its command.
    type: list
    elements: str
    default: []
  pending:
    description: Commands that need not exist yet, because a later task brings them.
    type: list
    elements: path
    default: []
  application:
    description:
      - A project that has to load as its programs will load it, or the file is not put in place; with the keys C(venv),
        C(project), C(project_dir) and C(user). A restart of what does not load any more would end it.
    type: dict
    default: {}
  owner:
    description: The file's owner.
    type: str
    default: root
  group:
    description: The file's group, which may read it.
    type: str
    default: root
author:
  - The allianceauth.tuning authors (@allianceauth)
extends_documentation_fragment:
  - allianceauth.tuning.attributes
  - allianceauth.tuning.guard
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
"""

EXAMPLES = r"""
- name: Put the previous configuration back
  allianceauth.tuning.supervisor_config:
    path: /etc/supervisor/conf.d/myauth.conf
    restore: newest
    link: /home/allianceserver/myauth/supervisor.conf
    group: allianceserver

- name: Put the configuration in place
  allianceauth.tuning.supervisor_config:
    path: /etc/supervisor/conf.d/myauth.conf
    content: "{{ decided.plan.files.content }}"
    link: /home/allianceserver/myauth/supervisor.conf
    group: allianceserver
"""

RETURN = r"""
restored:
  description: The kept file that was put back.
  returned: O(restore) is given
  type: str
kept:
  description: The files that hold what was there before.
  returned: always
  type: list
  elements: str
"""

import grp
import json
import os
import pwd
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import (
    backup_name,
    managed_file,
    manual_changes,
)
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.command import split_command
from ansible_collections.allianceauth.tuning.plugins.module_utils.model import memmon
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import (
    celery_cli,
    files,
    guard,
    preflight,
    supervisor_parser,
    supervisord,
)


def file_is_right(path: str, content: str, uid: int, gid: int) -> bool:
    """Whether ``path`` is a plain file with this content, these owners and `managed_file.MODE`."""
    if os.path.islink(path) or files.read(path) != content:
        return False
    status = os.stat(path)
    return (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (uid, gid, managed_file.MODE)


def link_is_right(link: str, path: str) -> bool:
    """Whether ``link`` is a link to ``path``."""
    return os.path.islink(link) and os.readlink(link) == path


def to_restore(module: AnsibleModule) -> str:
    """Return the kept file that is asked for, or fail with the names of those that there are."""
    path: str = module.params["path"]
    wanted: str = module.params["restore"]
    found = files.kept_files(path)
    now = files.read(path)
    # After a run that went back by itself, the newest one is what there is.
    others = [kept for kept in found if files.readable(kept) not in (None, now)]
    if others and wanted == "newest":
        return others[-1]
    names = [os.path.basename(kept) for kept in found]
    if os.path.basename(wanted) not in names:
        there = f"there are {', '.join(names)}" if names else "no file was kept"
        if wanted == "newest" and names:
            module.fail_json(msg=f"there is nothing to go back to: all that is kept beside {path} is as {path} is now.")
        module.fail_json(msg=f"{wanted} is not among the files kept beside {path}: {there}.")
    return os.path.join(os.path.dirname(path), os.path.basename(wanted))


def check(given: dict[str, Any], before: str | None, content: str) -> list[str]:
    """Return a sentence for each reason not to put the new file in place."""
    path, link = given["path"], given["link"]
    by_hand = files.readable(link) if before is None else before
    # Going back is meant to undo what came since.
    lost = (
        []
        if by_hand is None or given["restore"]
        else manual_changes.missing_changes(by_hand, content, given["discard"])
    )
    if lost:
        return [
            "it has what the variables do not produce: "
            + "; ".join(lost)
            + "; or let it go by naming it (without the brackets) in auth_discard"
        ]
    try:
        overlay = supervisor_parser.overlay_for(path, link, content, given["log_dir"])
        after = supervisor_parser.effective(supervisord.MAIN_CONF, overlay)
    except supervisor_parser.InvalidError as why:
        return [f"supervisor refuses the configuration with the new file in it: {why}"]
    if not {path, link} & set(after["sections"]):
        return [f"supervisord includes neither {path} nor {link}, see [include] in {supervisord.MAIN_CONF}"]
    names = manual_changes.sections(content)
    ours = {name.partition(":")[2] for name in names}
    processes = [process for group in after["groups"] if group["name"] in ours for process in group["processes"]]
    listeners = [
        process
        for group in after["groups"]
        if group["listener"] and group["name"] in ours
        for process in group["processes"]
    ]
    limits = [name for process in processes for name in memmon.watched(split_command(process["command"]))]
    found = preflight.defined_twice(after["sections"], (path, link), names)
    found += memmon.ambiguous(after["groups"], limits)
    # A program that could not start before need not be able to when we go back to it.
    if not given["restore"]:
        found += preflight.obstacles(processes, given["pending"])
        found += preflight.unable_to_connect(listeners, after["sockets"]) + preflight.lost_mail(listeners)
    return found or unloadable(given["application"], overlay)


def unloadable(given: dict[str, Any], overlay: supervisor_parser.Overlay) -> list[str]:
    """Return a sentence if the project would not come back from a restart."""
    if not given:
        return []
    problem = celery_cli.Application.configured(given, supervisord.MAIN_CONF, overlay).problem()
    if not problem:
        return []
    sentence = (
        f"{given['project']} does not load any more, so that nothing would come back from a restart: "
        f"{problem.rstrip('.')}; repair it in {given['project_dir']} first"
    )
    return [sentence]


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "content": {"type": "str"},
            "environments": {"type": "str", "no_log": True},
            "restore": {"type": "str"},
            "keep": {"type": "bool", "default": True},
            "link": {"type": "path", "required": True},
            "discard": {"type": "list", "elements": "str", "default": []},
            "pending": {"type": "list", "elements": "path", "default": []},
            "log_dir": {"type": "path", "default": ""},
            "application": {"type": "dict", "default": {}},
            "owner": {"type": "str", "default": "root"},
            "group": {"type": "str", "default": "root"},
            **guard.SPEC,
        },
        required_one_of=[["content", "restore"]],
        supports_check_mode=True,
    )
    supervisord.find_supervisor(module)
    with guard.as_owner(module):
        work(module)


def work(module: AnsibleModule) -> None:
    """Do what is asked for, and end with the result."""
    result: dict[str, Any] = {"kept": []}
    if module.params["restore"]:
        result["restored"] = to_restore(module)
        content = files.readable(result["restored"]) or module.fail_json(msg=f"{result['restored']} cannot be read.")
    else:
        # Not into module.params, which are shown.
        content = managed_file.complete(module.params["content"], json.loads(module.params["environments"] or "{}"))
    path, link = module.params["path"], module.params["link"]
    uid, gid = pwd.getpwnam(module.params["owner"]).pw_uid, grp.getgrnam(module.params["group"]).gr_gid

    try:
        before = files.read(path)
    except OSError as why:
        module.fail_json(
            msg=f"{path} leads to what its folder's owner cannot read ({why.strerror}), so that it is not read here "
            "either; put a file there."
        )
    file_changes = not file_is_right(path, content, uid, gid)
    link_changes = not link_is_right(link, path)
    result["changed"] = file_changes or link_changes
    result["diff"] = [
        {
            "before": managed_file.shown(before or ""),
            "after": managed_file.shown(content),
            "before_header": path,
            "after_header": path,
        },
    ]
    # Also when the file stays: a neighbour that is broken would end the daemon at its next start.
    problems = check(module.params, before, content)
    if problems:
        module.fail_json(msg=f"{path} was not replaced: {'; '.join(problems)}.")
    if module.check_mode or not result["changed"]:
        module.exit_json(**result)

    stamp = backup_name.now()
    # In the guide's layout path leads to the file at link: that is kept already.
    same = os.path.exists(link) and os.path.exists(path) and os.path.samefile(link, path)
    try:
        if before not in (None, content) and module.params["keep"]:
            result["kept"].append(files.keep(path, before, stamp, uid, gid))
        with files.put_back_on_error(path):
            if file_changes:
                guard.unproven(
                    module,
                    files.readable(link) if before is None else before,
                    {
                        "path": path,
                        "backup": "".join(result["kept"]),
                        "uid": uid,
                        "gid": gid,
                        "mode": managed_file.MODE,
                    },
                )
                files.replace_file(path, content, uid, gid)
            if link_changes:
                result["kept"] += files.put_link(link, path, stamp, keeps=not same)
    except OSError as why:
        module.fail_json(msg=f"{why.strerror} while writing {why.filename or path}; the configuration is as it was.")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
