# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell how what runs differs from what is on disk, or was decided."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.declared import Declared
from ansible_collections.allianceauth.tuning.plugins.module_utils.model import memmon

# Read and write for root and the group alone: the listeners' user has to connect.
SOCKET_MODE = 0o770


def sentences(declared: Declared, info: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each way in which what runs differs from what is on disk."""
    daemon = info["daemon"]
    left = [
        f"{orphan['command']} (process {orphan['pid']}) runs on from an earlier supervisord"
        for orphan in info["orphans"]
    ]
    if "problem" in daemon:
        return [str(daemon["problem"]), *left]
    return left + [
        f"{name} is {how} on disk since supervisord read its configuration"
        for how, names in unread(declared, info).items()
        for name in names
    ]


def socket_sentences(declared: Declared, info: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each control socket that the listeners could not use."""
    if not declared.needs_socket or "problem" in info["daemon"]:
        return []
    user = info["user"]
    return [
        f"the socket {socket['file']} does not admit the group {user['group']}"
        for socket in info["daemon"].get("sockets", [])
        if (socket["mode"], socket["gid"]) != (SOCKET_MODE, user["gid"])
    ]


def unread(declared: Declared, info: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return our groups that are not on disk as supervisord has read them, by how they differ.

    Ours are those that are declared, those of the file on disk, and a listener that the file had before.
    """
    ours = declared.own_groups(info)
    return {
        how: [
            name
            for name in info["daemon"]["drift"].get(how, [])
            if name in ours or how == "removed" and name.startswith(("memmon", "crashmail", "httpok"))
        ]
        for how in ("added", "changed", "removed")
    }


def disagreements(
    declared: Declared, expected: Sequence[str], limits: Mapping[str, int], info: Mapping[str, Any]
) -> list[str]:
    """Return a sentence for each of the processes (namespecs) and limits that is not as it was expected."""
    processes = info["daemon"]["processes"]
    known = {process["name"] for process in processes}
    # What the memmons of others watch is theirs.
    listeners = [process for process in processes if process["group"] in declared.listener_names]
    watched = {name: size for process in listeners for name, size in process["limits"].items()}
    unlimited = {name for program in declared.programs if not program.memory_limit for name in program.process_names}
    workers = {
        process["name"] for process in processes if process["kind"] == "worker" and process["namespec"] in expected
    }
    found = [f"{name} does not run" for name in stopped(expected, processes)]
    found += [f"memmon watches {name}, which does not exist" for name in sorted(set(watched) - known)]
    found += [
        f"memmon has the limit {_shown(watched.get(name))} for {name} and not {memmon.size_text(size)}"
        for name, size in limits.items()
        if watched.get(name) != size
    ]
    if limits:
        found += [f"no memmon watches the worker {name}" for name in sorted(workers - set(watched) - unlimited)]
    return found


def _shown(limit: int | None) -> str:
    return memmon.size_text(limit) if limit else "none"


def stopped(expected: Sequence[str], processes: list[Mapping[str, Any]]) -> list[str]:
    """Return those of the expected processes that have no process number."""
    running = {process["namespec"] for process in processes if process["pid"]}
    return [name for name in expected if name not in running]


def starting(expected: Sequence[str], processes: list[Mapping[str, Any]]) -> list[str]:
    """Return those of the expected processes that have only just been started."""
    starting = {process["namespec"] for process in processes if process["state"] == "STARTING"}
    return [name for name in expected if name in starting]
