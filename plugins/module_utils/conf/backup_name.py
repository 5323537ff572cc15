# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a file was kept."""

from __future__ import annotations

import datetime
import re

_STAMP = re.compile(r"\.\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ\Z")


def now() -> str:
    """Return the time in UTC, as it stands behind a file's name: it sorts by time and needs no quotes."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H-%M-%SZ")


def is_kept(entry: str, name: str) -> bool:
    """Whether a file's name is that of one that was kept of ``name``, and not of somebody's own copy."""
    return entry.startswith(name) and bool(_STAMP.match(entry[len(name) :]))
