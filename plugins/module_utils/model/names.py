# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of processes, supervisor's namespec and one for what runs on without a supervisord, and of the file's link."""

from __future__ import annotations

import re
from typing import Any, Mapping

_ORPHAN = "pid:"


def make_namespec(group: str, process: str) -> str:
    """Return supervisor's name of a process, ``GROUP:PROCESS``. Source: supervisor/options.py (make_namespec)."""
    return f"{group}:{process}"


def link_to(supervisor_conf: str, project: str, project_dir: str) -> str:
    """Return where a link leads to the auth programs' file: in the project's folder, where the guide has people look.

    If the file itself is there, the link is in the daemon's include folder.
    """
    in_project = f"{project_dir}/supervisor.conf"
    return f"/etc/supervisor/conf.d/{project}.conf" if supervisor_conf == in_project else in_project


def orphan_name(found: Mapping[str, Any]) -> str:
    """Return the name of an orphan: ``pid:PID@START``, START being the clock ticks since boot at which it began."""
    return f"{_ORPHAN}{found['pid']}@{found['start']}"


def is_orphan(name: str) -> bool:
    """Whether a name is an orphan's."""
    return name.startswith(_ORPHAN)


def orphan_pid(name: str) -> int:
    """Return an orphan's process number."""
    return int(_orphan_parts(name)[0])


def orphan_start(name: str) -> str:
    """Return an orphan's clock ticks: a later process of the same number has others."""
    return _orphan_parts(name)[1]


def short_name(name: str) -> str:
    """Return ``worker_00`` for ``myauth:worker_00``, and an orphan as one; a text with spaces is no name."""
    if is_orphan(name):
        return f"the orphan {orphan_pid(name)}"
    return name if " " in name else name.rpartition(":")[2]


def pool_of(process: str) -> str:
    """Return the program that a process is one of, by its name: ``worker`` for ``myauth:worker_00``."""
    return re.sub(r"_\d+\Z", "", process.rpartition(":")[2])


def serving_units(group: str) -> str:
    """Return what the names of the systemd units begin with that take a supervisor group's tasks meanwhile."""
    return f"allianceauth-tuning-{group}-worker-"


def _orphan_parts(name: str) -> tuple[str, str]:
    pid, _at, start = name[len(_ORPHAN) :].partition("@")
    return pid, start
