# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Name what did not work before a run, which is no reason for the run to fail."""

from __future__ import annotations

from typing import Any, Iterable, Mapping

_GIVEN_UP = ("FATAL", "BACKOFF")
# A program that has died as often of late, and is not up for long, does not work.
_MANY_DEATHS = 3


def before(info: Mapping[str, Any]) -> dict[str, str]:
    """Return the processes (namespecs) that did not work when a server was looked at, each with what it did."""
    found = {}
    for process in info["daemon"]["processes"]:
        if process["state"] in _GIVEN_UP:
            reason = str(process.get("spawnerr", "")).rstrip(".")
            found[process["namespec"]] = f"was {process['state']}{f' ({reason})' if reason else ''}"
        elif process.get("deaths", 0) >= _MANY_DEATHS:
            found[process["namespec"]] = f"died {process['deaths']} times in the last ten minutes"
    return found


def sentences(found: Mapping[str, str], ours: Iterable[str], leaving: Iterable[str]) -> list[str]:
    """Return a sentence for each of them; of ours the run waits for none. What is ``leaving`` is no news."""
    known, gone = set(ours), set(leaving)
    return [
        f"{name} {what} before this run, which "
        + ("starts it and does not fail if it ends again." if name in known else "leaves it as it is.")
        for name, what in found.items()
        if name in known or name not in gone
    ]
