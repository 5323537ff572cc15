# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Do with another user's rights what concerns that user's folders and programs.

Whoever owns a folder can at any time put a link, a pipe or another folder in the place of
what root has just looked at. So root follows no path through such a folder: a child of ours
does, which has become its owner. A module that Ansible runs as that user would not do: the
user's own Python start-up files could answer in its place, with facts that change variables.
"""

from __future__ import annotations

import errno
import json
import os
import pwd
import select
import signal
import socket
import stat
import time
from typing import Any, Callable, TypeVar

T = TypeVar("T")

# As many as the kernel follows. Source: path_resolution(7)
_MOST_LINKS = 40

# Far more than any look takes on a busy host. A file system of the user's own may never answer.
_SECONDS = 120

# Far more than any file has that is read here.
_LARGEST_FILE = 4 * 1024**2


def root_missing() -> str:
    """Return the sentence on a play that calls the role without root, "" if we are root."""
    if os.geteuid() == 0:
        return ""
    return (
        f"{socket.gethostname()}: the role needs root on the server, and the user it logs in as is not: add "
        "`become: true` to the play that calls the role."
    )


def become(uid: int) -> None:
    """Have no more rights than this user has, for good."""
    if uid != os.getuid():
        user = pwd.getpwuid(uid)
        os.setgroups(os.getgrouplist(user.pw_name, user.pw_gid))
        os.setgid(user.pw_gid)
        os.setuid(uid)


def of_user(user: pwd.struct_passwd) -> dict[str, Any]:
    """Return what `subprocess.Popen` needs for the same, nothing if that is us."""
    if user.pw_uid == os.getuid():
        return {}
    groups = os.getgrouplist(user.pw_name, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": groups}


def in_child(work: Callable[[], T], uid: int | None = None) -> T:
    """Return what ``work`` returns in a process of its own, by the user ``uid`` if one is given.

    What it returns comes as JSON. Raises the `OSError` that it raises, one with ETIMEDOUT if it never ends, and
    RuntimeError for any other exception.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        try:
            with os.fdopen(writing, "w") as pipe:
                pipe.write(_answer(work, uid))
        finally:
            # No clean-up of the parent's: this is a copy of it.
            os._exit(0)
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as pipe:
            text = _all_of(pipe.fileno())
    finally:
        # It has ended, or is not to go on.
        os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
    if not text:
        raise RuntimeError(f"a process that was to look at something ended at once (wait status {status})")
    answer = json.loads(text)
    if "errno" in answer:
        raise OSError(answer["errno"], answer["strerror"], answer["filename"])
    if "error" in answer:
        raise RuntimeError(answer["error"])
    result: T = answer["result"]
    return result


def _all_of(reading: int) -> bytes:
    """Return what a child writes until it ends. Raises `TimeoutError` if it does not."""
    parts: list[bytes] = []
    until = time.monotonic() + _SECONDS
    while True:
        left = until - time.monotonic()
        if left <= 0 or not select.select([reading], [], [], left)[0]:
            raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
        part = os.read(reading, 65536)
        if not part:
            return b"".join(parts)
        parts.append(part)


def _answer(work: Callable[[], Any], uid: int | None) -> str:
    try:
        if uid is not None:
            become(uid)
        return json.dumps({"result": work()})
    except OSError as why:
        return json.dumps({"errno": why.errno, "strerror": why.strerror, "filename": why.filename})
    except Exception as why:  # noqa: BLE001 - the parent raises it
        return json.dumps({"error": f"{type(why).__name__}: {why}"})


def untrusted_owner(path: str) -> int | None:
    """Return the first user besides root and us who owns a folder on the way to ``path``, None if nobody does.

    That one decides where the path leads. Links are followed; with ``/.`` at its end a folder counts itself.
    """
    trusted = {0, os.getuid()}
    folder, names, links = "/", path.split("/")[::-1], 0
    while names:
        owner = os.stat(folder).st_uid
        if owner not in trusted:
            return owner
        name = names.pop()
        if name in ("", "."):
            continue
        following = os.path.normpath(os.path.join(folder, name))
        if os.path.islink(following) and links < _MOST_LINKS:
            links += 1
            target = os.readlink(following)
            names += target.split("/")[::-1]
            folder = "/" if target.startswith("/") else folder
        elif names and os.path.isdir(following):
            folder = following
        else:
            return None
    return None


def as_untrusted_owner(path: str, work: Callable[[], T]) -> T:
    """Return what ``work`` returns, which follows ``path``: as the `untrusted_owner` on the way, if any."""
    uid = untrusted_owner(path)
    return work() if uid is None else in_child(work, uid)


def read(path: str) -> str:
    """Return the text of the regular file that ``path`` leads to. Raises OSError, with EFBIG for one without end."""

    def text() -> str:
        # A pipe would have us wait for whoever writes into it.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), encoding="utf-8", errors="surrogateescape") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise OSError(errno.EINVAL, "Not a regular file", path)
            content = file.read(_LARGEST_FILE + 1)
            if len(content) > _LARGEST_FILE:
                raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)
            return content

    return as_untrusted_owner(path, text)
