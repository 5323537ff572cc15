# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See what others do to supervisord: how long systemd lets it stop, and whether needrestart may restart it."""

from __future__ import annotations

import os
import re
import subprocess
from typing import Any

from ansible_collections.allianceauth.tuning.plugins.module_utils.model import outside

_UNIT = "supervisor.service"

# Source: systemd.time(7), as systemctl writes a span.
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|min|h|d|w|month|y)\b")
_FACTORS = {
    "us": 1e-6,
    "ms": 1e-3,
    "s": 1,
    "min": 60,
    "h": 3600,
    "d": 86400,
    "w": 7 * 86400,
    "month": 30.44 * 86400,
    "y": 365.25 * 86400,
}
_SETS_IT = re.compile(r"(?m)^\s*Timeout(?:Stop)?Sec\s*=\s*\S")


def look() -> dict[str, Any]:
    """Return what systemd and needrestart are told of supervisord.

    ``stop_seconds``: how long systemd waits, None without end or if it does not say. ``set_by``: the drop-in of
    somebody else that says so, "" for none. ``drop_in`` and ``needrestart``: the texts of the role's own files.
    ``has_needrestart``: whether it is installed.
    """
    shown = _show("TimeoutStopUSec", "DropInPaths")
    others = [path for path in shown.get("DropInPaths", "").split() if path != outside.DROP_IN]
    return {
        "stop_seconds": span(shown.get("TimeoutStopUSec", "")),
        "set_by": next((path for path in reversed(others) if _SETS_IT.search(_text(path))), ""),
        "drop_in": _text(outside.DROP_IN),
        "needrestart": _text(outside.NEEDRESTART),
        "has_needrestart": os.path.isdir(os.path.dirname(os.path.dirname(outside.NEEDRESTART))),
    }


def stop_seconds() -> float | None:
    """Return how long systemd waits for supervisord to stop, None without end or if systemd does not say."""
    return span(_show("TimeoutStopUSec").get("TimeoutStopUSec", ""))


def span(text: str) -> float | None:
    """Return the seconds of a span such as ``1min 30s``, None for ``infinity``."""
    parts = _SPAN.findall(text)
    return sum(float(number) * _FACTORS[unit] for number, unit in parts) if parts else None


def _show(*properties: str) -> dict[str, str]:
    command = ["systemctl", "show", _UNIT, *(f"--property={name}" for name in properties)]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
