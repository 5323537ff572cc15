# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell when the code of a virtual environment and of a project was installed, by the times of files.

Nothing is imported and no file but small ones is read, so that it costs a run with nothing to do next to nothing. The
time that counts is a file's mtime: pip and uv make a package's folder ``.dist-info`` new at each install, a downgrade
or the same version again included, while its ctime changes with any chmod.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re
import time
from typing import Any, Iterable, Mapping

from ansible_collections.allianceauth.tuning.plugins.module_utils.server import guard_program, privileges, proof

# They bring no code into any of the programs.
_TOOLS = frozenset({"pip", "setuptools", "uv", "wheel"})

# A wheel's folder is NAME-VERSION.dist-info (PEP 427). What pip could not remove begins with a tilde.
_PACKAGE = re.compile(r"([^~].*?)-([^-]+)\.dist-info\Z")

# In a project's folder or a package's source: not what programs write, nor other virtual environments.
_NOT_CODE = frozenset({"__pycache__", "log", "logs", "media", "node_modules", "static"})

# More than any project has; a folder without end is not to hold a run up.
_MOST_ENTRIES = 50_000


def look(venv: str, project_dir: str, name: str, uid: int | None) -> dict[str, Any]:
    """Return when what is installed was installed, read as the user ``uid``, who owns it.

    ``packages``: each with its ``name``, ``version`` and ``time`` (seconds since 1970, as all times here), without
    the tools by which packages are installed; ``sources``: the newest ``.py`` file of the project and of each editable
    install, with its ``name``, ``path`` and ``time``; ``folder``: when a package was added or removed last;
    ``kept``: what `keep` has kept for the project ``name``: the ``versions`` of packages by name, and when (``time``),
    and the ``broker``, with the ``sources`` of the time at which it was known.
    """
    nothing: dict[str, Any] = {"packages": [], "sources": [], "folder": 0.0}
    try:
        found = privileges.in_child(lambda: _look(venv, project_dir), uid)
    except (OSError, RuntimeError):
        found = nothing
    return {**found, "kept": {"versions": {}, "time": 0.0, "broker": {}, **guard_program.load(_kept(name))}}


def keep(name: str, venv: str, uid: int | None, broker: Mapping[str, Any]) -> None:
    """Remember which packages are in service now, and the ``broker``, with the ``sources`` that name it, as `look` has.

    Without a broker none is known any more: what comes into service may have another one.
    """
    versions = privileges.in_child(lambda: {one["name"]: one["version"] for one in _packages(venv)}, uid)
    os.makedirs(proof.FOLDER, 0o700, exist_ok=True)
    guard_program.save(_kept(name), {"versions": versions, "time": time.time(), "broker": dict(broker)})


def loaded(venv: str, package: str, began: float) -> tuple[int, int] | None:
    """Return the version, as MAJOR and MINOR, of the package that a process has loaded which began at ``began``.

    None if nobody can tell: the package is not there, or it was installed since.
    """
    found = []
    for folder in _site_packages(venv):
        with os.scandir(folder) as entries:
            for entry in entries:
                named = _PACKAGE.match(entry.name)
                if named and named[1].lower() == package:
                    numbers = re.match(r"(\d+)\.(\d+)", named[2])
                    if not numbers or entry.stat().st_mtime > began:
                        return None
                    found.append((int(numbers[1]), int(numbers[2])))
    # Of an older one that was left behind nobody knows whether it is the one that counts.
    return min(found, default=None)


def _kept(name: str) -> str:
    return os.path.join(proof.FOLDER, f"{name}.packages.json")


def _look(venv: str, project_dir: str) -> dict[str, Any]:
    packages = _packages(venv)
    sources = _newest("the project", project_dir)
    for one in packages:
        sources += _newest(one["name"], one["source"]) if one["source"] else []
    folders = [os.stat(folder).st_mtime for folder in _site_packages(venv)]
    return {
        "packages": [{key: one[key] for key in ("name", "version", "time")} for one in packages],
        "sources": sources,
        "folder": max(folders, default=0.0),
    }


def _site_packages(venv: str) -> list[str]:
    return sorted(glob.glob(os.path.join(glob.escape(venv), "lib", "python3*", "site-packages"))) if venv else []


def _packages(venv: str) -> list[dict[str, Any]]:
    """Return the installed packages; ``source`` is the folder of an editable install, "" for the others."""
    found = []
    for folder in _site_packages(venv):
        with os.scandir(folder) as entries:
            for entry in entries:
                named = _PACKAGE.match(entry.name)
                if named and named[1].lower() not in _TOOLS:
                    name = named[1].replace("_", "-").lower()
                    source = _editable(os.path.join(entry.path, "direct_url.json"))
                    found.append({"name": name, "version": named[2], "time": entry.stat().st_mtime, "source": source})
    return sorted(found, key=lambda one: str(one["name"]))


def _editable(path: str) -> str:
    """Return the folder that an editable install leads to. Source: PEP 610, direct_url.json."""
    if not os.path.exists(path):
        return ""
    try:
        known = json.loads(privileges.read(path))
        editable = known.get("dir_info", {}).get("editable") and known["url"].startswith("file://")
        return str(known["url"])[len("file://") :] if editable else ""
    except (OSError, ValueError, KeyError, AttributeError):
        return ""


def _newest(name: str, folder: str) -> list[dict[str, Any]]:
    """Return the newest Python file below a folder, and beside it the newest of those with a time in the future."""
    now = time.time()
    newest: dict[bool, dict[str, Any]] = {}
    for path in _python_files(folder):
        # One may be gone by now, or a link that leads nowhere.
        with contextlib.suppress(OSError):
            changed = os.stat(path).st_mtime
            # One of the future would hide all that was changed since.
            kind = changed > now
            if kind not in newest or changed > newest[kind]["time"]:
                newest[kind] = {"name": name, "path": path, "time": changed}
    return list(newest.values())


def _python_files(folder: str) -> Iterable[str]:
    seen = 0
    for here, folders, files in os.walk(folder):
        # A virtual environment has packages, which count by themselves.
        if "pyvenv.cfg" in files:
            folders.clear()
            continue
        folders[:] = [name for name in folders if name not in _NOT_CODE and not name.startswith(".")]
        seen += len(files)
        if seen > _MOST_ENTRIES:
            return
        yield from (os.path.join(here, name) for name in files if name.endswith(".py"))
