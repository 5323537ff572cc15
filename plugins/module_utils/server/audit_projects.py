# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the Alliance Auth projects that a supervisord runs, whatever their names, folders and files."""

from __future__ import annotations

import os
import pwd
import re
import stat
from typing import Any, Iterable, Mapping

from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.command import split_command
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.names import make_namespec
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import code, guard, privileges, proc, project

_AUTH = frozenset({"beat", "worker", "gunicorn"})
_WSGI = re.compile(r"([A-Za-z_]\w*)\.wsgi(:\w+)?\Z")
_APPLICATION = re.compile(r"(?:-A|--app)(?:=|\Z)|-A(?=\w)")


def orphans(venvs: Iterable[str]) -> list[dict[str, Any]]:
    """Return what `proc.orphans` finds of each venv, with it and the ``project`` that the command names ("": none)."""
    return [
        {**orphan, "venv": venv, "project": project_name(split_command(orphan["command"]))}
        for venv in venvs
        for orphan in proc.orphans(venv)
    ]


def processes(effective: Mapping[str, Any], daemon: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return every process of the configuration with what it is and, if it runs, what it really is.

    ``kind`` is that of the configured command. If that cannot be told, it is that of what runs,
    and ``wrapped`` says so: the command is a script that starts something else.
    """
    running = {process["namespec"]: process for process in daemon["processes"]}
    found = []
    for group in effective["groups"]:
        for process in group["processes"]:
            namespec = make_namespec(group["name"], process["name"])
            now = running.get(namespec, {})
            words = split_command(process["command"])
            kind = "listener" if group["listener"] else proc.kind(words)
            really = proc.command_line(now["pid"]) if now.get("pid") else []
            wrapped = kind == "other" and proc.kind(really) in _AUTH
            found.append(
                {
                    **process,
                    "group": group["name"],
                    "namespec": namespec,
                    "kind": proc.kind(really) if wrapped else kind,
                    "wrapped": wrapped,
                    "arguments": really if wrapped else words,
                    "state": now.get("state"),
                    "pid": now.get("pid", 0),
                    "start": now.get("start", 0),
                    "began": proc.began(now["pid"]) if now.get("pid") else None,
                    "spawnerr": now.get("spawnerr", ""),
                    "rss": now.get("rss", 0),
                    "children": now.get("children", []),
                }
            )
    return found


def discover(found: Iterable[Mapping[str, Any]], sections: Mapping[str, list[str]]) -> list[dict[str, Any]]:
    """Return the projects whose programs are among the processes, each with its places and its configuration files."""
    projects: dict[tuple[str, str], dict[str, Any]] = {}
    for process in found:
        name = project_name(process["arguments"]) if process["kind"] in _AUTH else ""
        if not name:
            continue
        directory = process["directory"] or ""
        one = projects.setdefault(
            (name, os.path.realpath(directory)),
            {"name": name, "directory": directory, "venv": "", "uid": None, "processes": [], "groups": []},
        )
        one["processes"].append(process["namespec"])
        one["venv"] = one["venv"] or _venv(process["arguments"])
        one["uid"] = process["uid"] if one["uid"] is None else one["uid"]
        if process["group"] not in one["groups"]:
            one["groups"].append(process["group"])
    return [
        {**one, **_look(one), "code": _code(one), "files": _files(one["groups"], sections)} for one in projects.values()
    ]


def _code(one: Mapping[str, Any]) -> dict[str, Any]:
    uid = one["uid"] or privileges.untrusted_owner(os.path.join(one["directory"] or "/", "."))
    return code.look(one["venv"], one["directory"], one["name"], uid)


def project_name(arguments: list[str]) -> str:
    """Return what stands after ``-A``, or before ``.wsgi``; "" if neither does."""
    for word, following in zip(arguments, [*arguments[1:], ""]):
        if _APPLICATION.match(word):
            value = following if word in ("-A", "--app") else re.sub(r"\A(--app=|-A)", "", word)
            return re.split(r"[.:]", value)[0]
        served = _WSGI.match(word)
        if served:
            return served.group(1)
    return ""


def _venv(arguments: list[str]) -> str:
    # PLACE/bin/celery, or its interpreter.
    place = os.path.dirname(os.path.dirname(arguments[0]))
    return place if place not in ("", "/", "/usr", "/usr/local") else ""


def _files(groups: Iterable[str], sections: Mapping[str, list[str]]) -> list[str]:
    names = {f"{kind}:{group}" for group in groups for kind in ("group", "program")}
    return [path for path, inside in sections.items() if names & set(inside)]


def _look(one: Mapping[str, Any]) -> dict[str, Any]:
    """Return what lies in a project's folder and venv, read with the rights of whoever owns them."""
    directory, name = one["directory"], one["name"]
    celery_py = os.path.join(directory, name, "celery.py")

    def look() -> dict[str, Any]:
        return {
            "manage_py": os.path.isfile(os.path.join(directory, "manage.py")),
            "routed_queues": project.routed_queues(celery_py),
            "settings": _settings(os.path.join(directory, name)),
            "memmon": os.access(os.path.join(one["venv"], "bin", "memmon"), os.X_OK) if one["venv"] else False,
            "versions": project.venv(one["venv"])["versions"] if one["venv"] else {},
        }

    try:
        # Programs of root's are no reason to follow a path through another user's folder as root.
        found = privileges.in_child(look, one["uid"] or privileges.untrusted_owner(os.path.join(directory, ".")))
    except (OSError, RuntimeError):
        found = {"manage_py": False, "routed_queues": [], "settings": [], "memmon": False, "versions": {}}
    return {**found, "guard": guard.look(name)["said"], "user": _user(one["uid"]), "gid": _gid(one["uid"])}


def _settings(package: str) -> list[str]:
    """Return the project's settings files that every user of the server may read."""
    candidates = (os.path.join(package, "settings", "local.py"), os.path.join(package, "settings.py"))
    return [path for path in candidates if readable_by_all(path)]


def readable_by_all(path: str) -> bool:
    """Whether every user may read a file, folders on the way to it included."""
    try:
        path = os.path.realpath(path)
        if not os.stat(path).st_mode & stat.S_IROTH:
            return False
        while path != "/":
            path = os.path.dirname(path)
            if not os.stat(path).st_mode & stat.S_IXOTH:
                return False
    except OSError:
        return False
    return True


def _user(uid: int | None) -> str:
    try:
        return pwd.getpwuid(0 if uid is None else uid).pw_name
    except KeyError:
        return str(uid)


def _gid(uid: int | None) -> int | None:
    try:
        return pwd.getpwuid(0 if uid is None else uid).pw_gid
    except KeyError:
        return None
