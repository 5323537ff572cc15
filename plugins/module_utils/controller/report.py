# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table that ends a run."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from ansible_collections.allianceauth.tuning.plugins.module_utils.model import memmon

_HEADINGS = ("program", "processes", "concurrency", "pool", "memory limit")
_MEGABYTE = 1024**2


def lines(host: str, plan: Mapping[str, Any], changes: Sequence[str]) -> list[str]:
    """Return the report on one host: what changed, then a row for each program."""
    rows = [_HEADINGS, *(_row(program, plan) for program in plan["programs"])]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    return [
        "",
        f"{host}: {' '.join(changes) or 'nothing to do, all is as the variables say.'}",
        *(f"  {line}" for line in table),
        f"  {_sums(plan)}",
    ]


def _row(program: Mapping[str, Any], plan: Mapping[str, Any]) -> tuple[str, ...]:
    processes = len(program["process_names"])
    limit = program["memory_limit"] if program["name"] in _watched(plan) else "none"
    if limit != "none":
        limit += " with its children" if program["tree"] else " each" if processes > 1 else ""
    concurrency, pool = str(program.get("concurrency", "-")), str(program.get("pool", "-"))
    if program["name"] == "gunicorn" and plan["gunicorn"]:
        pool = f"{plan['gunicorn']['workers']} workers"
    return program["name"], str(processes), concurrency, pool, limit


def _watched(plan: Mapping[str, Any]) -> set[str]:
    return {program["name"] for program in plan["programs"] if set(program["process_names"]) & set(plan["limits"])}


def _sums(plan: Mapping[str, Any]) -> str:
    tasks = sum(worker["numprocs"] * worker["concurrency"] for worker in plan["workers"])
    limits = sum(memmon.parse_size(size) for size in plan["limits"].values())
    return f"numprocs * concurrency: {tasks} tasks at once; limits: {limits // _MEGABYTE} MB in all"
