# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a file is called that is kept, and when it was."""

from __future__ import annotations

import datetime
import os
import re

_STAMP = re.compile(r"\.\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ\Z")


def now() -> str:
    """Return the time in UTC, as it stands behind a file's name: it sorts by time and needs no quotes."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H-%M-%SZ")


def hidden(path: str, stamp: str) -> str:
    """Return where a configuration is kept: under a name with a dot, which no include pattern such as ``*`` matches."""
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name}.{stamp}")


def is_kept(entry: str, name: str) -> bool:
    """Whether a file's name is that of one that was kept of ``name``, with a dot or not, and no one's own copy."""
    return plain(entry).startswith(name) and bool(_STAMP.match(plain(entry)[len(name) :]))


def plain(entry: str) -> str:
    """Return a kept file's name without the dot: people may write either, and both sort by time."""
    return entry[entry.startswith(".") :]
