# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at an auth server's files: packages of the venv, the project, memory."""

from __future__ import annotations

import ast
import glob
import grp
import hashlib
import os
import pwd
import re
import stat
from typing import Any, Iterable, Sequence

from ansible_collections.allianceauth.tuning.plugins.module_utils import rights

# Those whose version decides something or is worth telling.
_PACKAGES = ("allianceauth", "celery", "eventlet", "gevent", "gunicorn", "superlance")

_LISTENERS = {"crashmail", "crashmailbatch", "crashsms", "fatalmailbatch", "httpok", "memmon", "oomparachute"}


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
        "gunicorn_control_socket": _mentions(os.path.join(packages, "gunicorn", "config.py"), b"--no-control-socket"),
        # From 4.13 on, its template declares these for all programs.
        "template_environment": _mentions(
            os.path.join(packages, "allianceauth", "project_template", "supervisor.conf"), b"AA_PROJECT_NAME"
        ),
    }


def _versions(packages: str) -> dict[str, str]:
    # A wheel's folder is NAME-VERSION.dist-info (PEP 427).
    pattern = re.compile(r"(" + "|".join(_PACKAGES) + r")-(.+)\.dist-info\Z", re.IGNORECASE)
    found = (pattern.match(name) for name in (os.listdir(packages) if packages else []))
    return {match.group(1).lower(): match.group(2) for match in found if match}


def _mentions(path: str, text: bytes) -> bool:
    try:
        with open(path, "rb") as file:
            return text in file.read()
    except OSError:
        return False


def routed_queues(celery_py: str) -> list[str]:
    """Return the queues that a project's ``celery.py`` routes tasks to.

    Reads the source: importing it would start Django. Alliance Auth 5 assigns
    ``app.conf.task_routes = {PATTERN: {"queue": NAME}}``.
    """
    try:
        with open(celery_py, "rb") as file:
            tree = ast.parse(file.read())
    except (OSError, SyntaxError, ValueError):
        return []
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
        found["checksum"] = hashlib.sha1(rights.read(path).encode(errors="surrogateescape")).hexdigest()
        status = os.stat(path)
    except OSError:
        return found
    return {**found, "mode": stat.S_IMODE(status.st_mode), "uid": status.st_uid, "gid": status.st_gid}


def memory_total() -> int:
    """Return the host's physical memory in bytes. Source: proc(5), MemTotal in KiB."""
    with open("/proc/meminfo", encoding="ascii") as meminfo:
        return int(meminfo.readline().split()[1]) * 1024


def memory_available() -> int:
    """Return the bytes that a new program could have without swapping. Source: proc(5), MemAvailable in KiB."""
    with open("/proc/meminfo", encoding="ascii") as meminfo:
        return next(int(line.split()[1]) * 1024 for line in meminfo if line.startswith("MemAvailable:"))


def rss(pid: int) -> int:
    """Return the resident memory of a process in bytes, 0 if it is gone. Source: proc(5), statm in pages."""
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def command_line(pid: int) -> list[str]:
    """Return the arguments of a process, none if it is gone. Source: proc(5)."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as cmdline:
            return cmdline.read().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []


def kind(arguments: Sequence[str]) -> str:
    """Return what a process is by its command line: beat, worker, gunicorn, listener or other.

    What runs may have been started from a configuration that is no longer on disk,
    so the process itself is asked.
    """
    # The interpreter comes first, then the script. A gunicorn that knows setproctitle
    # calls itself "gunicorn: master [myauth.wsgi]".
    names = [os.path.basename(word) for word in arguments[:2]]
    if "celery" in names:
        return next((word for word in arguments if word in ("beat", "worker")), "other")
    if any(name.startswith("gunicorn") for name in names):
        return "gunicorn"
    return "listener" if _LISTENERS & set(names) else "other"


def orphans(venv_path: str) -> list[dict[str, Any]]:
    """Return the auth programs that no supervisord looks after any more.

    Debian's unit has ``KillMode=process``: a restart of supervisord that does not
    wait for a busy worker leaves it behind as a child of PID 1, beside its
    successor. Each has its ``pid``, ``kind``, ``start`` (clock ticks since boot, to
    tell a process from a later one of the same number) and ``command``.
    """
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or parent(int(entry)) != 1:
            continue
        arguments = command_line(int(entry))
        if any(word.startswith(venv_path + "/bin/") for word in arguments[:2]):
            started = start_ticks(int(entry))
            if kind(arguments) != "other" and started is not None:
                found.append(
                    {"pid": int(entry), "kind": kind(arguments), "start": started, "command": " ".join(arguments)}
                )
    return found


def parent(pid: int) -> int | None:
    """Return the parent's number, None if the process is gone. Source: proc(5), stat."""
    fields = _stat(pid)
    return int(fields[1]) if fields else None


def has_children(pid: int) -> bool:
    """Whether a process has started another one that is still there."""
    return any(parent(int(entry)) == pid for entry in os.listdir("/proc") if entry.isdigit())


def start_ticks(pid: int) -> int | None:
    """Return when a process began, in clock ticks since boot, None if it is gone or a zombie."""
    fields = _stat(pid)
    return int(fields[19]) if fields and fields[0] != "Z" else None


def _stat(pid: int) -> list[str]:
    """Return the fields of ``/proc/PID/stat`` from the third (state) on: the second may hold spaces."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat_file:
            return stat_file.read().rpartition(")")[2].split()
    except OSError:
        return []


def supervised_by_systemd(pid: int) -> bool:
    """Whether the daemon is the one that systemd's unit ``supervisor`` started."""
    try:
        with open(f"/proc/{pid}/cgroup", encoding="ascii") as cgroup:
            return "/supervisor.service" in cgroup.read()
    except OSError:
        return False


def unit_exists() -> bool:
    """Whether systemd runs this host and has a unit ``supervisor``."""
    folders = ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
    return os.path.isdir("/run/systemd/system") and any(
        os.path.exists(os.path.join(folder, "supervisor.service")) for folder in folders
    )


def children(pids: Iterable[int]) -> dict[int, list[int]]:
    """Return the processes below each of ``pids``, at any depth: what memmon's ``-c`` adds up."""
    parents = {int(entry): parent(int(entry)) for entry in os.listdir("/proc") if entry.isdigit()}
    found: dict[int, list[int]] = {pid: [] for pid in pids}
    for pid, above in parents.items():
        while above:
            if above in found:
                found[above].append(pid)
            above = parents.get(above)
    return found
