# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put files and links in place, and keep what was there before."""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from typing import Iterator

from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import backup_name, managed_file
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import guard_program, privileges

KEPT_FILES = 10


def read(path: str) -> str | None:
    """Return the text of the file that ``path`` leads to, None if there is none."""
    try:
        return privileges.read(path)
    except FileNotFoundError:
        return None


def readable(path: str) -> str | None:
    """Return the text of the file that ``path`` leads to, None if there is none that its folder's owner can read."""
    try:
        return privileges.read(path)
    except OSError:
        return None


def replace_file(path: str, content: str, uid: int, gid: int, kept: str = "") -> None:
    """Write ``content`` beside ``path`` and move it there, so that no reader sees half a file.

    If the disk has no room for that, ``kept``, a file that has this content already, gets another name.
    """
    try:
        _write(path, content, uid, gid)
    except OSError as why:
        if why.errno not in (errno.ENOSPC, errno.EDQUOT) or not kept or readable(kept) != content:
            raise
        aside = beside(path)
        os.link(kept, aside)
        os.chown(aside, uid, gid)
        os.chmod(aside, managed_file.MODE)
        os.replace(aside, path)


def _write(path: str, content: str, uid: int, gid: int) -> None:
    guard_program.write(path, content.encode(errors="surrogateescape"), uid, gid, managed_file.MODE)


def beside(path: str) -> str:
    """Return a name for a moment: one that nobody guesses, with a dot that keeps it out of "conf.d/*" patterns."""
    return os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.{uuid.uuid4().hex}")


def put_link(link: str, path: str, aside: str) -> list[str]:
    """Make ``link`` lead to ``path``; return where what was there is kept: ``aside``, unless that is empty.

    The folder's owner does it: root would write wherever that one has just made the folder lead.
    """

    def work() -> list[str]:
        kept = []
        temporary = beside(link)
        os.symlink(path, temporary)
        try:
            if aside and os.path.lexists(link):
                # As it is, whatever it is: it may be a link to what only root may read.
                os.rename(link, aside)
                kept.append(aside)
            os.replace(temporary, link)
        finally:
            if os.path.lexists(temporary):
                os.unlink(temporary)
        drop_older(link)
        return kept

    return privileges.as_untrusted_owner(os.path.dirname(link) + "/.", work)


def remove(path: str) -> None:
    """Remove a file or a link, with the rights of whoever owns its folder."""
    privileges.as_untrusted_owner(os.path.dirname(path) + "/.", lambda: os.unlink(path))


@contextlib.contextmanager
def put_back_on_error(path: str) -> Iterator[None]:
    """Have at ``path`` what is there now, the very same file or link, if what is done meanwhile fails."""
    aside = beside(path)
    if os.path.lexists(path):
        os.link(path, aside, follow_symlinks=False)
    try:
        yield
    except OSError:
        if os.path.lexists(aside):
            os.replace(aside, path)
        elif os.path.lexists(path):
            os.unlink(path)
        raise
    finally:
        if os.path.lexists(aside):
            os.unlink(aside)


def keep(path: str, content: str, stamp: str, uid: int, gid: int) -> str:
    """Keep ``content``, which ``path`` leads to, as a dated file beside it, and return that.

    It gets new owners: a file that may be put back must not be the auth user's to change. What
    the newest one has already is kept there: runs that fail would push all others out.
    """
    _hide_older(path)
    newest = kept_files(path)[-1:]
    if newest and readable(newest[0]) == content:
        return newest[0]
    kept = backup_name.hidden(path, stamp)
    replace_file(kept, content, uid, gid)
    drop_older(path)
    return kept


def _hide_older(path: str) -> None:
    """Have those that were kept under names without a dot be loaded by no include pattern, too."""
    for kept in kept_files(path):
        folder, entry = os.path.split(kept)
        if entry == backup_name.plain(entry):
            os.replace(kept, os.path.join(folder, f".{entry}"))


def drop_older(path: str) -> None:
    """Remove the oldest of the dated files beside ``path``, beyond `KEPT_FILES`."""
    for older in kept_files(path)[:-KEPT_FILES]:
        os.unlink(older)


def kept_files(path: str) -> list[str]:
    """Return the dated files beside ``path``, the newest last."""
    folder, name = os.path.split(path)
    if not os.path.isdir(folder):
        return []
    # The stamp sorts by time.
    entries = sorted(os.listdir(folder), key=backup_name.plain)
    return [os.path.join(folder, entry) for entry in entries if backup_name.is_kept(entry, name)]
