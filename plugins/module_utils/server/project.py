# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at an auth server's files: packages of the venv, the project."""

from __future__ import annotations

import ast
import glob
import grp
import hashlib
import os
import pwd
import re
import stat
from typing import Any, Iterable, Mapping

from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.command import split_command
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.description import Section, argument_of
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import privileges

# What gunicorn's configuration file may give, and the role's variables as well, where nobody can read it.
_UNKNOWN: Mapping[str, Any] = {"bind": None, "timeout": None, "workers": None}

# Those whose version decides something or is worth telling.
_PACKAGES = ("allianceauth", "celery", "eventlet", "gevent", "gunicorn", "superlance")


def user(name: str) -> dict[str, Any] | None:
    """Return a user's ``uid``, ``gid``, the ``group`` that is the gid's name, and ``home``; None if there is none."""
    try:
        entry = pwd.getpwnam(name)
        group = grp.getgrgid(entry.pw_gid).gr_name
        return {"uid": entry.pw_uid, "gid": entry.pw_gid, "group": group, "home": entry.pw_dir}
    except (KeyError, ValueError):
        return None


def venv(path: str) -> dict[str, Any]:
    """Return what is in a venv: ``programs`` that can be executed and ``versions`` of packages.

    Reads the names of folders instead of asking pip, which takes half a second.
    """
    packages = next(iter(sorted(glob.glob(os.path.join(glob.escape(path), "lib", "python3*", "site-packages")))), "")
    programs = ("celery", "gunicorn", "memmon", "pip", "python")
    return {
        "exists": os.path.isfile(os.path.join(path, "pyvenv.cfg")),
        "programs": [name for name in programs if os.access(os.path.join(path, "bin", name), os.X_OK)],
        "versions": _versions(packages),
        "gunicorn_control_socket": _mentions(os.path.join(packages, "gunicorn", "config.py"), "--no-control-socket"),
        # From 4.13 on, its template declares these for all programs.
        "template_environment": _mentions(
            os.path.join(packages, "allianceauth", "project_template", "supervisor.conf"), "AA_PROJECT_NAME"
        ),
    }


def _versions(packages: str) -> dict[str, str]:
    # A wheel's folder is NAME-VERSION.dist-info (PEP 427).
    pattern = re.compile(r"(" + "|".join(_PACKAGES) + r")-(.+)\.dist-info\Z", re.IGNORECASE)
    found = (pattern.match(name) for name in (os.listdir(packages) if packages else []))
    return {match.group(1).lower(): match.group(2) for match in found if match}


def _mentions(path: str, text: str) -> bool:
    try:
        return text in privileges.read(path)
    except OSError:
        return False


def routed_queues(celery_py: str) -> list[str]:
    """Return the queues that a project's ``celery.py`` routes tasks to.

    Reads the source: importing it would start Django. Alliance Auth 5 assigns
    ``app.conf.task_routes = {PATTERN: {"queue": NAME}}``.
    """
    try:
        source = privileges.read(celery_py)
        # In a child, because a source may be so deeply nested that Python's parser ends its process.
        return privileges.in_child(lambda: _queues_of(source))
    except (OSError, RuntimeError):
        return []


def _queues_of(source: str) -> list[str]:
    tree = ast.parse(source)
    queues = set()
    for statement in ast.walk(tree):
        if isinstance(statement, ast.Assign) and any(_is_task_routes(target) for target in statement.targets):
            for node in ast.walk(statement.value):
                if isinstance(node, ast.Dict):
                    queues.update(_queue_of(node))
    return sorted(queues)


def _is_task_routes(target: ast.expr) -> bool:
    return isinstance(target, ast.Attribute) and target.attr == "task_routes"


def _queue_of(route: ast.Dict) -> list[str]:
    return [
        value.value
        for key, value in zip(route.keys, route.values)
        if isinstance(key, ast.Constant) and key.value == "queue"
        if isinstance(value, ast.Constant) and isinstance(value.value, str)
    ]


def gunicorn_settings(path: str) -> dict[str, Any] | None:
    """Return what a gunicorn.conf.py assigns, by name: a number or text as it is, None where it is calculated.

    None if there is no such file. Reads the source: to run it would be to run what others can write. Names that are
    not assigned in it, because it imports them, are not found. One that cannot be read may give all that the role's
    variables give as well.
    """
    if not os.path.exists(path):
        return None
    try:
        source = privileges.read(path)
        # In a child, because a source may be so deeply nested that Python's parser ends its process.
        return privileges.in_child(lambda: _assigned(source))
    except (OSError, RuntimeError):
        return dict(_UNKNOWN)


def _assigned(source: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for statement in ast.walk(ast.parse(source)):
        # One that only names a type (``bind: str``) assigns nothing.
        if isinstance(statement, (ast.Assign, ast.AnnAssign)) and statement.value:
            value = statement.value.value if isinstance(statement.value, ast.Constant) else None
            for target in statement.targets if isinstance(statement, ast.Assign) else [statement.target]:
                if isinstance(target, ast.Name):
                    # One that is assigned twice may be either.
                    found[target.id] = value if target.id not in found and isinstance(value, (int, str)) else None
    return found


def named_gunicorn_conf(processes: Iterable[Mapping[str, Any]], roles_own: str) -> dict[str, Any] | None:
    """Return the configuration file that gunicorn's command names with ``-c``, and its settings; None without one.

    ``processes`` are supervisor's; ``roles_own`` is the file that the role gives gunicorn, which sets none of them.
    """
    for process in processes:
        named = argument_of("gunicorn", split_command(process["command"]), "-c")
        if process["name"] != "gunicorn" or named in (None, "", roles_own):
            continue
        return {"file": named, "settings": _settings_of(named, process["directory"] or "/")}
    return None


def given_by_gunicorns_file(gunicorn: Section) -> dict[str, Any]:
    """Return what the configuration file gives that a gunicorn reads: that of ``-c``, or the one in its folder."""
    folder = gunicorn.options.get("directory", "/")
    named = [one.value for one in gunicorn.arguments if one.name == "-c" and one.value]
    if named:
        return _settings_of(named[-1], folder)
    return gunicorn_settings(os.path.join(folder, "gunicorn.conf.py")) or {}


def _settings_of(named: str, folder: str) -> dict[str, Any]:
    """Return the settings of a file that ``-c`` names. Source: gunicorn/app/base.py (load_config_from_module_name…)."""
    if named.startswith("python:"):
        return dict(_UNKNOWN)
    read = gunicorn_settings(os.path.join(folder, named.removeprefix("file:")))
    return dict(_UNKNOWN) if read is None else read


def links(folder: str) -> dict[str, str] | None:
    """Return the links in a folder, by name, with where they lead; None if there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name: os.readlink(entry.path) for entry in entries if entry.is_symlink()}
    except OSError:
        return None


def file(path: str) -> dict[str, Any]:
    """Return what is at ``path``.

    ``kind`` is absent, file, link or other; ``target`` is a link's; ``checksum``
    (SHA-1), ``mode``, ``uid`` and ``gid`` are those of the file it leads to, null
    if there is none.
    """
    found: dict[str, Any] = {"kind": "absent", "target": None, "checksum": None, "mode": None, "uid": None, "gid": None}
    if os.path.islink(path):
        found.update(kind="link", target=os.readlink(path))
    elif os.path.lexists(path):
        found["kind"] = "file" if os.path.isfile(path) else "other"
    try:
        # For comparing only, and what Ansible's hash filter and stat module use.
        found["checksum"] = hashlib.sha1(privileges.read(path).encode(errors="surrogateescape")).hexdigest()
        status = os.stat(path)
    except OSError:
        return found
    return {**found, "mode": stat.S_IMODE(status.st_mode), "uid": status.st_uid, "gid": status.st_gid}
