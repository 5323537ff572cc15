# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say how a run ended on one host.

In all functions ``given`` are the arguments of `auth_result`: ``job``, ``ended`` and ``changes``, which are sentences.
"""

from __future__ import annotations

from typing import Any, Mapping

_UNKNOWN = "what the run printed says why"


def cause(known: Mapping[str, Any]) -> str:
    """Return the sentence that a run failed with on a host; ``known`` are the host's variables.

    A failed step leaves its result in a variable of the role's, and Ansible tells a rescue alone of it.
    """
    if first := known.get("__auth_cause"):
        return str(first)
    for name, value in known.items():
        if name.startswith("__auth_") and isinstance(value, Mapping) and value.get("failed") and value.get("msg"):
            return str(value["msg"])
    return _UNKNOWN


def stats(given: Mapping[str, Any], why: str, check_mode: bool) -> dict[str, Any]:
    """Return what set_stats gets: ``job``, ``result`` (ok or failed), ``check_mode``, ``changes``, ``cause``."""
    result = "ok" if given["ended"] else "failed"
    return {
        "job": given["job"],
        "result": result,
        "check_mode": check_mode,
        "changes": list(given["changes"]),
        "cause": why,
    }


def text(host: str, given: Mapping[str, Any], why: str) -> str:
    """Return the message for the webhook."""
    if not given["ended"]:
        # A sentence of ours names its host.
        return why if why.startswith(f"{host}:") else f"{host}: {why}"
    if given["changes"]:
        said = " ".join(given["changes"])
        return said if said.startswith(f"{host}:") else f"{host}: {said}"
    return f"{host}: {'nothing had to be changed' if given['job'] == 'apply' else given['job'] + ' has ended well'}."
