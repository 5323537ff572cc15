# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at what an audit needs of a host: its unit, its files, its control sockets."""

from __future__ import annotations

import contextlib
import grp
import os
import stat
import xmlrpc.client
from typing import Any, Iterable, Mapping

from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import description, managed_file
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import preflight, privileges, proc, supervisord
from ansible_collections.allianceauth.tuning.plugins.module_utils.server.audit_projects import readable_by_all


def daemon() -> dict[str, Any]:
    """Return what the daemon runs and how that differs from the disk, or the ``problem`` why it does not say so."""
    try:
        asked = supervisord.Daemon()
        pid = asked.pid()
        processes = asked.processes()
        below = proc.children(process.pid for process in processes if process.pid)
        found = {
            "pid": pid,
            "of_systemd": proc.supervised_by_systemd(pid),
            "processes": [
                {
                    **process.as_dict(),
                    "rss": proc.rss(process.pid) if process.pid else 0,
                    "children": [proc.rss(child) for child in below.get(process.pid, [])],
                }
                for process in processes
            ],
        }
    except supervisord.NotAnsweringError as why:
        return {"problem": str(why), "processes": [], "drift": {}}
    try:
        return {**found, "drift": asked.drift()}
    except xmlrpc.client.Fault:
        # The files are invalid, which the parser says in words of its own.
        return {**found, "drift": {}}


def sockets(paths: Iterable[str]) -> list[dict[str, Any]]:
    """Return the control sockets that are there with their ``mode``, ``gid`` and ``group``."""
    found = []
    for path in paths:
        with contextlib.suppress(OSError):
            status = os.stat(path)
            mode = stat.S_IMODE(status.st_mode)
            found.append({"file": path, "mode": mode, "gid": status.st_gid, "group": _group(status.st_gid)})
    return found


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def run_by_root(processes: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return the processes that run as root out of a file that somebody else can change."""
    found = []
    for process in processes:
        if process["uid"] not in (None, 0):
            continue
        words = [word for word in process["arguments"][:2] if word.startswith("/") and os.path.isfile(word)]
        found += [
            {"process": process["namespec"], "path": path, "user": user}
            for path, user in preflight.exposed(words).items()
        ][:1]
    return found


def readable_secrets(paths: Iterable[str]) -> dict[str, list[str]]:
    """Return what may be secret in configuration files that every user may read: names, no values."""
    found = {}
    for path in paths:
        with contextlib.suppress(OSError, ValueError):
            names = _secrets(privileges.read(path)) if readable_by_all(path) else []
            if names:
                found[path] = names
    return found


def _secrets(text: str) -> list[str]:
    from supervisor.datatypes import dict_of_key_value_pairs

    names = []
    for section, options in description.sections(text).items():
        if options.get("password"):
            names.append(f"password in [{section}]")
        with contextlib.suppress(ValueError):
            pairs = dict_of_key_value_pairs(options.get("environment", "").replace("%", "_"))
            names += [f"{name} in [{section}]" for name, value in pairs.items() if _may_be_secret(name, value)]
    return names


def _may_be_secret(name: str, value: str) -> bool:
    # A path or an expansion is none.
    return bool(managed_file.secret_values({name: value})) and not value.startswith(("/", "_("))
