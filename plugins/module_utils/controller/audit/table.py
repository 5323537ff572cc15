# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit in the terminal."""

from __future__ import annotations

import textwrap
from typing import Any, Mapping

from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.audit.finding import SEVERITIES

_SEVERITY = max(len(severity) for severity in SEVERITIES)


def lines(whole: Mapping[str, Any], width: int) -> list[str]:
    """Return a line for each good host, and a table for each other one."""
    return [line for host, one in whole["hosts"].items() for line in _host(host, one, width)]


def _host(host: str, one: Mapping[str, Any], width: int) -> list[str]:
    if one["verdict"] == "unknown":
        return [f"{host}: not audited: {one['problem']}"]
    projects = ", ".join(_title(project) for project in one["projects"]) or "no project"
    counts = ", ".join(f"{number} {severity}" for severity, number in one["counts"].items() if number)
    if one["verdict"] == "good":
        return [f"{host}: good ({projects})" + (f"; {counts}, which can wait: see the report" if counts else "")]
    rows = [line for finding in one["findings"] for line in _finding(finding, width)]
    return ["", f"{host}: {counts} ({projects})", *rows]


def _title(project: Mapping[str, Any]) -> str:
    version = project["versions"].get("allianceauth")
    return f"{project['name']}: Alliance Auth {version}" if version else str(project["name"])


def _finding(finding: Mapping[str, Any], width: int) -> list[str]:
    indent = " " * (_SEVERITY + 4)
    first = f"{finding['subject']}: {finding['evidence']}"
    wrapped = _wrap(f"  {finding['severity'].ljust(_SEVERITY)}  ", first, indent, width)
    return [*wrapped, *_wrap(f"{indent}-> ", finding["remedy"], f"{indent}   ", width)]


def _wrap(begin: str, text: str, indent: str, width: int) -> list[str]:
    # A path or a command that is cut in two cannot be copied.
    return textwrap.wrap(
        text, width, initial_indent=begin, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
