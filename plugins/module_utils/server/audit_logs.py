# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the logs: what died, what memmon restarted, how long tasks took, which ones workers discarded."""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from typing import Any, Iterable, Mapping

from ansible_collections.allianceauth.tuning.plugins.module_utils.server import privileges

# The end of a log that is read: some days of supervisord's, an hour of a busy worker's.
_MOST_BYTES = 4 * 1024**2

_LINE = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),\d+ \w+ (.*)")
_DIED = re.compile(r"exited: (\S+) \(.*; not expected\)")
_WAITING = re.compile(r"waiting for (\S+) to stop")
_SPAWNED = re.compile(r"spawned: '([^']+)' with pid")
# Source: superlance/memmon.py (restart)
_RESTARTED = re.compile(r"^Restarting (?:[^\s:]+:)?(\S+)$", re.MULTILINE)
# Celery's own line, in the words of Alliance Auth's celery.py or its own.
_SUCCEEDED = re.compile(r"Task (\S+)\[[0-9a-f-]+\] succeeded in ([0-9.]+)s")

# Source: celery/worker/consumer/consumer.py (UNKNOWN_TASK_ERROR)
_UNREGISTERED = re.compile(r"Received unregistered task of type '([^'\n]+)'\.$", re.MULTILINE)

# supervisord starts what memmon restarts as soon as it has stopped.
_AT_ONCE = 3


def end_of(path: str, most_bytes: int = _MOST_BYTES, start: int = 0) -> str:
    """Return the end of a log, read with the rights of whoever owns the way to it; "" if it cannot be read.

    What stands before the byte ``start`` is left out, unless the log has been rotated since it was that long.
    """

    def text() -> str:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.EINVAL, "Not a regular file", path)
            file.seek(max(start if start <= status.st_size else 0, status.st_size - most_bytes))
            return file.read(most_bytes).decode(errors="replace")

    try:
        return privileges.as_untrusted_owner(path, text)
    except (OSError, RuntimeError):
        return ""


def events(text: str) -> list[tuple[float, str]]:
    """Return the lines of supervisord's log with their time in seconds since 1970."""
    found = []
    for line in text.splitlines():
        match = _LINE.match(line)
        if match:
            # In local time, as the daemon writes it.
            found.append((time.mktime(time.strptime(match.group(1), "%Y-%m-%d %H:%M:%S")), match.group(2)))
    return found


def since_started(log: list[tuple[float, str]]) -> list[tuple[float, str]]:
    """Return what the present supervisord has said, all that there is if its start is no longer in the log."""
    starts = [place for place, (_when, said) in enumerate(log) if said.startswith("supervisord started with pid")]
    return log[starts[-1] :] if starts else log


def deaths(log: Iterable[tuple[float, str]], since: float) -> dict[str, int]:
    """Return how many times each process has died unexpectedly since then."""
    found: dict[str, int] = {}
    for when, said in log:
        match = _DIED.match(said)
        if match and when >= since:
            found[match.group(1)] = found.get(match.group(1), 0) + 1
    return found


def restarts(log: list[tuple[float, str]], memmons: str) -> dict[str, list[float]]:
    """Return when memmon has restarted each process.

    memmon's own log has no times. A restart of its is a stop in supervisord's log after which the process
    is started again at once; of those the last ones count, as many as memmon says. One by hand looks the
    same: so the number is right, and the times are the latest that they can be.
    """
    counts: dict[str, int] = {}
    for name in _RESTARTED.findall(memmons):
        counts[name] = counts.get(name, 0) + 1
    stops: dict[str, list[float]] = {}
    waiting: dict[str, float] = {}
    stopped: dict[str, float] = {}
    for when, said in log:
        asked, spawned = _WAITING.match(said), _SPAWNED.match(said)
        if asked:
            waiting[asked.group(1)] = when
        elif said.startswith("stopped: "):
            stopped[said.split()[1]] = when
        elif spawned:
            name = spawned.group(1)
            if name in waiting and when - stopped.get(name, 0) <= _AT_ONCE:
                stops.setdefault(name, []).append(when)
            waiting.pop(name, None)
    return {name: stops.get(name, [])[-count:] for name, count in counts.items()}


def memmon_restarts(daemon_log: str, memmon_logs: Iterable[str]) -> dict[str, Any]:
    """Return when memmon has restarted each process (``restarts``), and ``since`` when supervisord's log tells of it.

    That log is long, and read only if a memmon says that it has restarted something.
    """
    said = "".join(end_of(path) for path in sorted(set(memmon_logs)))
    log = since_started(events(end_of(daemon_log))) if _RESTARTED.search(said) else []
    return {"since": log[0][0] if log else None, "restarts": restarts(log, said)}


def size_of(path: str) -> int:
    """Return how long a log is now, 0 if nobody can tell."""
    try:
        return privileges.as_untrusted_owner(path, lambda: os.stat(path).st_size)
    except (OSError, RuntimeError):
        return 0


def discarded(logs: Iterable[str], sizes: Mapping[str, int], more: str = "") -> dict[str, int]:
    """Return how many tasks workers have discarded by name, as their code lacks them, since the logs had ``sizes``.

    In a log that has none, nobody knows what is new. ``more`` is what workers without a log have said since.
    """
    known = [path for path in logs if path in sizes]
    said = [*(end_of(path, start=sizes[path]) for path in known), more]
    names = [name for text in said for name in _UNREGISTERED.findall(text)]
    return {name: names.count(name) for name in sorted(set(names))}


def longest_task(text: str) -> dict[str, Any] | None:
    """Return the ``name`` and ``seconds`` of the longest task in a worker's log, None if it names none."""
    found = [(float(seconds), name) for name, seconds in _SUCCEEDED.findall(text)]
    return {"name": max(found)[1], "seconds": max(found)[0]} if found else None
