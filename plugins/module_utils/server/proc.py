# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel and systemd say of processes and memory: the only readers of /proc."""

from __future__ import annotations

import os
import re
import subprocess
import time
from typing import Any, Iterable, Sequence

_LISTENERS = {"crashmail", "crashmailbatch", "crashsms", "fatalmailbatch", "httpok", "memmon", "oomparachute"}

# With setproctitle in the venv. Source: celery/platforms.py (set_process_title), apps/worker.py, apps/beat.py.
_TITLES = {"[celeryd: ": "worker", "[celery beat]": "beat"}

# The unit of Debian's and Ubuntu's package.
_SUPERVISOR_UNIT = "supervisor.service"

_SYSTEMD_SECONDS = 30


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
    for title, titled in _TITLES.items():
        if arguments and arguments[0].startswith(title):
            return titled
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
        pid = int(entry)
        arguments = command_line(pid)
        if _is_auth_program(pid, arguments, venv_path) and not _is_of_another_unit(pid, venv_path):
            started = start_ticks(pid)
            if started is not None:
                found.append({"pid": pid, "kind": kind(arguments), "start": started, "command": " ".join(arguments)})
    return found


def _is_auth_program(pid: int, arguments: Sequence[str], venv_path: str) -> bool:
    """Whether a process is a worker, beat, gunicorn or listener out of this venv."""
    if kind(arguments) == "other":
        return False
    if any(word.startswith(venv_path + "/bin/") for word in arguments[:2]):
        return True
    # Its title has taken the command's place, and the module that has set that is the venv's.
    return not os.path.isabs(arguments[0]) and _has_loaded_from(pid, venv_path)


def _has_loaded_from(pid: int, folder: str) -> bool:
    """Whether a process has a library out of a folder. Source: proc(5), maps."""
    try:
        with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as maps:
            return any(f" {folder}/" in line for line in maps)
    except OSError:
        return False


def _is_of_another_unit(pid: int, venv_path: str) -> bool:
    """Whether systemd looks after a process, in a unit besides supervisor's: its parent is PID 1 as well.

    Who was left behind by a supervisord that somebody had started in a session is in the
    unit of sshd or cron, whose main process is something else.
    """
    unit = service_of(_cgroup(pid))
    if unit in ("", _SUPERVISOR_UNIT):
        return False
    try:
        shown = subprocess.run(
            ["systemctl", "show", "--property=LoadState,MainPID", unit],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_SYSTEMD_SECONDS,
            check=False,
            text=True,
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return False
    found = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    main = int(found.get("MainPID", 0))
    # Celery's own "multi" starts several workers in one unit, which has one main process or none.
    return found.get("LoadState") == "loaded" and (
        main in (0, pid) or _is_auth_program(main, command_line(main), venv_path)
    )


def in_unit(pid: int, unit: str) -> bool:
    """Whether a process is in a unit of systemd's."""
    return any(unit in line.split("/") for line in _cgroup(pid).splitlines())


def service_of(cgroup: str) -> str:
    """Return the service that is named in ``/proc/PID/cgroup``, "" for none: the innermost one.

    Source: cgroups(7); systemd has a hierarchy of that name, or the only one.
    """
    for line in cgroup.splitlines():
        _number, controllers, path = line.split(":", 2)
        if controllers in ("", "name=systemd"):
            services = re.findall(r"[^/]+\.service(?=/|\Z)", path)
            if services:
                return str(services[-1])
    return ""


def _cgroup(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="replace") as cgroup:
            return cgroup.read()
    except OSError:
        return ""


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


def began(pid: int) -> float | None:
    """Return when a process began, in seconds since 1970, None if it is gone.

    By its age, which no change of the clock has touched: what supervisord has noted is the clock of that moment.
    """
    ticks = start_ticks(pid)
    if ticks is None:
        return None
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str]:
    """Return the fields of ``/proc/PID/stat`` from the third (state) on: the second may hold spaces."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat_file:
            return stat_file.read().rpartition(")")[2].split()
    except OSError:
        return []


def supervised_by_systemd(pid: int) -> bool:
    """Whether the daemon is the one that systemd's unit ``supervisor`` started."""
    return service_of(_cgroup(pid)) == _SUPERVISOR_UNIT


def unit_exists() -> bool:
    """Whether systemd runs this host and has a unit ``supervisor``."""
    folders = ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
    return os.path.isdir("/run/systemd/system") and any(
        os.path.exists(os.path.join(folder, _SUPERVISOR_UNIT)) for folder in folders
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


def trees_rss(pids: Iterable[int]) -> dict[int, int]:
    """Return the resident memory of each of ``pids`` with all processes below it, in bytes, as memmon's ``-c`` does."""
    return {pid: sum(map(rss, [pid, *below])) for pid, below in children(pids).items()}


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process with its threads has used, 0 if it is gone. Source: proc(5), stat."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if fields else 0.0


def owner(pid: int) -> int | None:
    """Return the number of the user that a process runs as, None if it is gone."""
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return None
