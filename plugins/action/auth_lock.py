# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Name the run that takes a lock, and find out whether the one that holds it is still alive.

Whoever takes it is about to change the server: here a second beat on one broker is refused.
"""

from __future__ import annotations

import getpass
import os
import re
import socket
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import refusals
from ansible_collections.allianceauth.tuning.plugins.plugin_utils import role


class ActionModule(ActionBase):
    """See the documentation of the module auth_lock."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        # Tasks run in children of the process that the user has started.
        owner = name_of(os.getppid())
        known = task_vars or {}
        host = known["inventory_hostname"]
        takes = self._task.args.get("state", "present") == "present"
        if takes and (why := refusals.second_beat(host, role.hosts(known))):
            return {**result, "failed": True, "msg": why}
        arguments = {**self._task.args, "owner": owner}
        answer = self._execute_module(module_args=arguments, task_vars=task_vars)
        holder = answer.get("held_by", "")
        if holder and is_dead(holder):
            answer = self._execute_module(module_args={**arguments, "dead": holder}, task_vars=task_vars)
        result.update(answer)
        if answer.get("held_by"):
            # Which machine that is, its name tells people.
            holder = re.sub(r" on \S*/\S*/\S*\Z", "", answer["held_by"])
            result.update(
                failed=True,
                msg=f"{host}: another run is at work here: {holder}. Wait for it and run again; "
                f"if it is dead, remove {answer['path']} on the server.",
            )
        return result


def name_of(pid: int) -> str:
    """Return USER@CONTROLLER, process PID started at TICKS on MACHINE."""
    return f"{getpass.getuser()}@{socket.gethostname()}, process {pid} started at {_started(pid)} on {machine()}"


def machine() -> str:
    """Return what tells this controller from all others: MACHINE-ID/BOOT-ID/PID-NAMESPACE, what there is of it.

    Two may have one hostname, and in a container process numbers are others than beside it.
    """
    # As much as tells two apart. Sources: machine-id(5), random(4), pid_namespaces(7)
    ids = [_line_of("/etc/machine-id")[:12], _line_of("/proc/sys/kernel/random/boot_id")[:8]]
    try:
        ids.append(str(os.stat("/proc/self/ns/pid").st_ino))
    except OSError:
        ids.append("")
    return "/".join(ids)


def is_dead(owner: str) -> bool:
    """Whether a run of this very controller is no longer there. Of another controller's nothing is known."""
    controller, found, process = owner.partition(", process ")
    if not found or controller.rpartition("@")[2] != socket.gethostname():
        return False
    pid, _words, rest = process.partition(" started at ")
    started, _words, where = rest.partition(" on ")
    here = machine()
    if where != here:
        # The same machine since another boot: whatever ran then runs no more.
        theirs, ours = where.split("/"), here.split("/")
        return bool(ours[0]) and len(theirs) == len(ours) and theirs[0] == ours[0] and theirs[1] != ours[1]
    return not _lives(int(pid)) or _started(int(pid)) != started


def _line_of(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _started(pid: int) -> str:
    """Return when a process began, in clock ticks; empty where there is no /proc, or no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()[19]
    except OSError:
        return ""
