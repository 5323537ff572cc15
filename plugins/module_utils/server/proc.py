# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel and systemd say of processes and memory: the only readers of /proc."""

from __future__ import annotations

import os
from typing import Any, Iterable, Sequence

_LISTENERS = {"crashmail", "crashmailbatch", "crashsms", "fatalmailbatch", "httpok", "memmon", "oomparachute"}


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
