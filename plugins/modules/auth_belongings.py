#!/usr/bin/python
# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: auth_belongings
short_description: Put root's files of the role on a server, look at what it has put there, or take it away
version_added: 0.1.0
description:
  - Puts files of root's in place that nobody but the role C(auth) needs, as O(guard) allows it.
  - Finds what the role has put on a server beside its C(supervisor.conf), which
    M(allianceauth.tuning.supervisor_config) gives back, and the links to the logs.
  - Takes it away. Logs move into the project's folder, dated, and what somebody has changed by hand stays.
  - Of O(log_dir) only the logs of the role's programs go, and none that a program of the configuration of before the
    first run, or anybody else's, logs into. The folder goes if it is empty then and nobody logs into it.
options:
  state:
    description: V(listed) only says what there is, V(present) puts O(texts) and O(log_group)'s folder in place.
    type: str
    choices: [listed, present, absent]
    default: listed
  texts:
    description:
      - The files to put in place, each with its text. They and their folders are root's, and everybody may read
        them.
    type: dict
    default: {}
  reload_units:
    description:
      - With O(state=present), whether systemd is to read its units again, whatever was written. It may not have read
        what is there already.
    type: bool
    default: false
  log_group:
    description: With O(state=present), the group that may read O(log_dir), which is made; empty to leave it.
    type: str
    default: ''
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
    description: The folder of the programs' logs, which other programs may log into as well.
    type: path
    required: true
  gunicorn_conf:
    description: The role's configuration file of gunicorn.
    type: path
    required: true
  files:
    description: Files of root's that nobody but the role has put there for this project.
    type: list
    elements: path
    default: []
  host_files:
    description: Those that all projects of the server share. They go with the last project that the role has tuned.
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
    support: full
    description: Shows what O(state=present) changes in files.
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
    host_files: [/etc/systemd/system/supervisor.service.d/allianceauth-tuning.conf]
"""

RETURN = r"""
origin:
  description:
    - Where the file of before the first run is. C(noted), a kept file, C(present) if there is none any more, so that it
      can only be the present one in the installation guide's layout, or C(nothing) if the role has no file there.
  returned: unless O(state=present)
  type: str
in_place:
  description: Whether that file is in place.
  returned: unless O(state=present)
  type: bool
files:
  description: The files of the role that are there, kept ones and notes included, or were taken away.
  returned: always
  type: list
  elements: str
by_hand:
  description: Kept files that somebody has changed or written. They stay.
  returned: unless O(state=present)
  type: list
  elements: str
logs:
  description: The logs of the role's programs in O(log_dir), or with O(state=absent) where they are now.
  returned: unless O(state=present)
  type: list
  elements: str
brought:
  description: The packages that runs have brought into the virtual environment.
  returned: unless O(state=present)
  type: list
  elements: str
"""

import contextlib
import os
import pwd
import re
import shutil
import socket
from typing import Any, Callable

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import backup_name, managed_file
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.names import link_to
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import (
    files,
    guard,
    guard_program,
    origin,
    privileges,
    proof,
    supervisor_parser,
    supervisord,
)

_UNITS = "/etc/systemd/"

# What supervisord appends to the name of a log that it has rotated.
_ROTATED = re.compile(r"\.[0-9]+\Z")


def kept_files(given: dict[str, Any], first: str | None) -> tuple[list[str], list[str]]:
    """Return the kept files that the role has written or whose text is back, and those that hold more than that."""
    ours: list[str] = []
    others: list[str] = []
    for path in [*files.kept_files(given["path"]), *files.kept_files(given["link"])]:
        text = files.readable(path)
        known = text is not None and (text == first or managed_file.is_unchanged(text))
        (ours if known else others).append(path)
    return ours, others


def written(given: dict[str, Any]) -> set[str]:
    """Return the logs that the role's programs write, by its present file and by those that are kept of it."""
    kept = [*files.kept_files(given["path"]), *files.kept_files(given["link"])]
    texts = {files.readable(path) or "" for path in [given["path"], *kept]}
    found: set[str] = set()
    for text in texts:
        if managed_file.is_written(text):
            # An older one may name what is gone by now, and then says nothing.
            with contextlib.suppress(supervisor_parser.InvalidError):
                found |= in_use(given, text)[0]
    return found


def in_use(given: dict[str, Any], text: str | None) -> tuple[set[str], set[str]]:
    """Return the logs that supervisord and all its programs write, and the folders that have to be there for it.

    ``text`` is what the auth programs' file would hold, None for what it holds. Raises `InvalidError`.
    """
    overlay = None
    if text is not None:
        overlay = supervisor_parser.overlay_for(given["path"], given["link"], text, given["log_dir"])
    effective = supervisor_parser.effective(supervisord.MAIN_CONF, overlay)
    processes = [process for group in effective["groups"] for process in group["processes"]]
    logs = {process[key] for process in processes for key in ("stdout_logfile", "stderr_logfile")}
    # Not the file's real path: until the role's links are gone, a log of the project's folder may lead to ours.
    found = {in_real_folder(log) for log in logs | {effective["logfile"]} if log}
    return found, {os.path.dirname(log) for log in found} | {os.path.realpath(effective["childlogdir"])}


def in_real_folder(path: str) -> str:
    """Return the path of a file with the links of its folder followed."""
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))


def logs_of(folder: str, ours: set[str]) -> list[str]:
    """Return those files of a folder that are among some logs, or what supervisord has rotated away of them."""
    paths = [entry.path for entry in os.scandir(folder) if entry.is_file(follow_symlinks=False)]
    return sorted(path for path in paths if {in_real_folder(path), _ROTATED.sub("", in_real_folder(path))} & ours)


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


def put(module: AnsibleModule) -> None:
    """Put the texts and the folder for the logs in place, and end with the result."""
    given, folder = module.params, ""
    before = {path: files.readable(path) for path in given["texts"]}
    texts = {path: text for path, text in given["texts"].items() if before[path] != text}
    if given["log_group"] and not os.path.isdir(given["log_dir"]):
        folder = given["log_dir"]
    if not module.check_mode:
        # Others have to be able to read all of this, whatever root's umask is.
        os.umask(0o022)
        with guard.as_owner(module):
            for path, text in texts.items():
                try_to(module, path, put_file, text)
            if folder:
                try_to(module, folder, make_log_dir, given["log_group"])
            problem = guard.systemd("systemctl", "daemon-reload") if given["reload_units"] else ""
        if problem:
            module.fail_json(
                msg=f"{socket.gethostname()}: systemd does not read its units again: {problem.rstrip('.')}. Put that "
                "right there, and run it again."
            )
    module.exit_json(
        changed=bool(texts or folder),
        files=list(texts),
        diff=[
            {"before_header": path, "after_header": path, "before": before[path] or "", "after": text}
            for path, text in texts.items()
        ],
    )


def try_to(module: AnsibleModule, path: str, work: Callable[[str, str], None], argument: str) -> None:
    """Do something to a file or a folder, and fail with a sentence on it if that is not possible."""
    try:
        work(path, argument)
    except OSError as why:
        module.fail_json(
            msg=f"{socket.gethostname()}: {path} cannot be written: {why.strerror}. Put that right there, and run it "
            "again."
        )


def put_file(path: str, text: str) -> None:
    """Write a file of root's that everybody may read."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    guard_program.write(path, text.encode(), 0, 0, 0o644)


def make_log_dir(folder: str, group: str) -> None:
    """Make the folder into which supervisord logs; what others could do to logs in it, root would write through."""
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    os.mkdir(folder, 0o700)
    shutil.chown(folder, "root", group)
    os.chmod(folder, 0o750)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["listed", "present", "absent"], "default": "listed"},
            "texts": {"type": "dict", "default": {}},
            "reload_units": {"type": "bool", "default": False},
            "log_group": {"type": "str", "default": ""},
            "name": {"type": "str", "required": True},
            "user": {"type": "str", "required": True},
            "project_dir": {"type": "path", "required": True},
            "path": {"type": "path", "required": True},
            "log_dir": {"type": "path", "required": True},
            "gunicorn_conf": {"type": "path", "required": True},
            "files": {"type": "list", "elements": "path", "default": []},
            "host_files": {"type": "list", "elements": "path", "default": []},
            **guard.SPEC,
        },
        supports_check_mode=True,
    )
    if module.params["state"] == "present":
        put(module)
    supervisord.find_supervisor(module)
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
    logs, goes = what_goes(module, first) if own_logs else ([], False)
    # What systemd and needrestart are told is for the whole supervisord, so for another project's programs as well.
    own_files = [*given["files"], *([] if origin.others(given["name"]) else given["host_files"])]
    result: dict[str, Any] = {
        "origin": first.kept or first.source,
        "in_place": first.in_place(),
        "files": [path for path in own_files if os.path.lexists(path)] + ours + origin.notes(given["name"]),
        "by_hand": by_hand,
        "logs": logs,
        "brought": origin.brought(given["name"]),
    }
    changes = given["state"] == "absent" and bool(result["files"] or logs or goes)
    if changes and not module.check_mode:
        with guard.as_owner(module):
            absent(module, result, project_logs, goes)
    module.exit_json(changed=changes, **result)


def what_goes(module: AnsibleModule, first: origin.Origin) -> tuple[list[str], bool]:
    """Return which logs of the folder go, and whether the folder goes as well, once ``first`` is in place."""
    given = module.params
    try:
        used, folders = in_use(given, None if first.in_place() else first.text or "")
    except supervisor_parser.InvalidError as why:
        module.warn(
            f"{socket.gethostname()}: the logs stay in {given['log_dir']}, because nobody can tell which of them are "
            f"still written: supervisor refuses the configuration: {str(why).rstrip('.')}. Move them by hand, or put "
            "that right and run it again."
        )
        return [], False
    still = logs_of(given["log_dir"], used)
    logs = [log for log in logs_of(given["log_dir"], written(given)) if log not in still]
    stays = os.path.realpath(given["log_dir"]) in folders or len(os.listdir(given["log_dir"])) > len(logs)
    return logs, not stays


def absent(module: AnsibleModule, result: dict[str, Any], project_logs: str, folder_goes: bool) -> None:
    """Move the logs and take the files away; what cannot be done is worth a warning and no failure."""
    stamp, moved = backup_name.now(), []
    try:
        for log in result["logs"]:
            moved.append(move(log, project_logs, stamp))
        if folder_goes:
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
    is_due = any(path.startswith(_UNITS) for path in result["files"])
    problem = guard.systemd("systemctl", "daemon-reload") if is_due else ""
    if problem:
        module.warn(f"systemd does not read its units again: {problem}")


if __name__ == "__main__":
    main()
