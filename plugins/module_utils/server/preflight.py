# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check what supervisor's parser does not: commands, folders, and neighbours of the same name."""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import pwd
import stat
from typing import Any, Iterable, Mapping

from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.command import split_command
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import privileges

# superlance's own (memmon.py, crashmail.py).
_SENDMAIL = "/usr/sbin/sendmail -t -i"

# systemd's default for services.
_DAEMON_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


def defined_twice(
    sections_by_file: Mapping[str, list[str]], ours: Iterable[str], names: Iterable[str], is_loaded: bool = False
) -> list[str]:
    """Return a sentence for each file besides ``ours`` that defines programs or groups of these names too.

    supervisor merges sections of one name across files without a word. ``is_loaded`` says whether supervisord loads one
    of ``ours`` already: if not, a file that has several of our sections is the one from which the programs run now.
    """
    wanted, found = {name for name in names if ":" in name}, []
    for path in sorted(set(sections_by_file) - set(ours)):
        twice = [f"[{name}]" for name in sections_by_file[path] if name in wanted]
        if len(twice) > 1 and not is_loaded:
            found.append(
                f"{path} is the file from which supervisord loads these programs now ({', '.join(twice)}): set "
                f"auth_supervisor_conf: {path} to have the role write that one; if it belongs to another project, "
                "rename its programs there"
            )
        elif twice:
            found.append(f"{path} defines {' and '.join(twice)} as well: rename {'them' if twice[1:] else 'it'} there")
    return found


def obstacles(processes: Iterable[Mapping[str, Any]], pending: Iterable[str]) -> list[str]:
    """Return a sentence for each process that could not start.

    ``processes`` are `supervisor_parser.effective`'s. ``pending`` are commands that a
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


def unable_to_connect(processes: Iterable[Mapping[str, Any]], sockets: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a sentence for each listener that may not connect to a control socket: it would end at its first event.

    ``processes`` and ``sockets`` are `supervisor_parser.effective`'s.
    """
    return [
        f"{process['name']} runs as {_user(_uid(process))}, who may not connect to {socket['file']} "
        f"({socket['mode']:04o}, user {max(0, socket['uid'])}, group {max(0, socket['gid'])}): set auth_memmon_user to "
        "a member of that group, and let no other file in conf.d change [unix_http_server]"
        for process in processes
        for socket in sockets
        if not _may_connect(_uid(process), socket)
    ]


def locked_out(
    before: Iterable[Mapping[str, Any]], after: Iterable[Mapping[str, Any]], place: str, role_group: str, is_own: bool
) -> list[str]:
    """Return a sentence for each user or group who may connect to a control socket now and could not any more.

    ``before`` and ``after`` are the sockets of `supervisor_parser.effective`, ``place`` is the file whose chown counts
    before; ``is_own`` says whether that is the one that gets replaced. ``role_group`` is the group that the role itself
    admits and takes back again. A socket has one owner and one group, so nobody can be added to it.
    """
    later = {socket["file"]: socket for socket in after}
    found = []
    for socket in before:
        there = later.get(socket["file"])
        if there is None:
            continue
        lost = {}
        if socket["uid"] > 0 and socket["mode"] & 0o200 and not _may_connect(socket["uid"], there):
            lost[f"the user {_user(socket['uid'])}"] = _user(socket["uid"])
        group = max(0, socket["gid"])
        if group and socket["mode"] & 0o020 and _group(group) != role_group and group != there["gid"]:
            outside = [member for member in _members(group) if not _may_connect(member, there)]
            # A service can be in a group without being its member (SupplementaryGroups of systemd).
            if outside or not _members(group):
                lost[f"the group {_group(group)}"] = " and ".join(map(_user, outside)) or "who needs it"
        found += [
            f"{who} may connect to {socket['file']} by chown in [unix_http_server] of {place}, and could not any more"
            + _way_out(users, max(0, there["gid"]), place, is_own)
            for who, users in lost.items()
        ]
    return found


def _way_out(users: str, admitted: int, place: str, is_own: bool) -> str:
    if is_own:
        return f": move that section into a file that stays, supervisor's main one, before {place} is replaced"
    group = _group(admitted)
    return (
        f", because the socket has one group, and the listeners need {group}: add {users} to the group {group}, which "
        "may read the programs' environments; or set auth_memmon_user: root, with which the socket stays as it is; or "
        f"take that chown out of {place} if nobody needs it"
    )


def _members(gid: int) -> list[int]:
    """Return the users of a group, besides root, who may connect anyway."""
    try:
        named = set(grp.getgrgid(gid).gr_mem)
    except KeyError:
        named = set()
    users = pwd.getpwall()
    return sorted({user.pw_uid for user in users if user.pw_gid == gid or user.pw_name in named} - {0})


def _may_connect(uid: int, socket: Mapping[str, Any]) -> bool:
    # -1 is what chown(2) leaves as it is: the daemon's own.
    owner, group = max(0, socket["uid"]), max(0, socket["gid"])
    if uid in (0, owner):
        return uid == 0 or bool(socket["mode"] & 0o200)
    user = pwd.getpwuid(uid)
    if group in os.getgrouplist(user.pw_name, user.pw_gid):
        return bool(socket["mode"] & 0o020)
    return bool(socket["mode"] & 0o002)


def lost_mail(processes: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a sentence for each listener whose mail nobody would take: superlance says nothing of that."""
    found: dict[str, None] = {}
    for process in processes:
        words = split_command(process["command"])
        options = dict(zip(words, words[1:]))
        command = split_command(options.get("-s", _SENDMAIL))[0]
        if "-m" in options and not _can_execute(command, _uid(process)):
            who = _user(_uid(process))
            found[
                f"the mail for {options['-m']} would be lost, because {command} does not exist or {who} cannot execute "
                "it: install a mail server, such as postfix, or name another command in auth_memmon_sendmail"
            ] = None
    return list(found)


def exposed(paths: Iterable[str], by_group: bool = True) -> dict[str, str]:
    """Return those files and folders that somebody besides root can change or replace, with who that is.

    Without ``by_group`` a group counts as root: Ubuntu lets syslog's write into the folder of all logs.
    """
    found = {}
    for path in paths:
        with contextlib.suppress(OSError):
            uid = privileges.untrusted_owner(path)
            uid = os.stat(path).st_uid if uid is None else uid
            who = _user(uid) if uid not in (0, os.getuid()) else _admitted(os.path.realpath(path), by_group)
            if who:
                found[path] = who
    return found


def _admitted(path: str, by_group: bool) -> str:
    """Return who besides the owner may write a file or folder, or replace it on the way there; "" for nobody."""
    while True:
        status = os.stat(path)
        # In a folder like /tmp nobody can replace what is another's.
        if not (stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX):
            if status.st_mode & stat.S_IWOTH:
                return "everybody"
            if by_group and status.st_mode & stat.S_IWGRP and status.st_gid != 0:
                return f"the group {_group(status.st_gid)}"
        if path == "/":
            return ""
        path = os.path.dirname(path)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def can_start(process: Mapping[str, Any]) -> bool:
    """Whether a process's command exists for its user: Alliance Auth's template may have ``None`` for memmon's."""
    return _can_execute(_command(process), _uid(process))


def _command(process: Mapping[str, Any]) -> str:
    return split_command(process["command"])[0]


def _uid(process: Mapping[str, Any]) -> int:
    return os.getuid() if process["uid"] is None else int(process["uid"])


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _can_execute(path: str, uid: int) -> bool:
    """Whether a user may execute a file, folders on the way to it included: asked as that user."""
    if "/" not in path:
        # supervisor looks in its own PATH, and runs nothing from anywhere else.
        return any(_can_execute(os.path.join(folder, path), uid) for folder in _DAEMON_PATH)
    return privileges.in_child(lambda: os.path.isfile(path) and os.access(path, os.X_OK), uid)


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
