# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rights: what root runs, loads or writes that others can change, and what others can reach or read."""

from __future__ import annotations

from typing import Any, Iterator, Mapping

from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.audit.finding import Finding, listed

_APPLY = "ansible-playbook -i my-servers allianceauth.tuning.apply"

# For everybody who is neither the owner nor in the group.
_OTHERS = 0o007

# To connect to a socket is to write to it. Source: unix(7)
_GROUP = 0o020


def findings(look: Mapping[str, Any]) -> list[Finding]:
    """Return what others can do on a host that they should not."""
    return [*_runs(look), *_loads(look), *_logs(look), *_sockets(look), *_groups(look), *_ports(look), *_readable(look)]


def _own(look: Mapping[str, Any]) -> set[str]:
    return {path for one in look["projects"] for path in one["files"]}


def _taken(user: str) -> str:
    """Return who does as somebody who can write: a user may be taken over, by a hole in an app for example."""
    return "Every user" if user == "everybody" else f"Whoever gets hold of {user}, by a hole in an app for example,"


def _runs(look: Mapping[str, Any]) -> Iterator[Finding]:
    for one in look["exposed"]["programs"]:
        yield Finding(
            "high",
            "root-runs-what-others-write",
            one["process"],
            f"root runs {one['path']}, which {one['user']} can change",
            f"{_taken(one['user'])} owns the host.",
            f"{_APPLY} (auth_memmon_user: memmon runs as the auth user)"
            if "memmon" in one["path"]
            else "user = in its section, or give the program to root",
        )


def _loads(look: Mapping[str, Any]) -> Iterator[Finding]:
    for path, user in look["exposed"]["files"].items():
        yield Finding(
            "high",
            "root-loads-what-others-write",
            path,
            f"supervisord, which is root, loads it, and {user} can change it",
            f"{_taken(user)} has root run any command at the next restart.",
            f"{_APPLY} (auth_supervisor_conf: the file lies in root's folder)"
            if path in _own(look)
            else f"give {path}, and the folders on the way to it, to root: chown root:root, chmod go-w",
        )


def _logs(look: Mapping[str, Any]) -> Iterator[Finding]:
    folders = look["exposed"]["logs"]
    if folders:
        yield Finding(
            "medium",
            "root-writes-where-others-write",
            listed(sorted(folders)),
            "supervisord, which is root, opens logs in "
            + listed([f"{folder}, which {user} can change" for folder, user in sorted(folders.items())]),
            "A link in a log's place makes root write into any file of the host.",
            f"{_APPLY} (auth_log_dir: the logs lie in root's folder, with links to them)",
        )


def _sockets(look: Mapping[str, Any]) -> Iterator[Finding]:
    for socket in look["sockets"]["files"]:
        if socket["mode"] & _OTHERS:
            yield Finding(
                "high",
                "socket-open",
                socket["file"],
                f"mode {socket['mode']:04o}",
                "Every user of the host can stop and start all programs, and read what they log.",
                "chmod = 0700 in [unix_http_server] of /etc/supervisor/supervisord.conf",
            )


def _groups(look: Mapping[str, Any]) -> Iterator[Finding]:
    own = {0, *(one["gid"] for one in look["projects"])}
    # Without a project nobody knows whose group may.
    for socket in look["sockets"]["files"] if look["projects"] else []:
        if socket["mode"] & _GROUP and socket["gid"] not in own and not socket["mode"] & _OTHERS:
            yield Finding(
                "low",
                "socket-open",
                socket["file"],
                f"mode {socket['mode']:04o} for the group {socket['group']}, which is no project's",
                "Every member of that group can stop and start all programs, and read what they log.",
                "chown = root:root in [unix_http_server], unless an agent of yours needs it",
            )


def _ports(look: Mapping[str, Any]) -> Iterator[Finding]:
    for port in look["sockets"]["ports"]:
        host = port["address"].rpartition(":")[0].strip("[]")
        local = host in ("127.0.0.1", "::1", "localhost")
        if local and port["password"]:
            continue
        yield Finding(
            "medium" if local or port["password"] else "high",
            "port-open",
            port["address"],
            f"[inet_http_server] listens there {'with' if port['password'] else 'without'} a password",
            "Whoever reaches this port can stop and start all programs, and read what they log"
            + (", once the password was read on the line." if port["password"] else "."),
            "remove [inet_http_server], or port = 127.0.0.1:9001 with a username and a password",
        )


def _readable(look: Mapping[str, Any]) -> Iterator[Finding]:
    for path, names in look["readable"].items():
        yield Finding(
            "medium",
            "secret-readable",
            path,
            f"every user of the host may read {listed(names)}",
            "What stands there may be a token or a password.",
            f"auth_environment (apply's file has mode 0640), or chmod o-r {path}",
        )
    for one in look["projects"]:
        for path in one["settings"]:
            yield Finding(
                "low",
                "settings-readable",
                path,
                "every user of the host may read it",
                "It holds Django's SECRET_KEY, the database's password and the secret of the ESI application.",
                f"chmod o-r {path}",
                one["name"],
            )
