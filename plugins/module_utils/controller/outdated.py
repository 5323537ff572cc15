# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell which programs run older code than what is installed, and what has changed since they began.

In all functions ``processes`` have a ``namespec``, ``kind``, ``began`` and ``pid`` each, ``code`` is `auth_info`'s, and
``now`` is the server's time; all times are in seconds since 1970.
"""

from __future__ import annotations

import os
import time
from typing import Any, Iterable, Mapping, Sequence

# Brings the listeners, and nothing else.
_LISTENERS = "superlance"

# So many changes are named.
_MOST = 8

# Clocks of file systems and of the kernel may differ that much.
_TICK = 2.0


def changes(process: Mapping[str, Any], code: Mapping[str, Any], now: float) -> list[str]:
    """Return what was installed, changed or removed since a process began, none for one that does not run."""
    began = process["began"]
    if not process["pid"] or began is None:
        return []

    def later(at: float) -> bool:
        return bool(began < at <= now + _TICK)

    listens = process["kind"] == "listener"
    # What is kept says nothing of a process that was started later, by hand.
    kept: Mapping[str, str] = code["kept"]["versions"] if began <= code["kept"]["time"] else {}
    found = [
        _package(package, kept)
        for package in code["packages"]
        if later(package["time"]) and listens == (package["name"] == _LISTENERS)
    ]
    if listens:
        return found
    found += [
        f"{source['name']} ({os.path.basename(source['path'])})" for source in code["sources"] if later(source["time"])
    ]
    there = {package["name"] for package in code["packages"]}
    if later(code["folder"]):
        found += [f"{name} {version} (removed)" for name, version in kept.items() if name not in {*there, _LISTENERS}]
    return found


def _package(package: Mapping[str, Any], kept: Mapping[str, str]) -> str:
    name, version = package["name"], package["version"]
    if not kept:
        return f"{name} {version}"
    if name not in kept:
        return f"{name} {version} (new)"
    return f"{name} {version} (installed again)" if kept[name] == version else f"{name} {kept[name]} -> {version}"


def future(code: Mapping[str, Any], now: float) -> list[str]:
    """Return a sentence on files with times in the future: whether a program has them in service nobody can tell."""
    names = [package["name"] for package in code["packages"] if package["time"] > now + _TICK]
    names += [source["path"] for source in code["sources"] if source["time"] > now + _TICK]
    if not names:
        return []
    sentence = (
        f"these have times in the future, so that nobody can tell whether the programs run them: {shortened(names)}. "
        "Look at the server's clock (timedatectl), and touch the files."
    )
    return [sentence]


def summary(processes: Iterable[Mapping[str, Any]], code: Mapping[str, Any], now: float) -> tuple[str, str]:
    """Return which programs run older code, with since when, and what has changed; both "" if none does."""
    old = {process["namespec"]: (process, changes(process, code, now)) for process in processes}
    old = {name: found for name, found in old.items() if found[1]}
    if not old:
        return "", ""
    since = min(process["began"] for process, _changes in old.values())
    names = dict.fromkeys(name.rpartition(":")[2] for name in old)
    changed = dict.fromkeys(change for _process, found in old.values() for change in found)
    began = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(since))
    return f"{', '.join(names)} (since {began})", shortened(list(changed))


def shortened(names: Sequence[str]) -> str:
    """Return names in a sentence, the first ones if there are many."""
    if len(names) <= _MOST:
        return ", ".join(names)
    return f"{', '.join(names[:_MOST])} and {len(names) - _MOST} more"


def since_kept(code: Mapping[str, Any], now: float) -> str:
    """Return what has changed since the last run that restarted all programs and noted the packages, "" if nothing."""
    kept = code["kept"]["time"]
    at_that_time = {"pid": 1, "kind": "worker", "began": kept}
    return shortened(changes(at_that_time, code, now)) if kept else ""


def sentence(processes: Iterable[Mapping[str, Any]], code: Mapping[str, Any], now: float) -> str:
    """Return the sentence on programs that run older code and what brings the new one into service, "" if none does."""
    programs, changed = summary(processes, code, now)
    if not programs:
        return ""
    return (
        f"What runs is older than what is installed: {programs} began before {changed}. To bring that into service: "
        "ansible-playbook -i my-servers allianceauth.tuning.restart"
    )
