# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit as one HTML page that needs nothing else."""

from __future__ import annotations

from typing import Any, Mapping

from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.audit.finding import SEVERITIES


def values(whole: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the page's template needs beside the filter ``megabytes``."""
    return {**whole, "severities": SEVERITIES, "gauge": gauge}


def gauge(process: Mapping[str, Any]) -> dict[str, Any]:
    """Return how wide the bar of a process is, in percent of its limit, and how it is coloured."""
    if not process["limit"]:
        return {"width": 0, "tone": "none"}
    part = 100 * process["memory"] / process["limit"]
    return {"width": round(min(part, 100)), "tone": "high" if part >= 100 else "medium" if part >= 75 else "low"}
