# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an audit finds, and how bad it is."""

from __future__ import annotations

from dataclasses import dataclass

# high: the site, the queue or the host's safety is at stake as it is. medium: it costs something on ordinary days.
# low: it costs something in circumstances that are rare, or takes from what one can see.
SEVERITIES = ("high", "medium", "low")

# A server with none of these is called good.
BAD = ("high", "medium")

MEGABYTE = 1024**2


@dataclass(frozen=True)
class Finding:
    """One finding. ``rule`` is its stable name, ``remedy`` a variable of the role or a command."""

    severity: str
    rule: str
    subject: str
    evidence: str
    why: str
    remedy: str
    project: str = ""


def megabytes(size: float) -> str:
    """Return a number of bytes in whole megabytes."""
    return f"{size / MEGABYTE:.0f} MB"


def listed(names: list[str], most: int = 6) -> str:
    """Return names as words: a long list is cut, and says how many there are more."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
