# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide what it takes to have a server as before the first run, and say what is done of it.

In all functions ``belongings`` is `auth_belongings`'s result.
"""

from __future__ import annotations

import os
from typing import Any, Mapping, Sequence

from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.command import split_command
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.names import make_namespec

_LISTENERS = ("memmon", "crashmail", "httpok")


def actions(
    belongings: Mapping[str, Any], logs: Sequence[str], files: Any, uninstalls: bool, installed: bool
) -> dict[str, list[str]]:
    """Return the steps with their reasons, in their order; ``logs`` are those that the project has links to.

    ``files`` is the `Plan`'s, ``uninstalls`` whether superlance is to go, ``installed`` whether it is there.
    """
    restored, brought = not belongings["in_place"], belongings["brought"] if uninstalls and installed else []
    reasons = {
        "restore": [f"{files.path}: {_restored(belongings['origin'])}"] * restored,
        "unlink_logs": [f"{files.project_logs}: its own logs and no links"] if logs else [],
        "uninstall": [f"{', '.join(brought)}: out of the virtual environment"] if brought else [],
        "clean": [f"{path}: gone" for path in belongings["files"]]
        + [f"{log}: in {files.project_logs}, with a date" for log in belongings["logs"]],
    }
    return {step: why for step, why in reasons.items() if why}


def lines(host: str, plan: Mapping[str, Any], restarted: bool, check_mode: bool) -> list[str]:
    """Return what is printed in the end; ``plan`` is the run's, as tasks have it."""
    if not plan["actions"]:
        return ["", f"{host}: nothing to do, this collection has nothing here."]
    done = [f"  {why}" for reasons in plan["actions"].values() for why in reasons]
    done += ["  supervisord: restarted with it"] * restarted
    return ["", f"{host}: {'this would be done' if check_mode else 'as before the first run'}:", *done]


def warnings(belongings: Mapping[str, Any], files: Any, uninstalls: bool, installed: bool, venv: str) -> list[str]:
    """Return what the admin has to know before it happens."""
    found = []
    if belongings["origin"] == "present":
        found.append(
            f"the file of before the first run is not kept any more, so that {files.path} keeps its present values, in "
            f"the installation guide's layout: the file and the logs in the project's folder."
        )
    if uninstalls and installed and not belongings["brought"] and belongings["origin"] != "nothing":
        found.append(
            "superlance stays, because no run has noted that it was not there before; to remove it: "
            f"{venv}/bin/pip uninstall superlance."
        )
    if belongings["by_hand"]:
        found.append(f"what somebody has written by hand stays: {', '.join(belongings['by_hand'])}.")
    return found


def listeners(info: Mapping[str, Any], venv: str) -> tuple[str, ...]:
    """Return our processes on disk that supervisord cannot run without superlance."""
    programs = tuple(f"{venv}/bin/{name}" for name in _LISTENERS)
    return tuple(
        make_namespec(group["name"], process["name"])
        for group in info.get("effective", {}).get("groups", [])
        for process in group["processes"]
        if group["name"] in info["own_groups"] and split_command(process["command"])[0] in programs
    )


def _restored(origin: str) -> str:
    if origin == "present":
        return "its values in the installation guide's layout"
    return f"as before the first run{'' if origin == 'noted' else f', from {os.path.basename(origin)}'}"
