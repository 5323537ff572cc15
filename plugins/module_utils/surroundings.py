# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check what supervisor's parser does not: commands, folders, and neighbours of the same name."""

from __future__ import annotations

import errno
import os
import pwd
import shlex
from typing import Any, Iterable, Mapping

# systemd's default for services.
_DAEMON_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


def namesakes(sections_by_file: Mapping[str, list[str]], ours: Iterable[str], names: Iterable[str]) -> list[str]:
    """Return a sentence for each program or group that a file besides ``ours`` defines too.

    supervisor merges sections of one name across files without a word.
    """
    wanted = {name for name in names if ":" in name}
    return [
        f"{path} defines [{name}] as well: rename it there, or remove that file"
        for path, found in sections_by_file.items()
        if path not in set(ours)
        for name in found
        if name in wanted
    ]


def ambiguous(groups: Iterable[Mapping[str, Any]], limits: Iterable[str]) -> list[str]:
    """Return a sentence for each process with a limit whose name another group has as well.

    memmon takes bare names and would restart both.
    """
    owners: dict[str, list[str]] = {}
    for group in groups:
        for process in group["processes"]:
            owners.setdefault(process["name"], []).append(group["name"])
    return [
        f"{name}, which has a memory limit, exists in the groups {' and '.join(owners[name])}, "
        "and memmon cannot tell them apart: rename one of the two"
        for name in limits
        if len(owners.get(name, [])) > 1
    ]


def obstacles(processes: Iterable[Mapping[str, Any]], pending: Iterable[str]) -> list[str]:
    """Return a sentence for each process that could not start.

    ``processes`` are `configuration.effective`'s. ``pending`` are commands that a
    later step brings.
    """
    found: dict[str, None] = {}
    for process in processes:
        command, uid = _command(process), _uid(process)
        if command not in pending and not _can_execute(command, uid):
            found[f"{command} does not exist, or {_user(uid)} cannot execute it ({process['name']})"] = None
        directory = process["directory"]
        if directory and not os.path.isdir(directory):
            found[f"the directory {directory} does not exist ({process['name']})"] = None
        for log in {process["stdout_logfile"], process["stderr_logfile"]} - {None}:
            problem = _cannot_write(log)
            if problem:
                found[f"{log} cannot be written: {problem} ({process['name']})"] = None
    return list(found)


def can_start(process: Mapping[str, Any]) -> bool:
    """Whether a process's command exists for its user: Alliance Auth's template may have ``None`` for memmon's."""
    return _can_execute(_command(process), _uid(process))


def _command(process: Mapping[str, Any]) -> str:
    return shlex.split(process["command"])[0]


def _uid(process: Mapping[str, Any]) -> int:
    return os.getuid() if process["uid"] is None else int(process["uid"])


def _user(uid: int) -> str:
    return pwd.getpwuid(uid).pw_name


def _can_execute(path: str, uid: int) -> bool:
    """Whether a user may execute a file, folders on the way to it included: asked as that user."""
    if "/" not in path:
        # supervisor looks in its own PATH, and runs nothing from anywhere else.
        return any(_can_execute(os.path.join(folder, path), uid) for folder in _DAEMON_PATH)
    child = os.fork()
    if child == 0:
        try:
            if uid != os.getuid():
                entry = pwd.getpwuid(uid)
                os.setgroups(os.getgrouplist(entry.pw_name, entry.pw_gid))
                os.setgid(entry.pw_gid)
                os.setuid(uid)
            os._exit(0 if os.path.isfile(path) and os.access(path, os.X_OK) else 1)
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1] == 0


def _cannot_write(log: str) -> str:
    """Return why the daemon could not write a log, "" if it can. A folder that is yet to be made counts as its parent.

    One that is missing and that nobody makes is refused by supervisor's parser.
    """
    # supervisord's own folder is systemd's default, the root.
    folder = os.path.dirname(os.path.join("/", log))
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    try:
        # A file without a name: nobody sees it, and it is gone when it is closed.
        os.close(os.open(folder, os.O_TMPFILE | os.O_WRONLY, 0o600))
    except OSError as why:
        # Not every file system has such files.
        return "" if why.errno in (errno.EOPNOTSUPP, errno.EISDIR) else why.strerror or str(why)
    return ""
