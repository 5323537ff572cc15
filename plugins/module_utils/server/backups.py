# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that are kept of a configuration: how they differ from it, and which of them a run goes back to."""

from __future__ import annotations

import difflib
import os
from typing import Any

from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import backup_name, managed_file
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import files, proof


class NoneError(Exception):
    """There is no such file, or none to go back to; the text says what there is."""


def choose(path: str, wanted: str, name: str) -> str:
    """Return the kept file that ``wanted`` names. Raises `NoneError`.

    With ``newest`` it is the newest that differs and with which a run has ended. ``name`` is the supervisor group.
    """
    if wanted == "newest":
        others = [kept["file"] for kept in before(path, name) if kept["differs"] and kept["proven"]]
        if others:
            return str(others[-1])
    names = {backup_name.plain(os.path.basename(kept)): kept for kept in files.kept_files(path)}
    plain = backup_name.plain(os.path.basename(wanted))
    if plain in names:
        return names[plain]
    if wanted == "newest" and names:
        raise NoneError(
            f"there is nothing to go back to: all that is kept beside {path} is as {path} is now, or was put in place "
            f"by a run that was cut off: {', '.join(names)}. Name one of them to have it all the same"
        )
    there = f"there are {', '.join(names)}" if names else "no file was kept"
    raise NoneError(f"{wanted} is not among the files kept beside {path}: {there}")


def before(path: str, name: str) -> list[dict[str, Any]]:
    """Return the kept files that can be read, the newest last, with how they differ from what is there now.

    ``proven`` says whether a run has ended with it, or somebody else has written it; ``differs`` has the lines.
    """
    now = files.readable(path) or ""
    found = []
    for kept in files.kept_files(path):
        text = files.readable(kept)
        if text is not None:
            found.append({"file": kept, "proven": not proof.lacks(name, text), "differs": _lines(now, text)})
    return found


def _lines(now: str, text: str) -> list[str]:
    """Return the lines that going back would take away (``-``) and bring (``+``), without environments."""
    if now == text:
        return []
    lines = difflib.unified_diff(managed_file.shown(now).splitlines(), managed_file.shown(text).splitlines(), n=0)
    shown = [line for line in lines if not line.startswith(("---", "+++", "@@"))]
    return shown or ["(only what is not shown)"]
