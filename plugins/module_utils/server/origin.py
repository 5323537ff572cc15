# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remember what a server was like before the first run, and give it back.

Of what is kept beside the file only the newest stay, so the first one is noted apart, with owner, mode and links.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import Any, Iterable, Mapping

from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import guide_layout, managed_file
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import (
    files,
    guard_program,
    privileges,
    proof,
)

# For a file of which only the text is kept: it may hold secrets.
_MODE = 0o640


@dataclass(frozen=True)
class Origin:
    """What was there before the first run.

    ``source`` is ``noted``, the ``kept`` file in which it was found, ``present`` if it is not kept any more, or
    ``nothing`` if the role has no file there. ``places`` has what belongs where, by path, as `_look` returns it; the
    first is the one to be written first. ``text`` is what supervisord reads there, None for nothing.
    """

    source: str
    places: Mapping[str, Mapping[str, Any]]
    text: str | None
    kept: str = ""

    def in_place(self) -> bool:
        """Whether all is as it was."""
        return self.source == "nothing" or all(_look(path) == place for path, place in self.places.items())


def note(name: str, path: str, link: str) -> None:
    """Note what is at both places before the role's first file comes there; ``name`` is the project's."""
    text = files.readable(path)
    by_us = os.path.islink(link) and os.readlink(link) == path
    if by_us or managed_file.is_written(text or ""):
        return
    os.makedirs(proof.FOLDER, 0o700, exist_ok=True)
    places = {place: _look(place) for place in (link, path)}
    guard_program.save(_path(name, "origin"), {"places": places, "text": text})


def find(given: Mapping[str, Any]) -> Origin:
    """Return what was there before the first run, or the guide's layout of what is there now.

    ``given`` has ``name``, ``path``, ``link``, ``project_dir``, ``log_dir``, ``gunicorn_conf``, and the auth user's
    ``uid`` and ``gid``.
    """
    path, link = given["path"], given["link"]
    now = files.readable(path) or ""
    if not managed_file.is_written(now) and not (os.path.islink(link) and os.readlink(link) == path):
        return Origin("nothing", {}, now or None)
    noted = guard_program.load(_path(given["name"], "origin"))
    if noted and set(noted["places"]) == {path, link}:
        return Origin("noted", noted["places"], noted["text"])
    for kept in files.kept_files(path):
        text = files.readable(kept)
        if text is not None and not managed_file.is_written(text):
            return Origin("kept", _guides(given, text), text, kept)
    text = guide_layout.text(now, given["log_dir"], f"{given['project_dir']}/log", given["gunicorn_conf"])
    return Origin("present", _guides(given, text), text)


def give_back(origin: Origin) -> None:
    """Have all as it was."""
    for path, place in origin.places.items():
        if _look(path) != place:
            _put(path, place)


def brought(name: str) -> list[str]:
    """Return the packages that runs have brought into the virtual environment."""
    return list(guard_program.load(_path(name, "brought")).get("brought", []))


def has_brought(name: str, packages: Iterable[str]) -> None:
    """Note packages that a run has brought there."""
    known = brought(name)
    if new := sorted(set(packages) - set(known)):
        os.makedirs(proof.FOLDER, 0o700, exist_ok=True)
        guard_program.save(_path(name, "brought"), {"brought": [*known, *new]})


def notes(name: str) -> list[str]:
    """Return the files in which the role remembers something of this project."""
    if not os.path.isdir(proof.FOLDER):
        return []
    # Of `code` there as well: the packages in service.
    kinds = ("origin", "brought", "packages", "unproven", "guard")
    return [path for path in (_path(name, kind) for kind in kinds) if os.path.exists(path)]


def others(name: str) -> list[str]:
    """Return the other projects that the role has tuned here, by the notes of what was there before."""
    ending = _path("", "origin").rpartition("/")[2]
    entries = sorted(os.listdir(proof.FOLDER)) if os.path.isdir(proof.FOLDER) else []
    return [
        entry[: -len(ending)] for entry in entries if entry.endswith(ending) and entry not in (ending, name + ending)
    ]


def _path(name: str, kind: str) -> str:
    return os.path.join(proof.FOLDER, f"{name}.{kind}.json")


def _guides(given: Mapping[str, Any], text: str) -> dict[str, dict[str, Any]]:
    """Return the installation guide's layout: the file in the project, and a link where supervisord looks."""
    own = f"{given['project_dir']}/supervisor.conf"
    other = given["link"] if given["path"] == own else given["path"]
    file = {"kind": "file", "text": text, "uid": given["uid"], "gid": given["gid"], "mode": _MODE}
    return {own: file, other: {"kind": "link", "target": own}}


def _look(path: str) -> dict[str, Any]:
    """Return the ``kind`` of what is at a path: link, file, absent or other.

    With a link's ``target``; with a file's ``text``, ``uid``, ``gid`` and ``mode``.
    """
    if os.path.islink(path):
        return {"kind": "link", "target": os.readlink(path)}
    if not os.path.lexists(path):
        return {"kind": "absent"}
    status = os.lstat(path)
    if not stat.S_ISREG(status.st_mode):
        return {"kind": "other"}
    text, mode = files.readable(path), stat.S_IMODE(status.st_mode)
    if text is None:
        return {"kind": "other"}
    return {"kind": "file", "text": text, "uid": status.st_uid, "gid": status.st_gid, "mode": mode}


def _put(path: str, place: Mapping[str, Any]) -> None:
    """Put it there with the rights of whoever owns the folder, so that no reader sees half of it."""

    def work() -> None:
        if place["kind"] == "absent":
            os.unlink(path)
            return
        aside = files.beside(path)
        try:
            if place["kind"] == "link":
                os.symlink(place["target"], aside)
            else:
                _write(aside, place)
            os.replace(aside, path)
        finally:
            if os.path.lexists(aside):
                os.unlink(aside)

    if place["kind"] != "other":
        privileges.as_untrusted_owner(os.path.dirname(path) + "/.", work)


def _write(path: str, place: Mapping[str, Any]) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(handle, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(place["text"])
        file.flush()
        if os.geteuid() == 0:
            os.fchown(handle, place["uid"], place["gid"])
        os.fchmod(handle, place["mode"])
        os.fsync(handle)
