# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stop processes in stages so that no running task is lost, in steps that can be resumed."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass, field
from typing import Any, Callable, Iterable, Mapping, Sequence

from ansible_collections.allianceauth.tuning.plugins.module_utils.model.names import is_orphan, orphan_pid, orphan_start
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import proc
from ansible_collections.allianceauth.tuning.plugins.module_utils.server.supervisord import Daemon, Process

# Often enough that a stage's end costs nobody time, seldom enough to cost the daemon none.
POLL_SECONDS = 0.2

# The last stage is the site's: while it stops, nobody is answered, and a pause between two
# steps would only make that longer.
_LAST_STAGE_SECONDS = 4

# supervisord looks after its children once a second; who is EXITED for longer stays so.
_RESPAWN_SECONDS = 3

# A worker loads Django for longer, and takes no task before.
_WITHOUT_TASK_SECONDS = 2


def ordered(stages: Sequence[Sequence[str]], last: Sequence[str]) -> list[list[str]]:
    """Return stages in which those of ``last`` that are in one come after all others."""
    found = [[name for name in names if name not in last] for names in stages]
    return [names for names in [*found, [name for names in stages for name in names if name in last]] if names]


@dataclass
class Drain:
    """A drain under way.

    ``warm_shutdowns`` names processes that get TERM and are not marked as stopping until they
    have ended: supervisord, which would kill them after ``stopwaitsecs``, leaves
    them alone, so that the drain can be called off; and if nobody goes on with it,
    supervisord starts them again once they have finished. ``stop_requests`` has, for each
    process that was told to stop, its ``pid``, when that was (``at``, seconds since
    1970) and when it had ``ended``. One that has only been told to take no more tasks has ``waits``, the ids of those
    that it has still to finish, gets its TERM afterwards, and is ``paused`` since a time.
    ``before`` is called once before the first of a stage's processes is told, and returns ``waits`` of those
    that take no more tasks by then. ``unfinished`` returns which of them have not finished these.
    ``each_round`` is called after each look at the processes, ``telling`` with the name and pid of each supervised one
    before it is told to stop.
    """

    daemon: Daemon
    stages: Sequence[Sequence[str]]
    warm_shutdowns: frozenset[str]
    stop_requests: dict[str, dict[str, Any]]
    before: Callable[[Sequence[str]], Mapping[str, Sequence[str]]]
    unfinished: Callable[[Mapping[str, Sequence[str]]], set[str]] = set
    each_round: Callable[[], None] = lambda: None
    telling: Callable[[str, int], None] = lambda name, pid: None
    changed: bool = False
    _exited: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Orphans are drained whether a supervisord answers or not.
        self._supervised = any(not is_orphan(name) for names in self.stages for name in names)
        self._daemon_pid = self.daemon.pid() if self._supervised else 0

    def run(self, until: float) -> list[tuple[str, str]]:
        """Drain until the time ``until`` (`time.monotonic`); return the name and state of each process still there."""
        in_last_stage = False
        while True:
            pending = self._first_unfinished_stage()
            self.each_round()
            if pending and not in_last_stage and {name for name, _state in pending} <= set(self.stages[-1]):
                in_last_stage, until = True, max(until, time.monotonic() + _LAST_STAGE_SECONDS)
            if not pending or time.monotonic() >= until:
                return pending
            time.sleep(POLL_SECONDS)

    def may_take_tasks(self, names: Iterable[str]) -> set[str]:
        """Return those of ``names`` that have neither ended nor said, having been told so, that they take no tasks."""
        known = {process.namespec: process for process in self.daemon.processes()} if self._supervised else {}
        return {
            name
            for name in names
            if self._state(name, known.get(name)) and not self.stop_requests.get(name, {}).get("paused")
        }

    def _first_unfinished_stage(self) -> list[tuple[str, str]]:
        """Tell whoever has not been told; return the name and state of each process that is still there."""
        for names in self.stages:
            known = {process.namespec: process for process in self.daemon.processes()} if self._supervised else {}
            pending = [(name, state) for name in names for state in [self._state(name, known.get(name))] if state]
            self._note_ended(set(names) - {name for name, _state in pending})
            if pending:
                unasked = [name for name, _state in pending if name not in self.stop_requests]
                if unasked:
                    asked_at = time.time()
                    for name, waits in self.before(unasked).items():
                        self._note(name, known[name].pid, waits=list(waits), paused=asked_at)
                unfinished = self.unfinished(self._paused(known))
                for name, state in pending:
                    if name not in unfinished:
                        self._tell(name, state, known.get(name))
                return pending
        return []

    def _paused(self, known: Mapping[str, Process]) -> dict[str, Sequence[str]]:
        """Return what those have still to finish that have only been told to take no more tasks."""
        return {
            name: request["waits"]
            for name, request in self.stop_requests.items()
            if request.get("waits") is not None and name in known and known[name].pid == request["pid"]
        }

    def _told(self, name: str) -> bool:
        """Whether a process has got its TERM."""
        return name in self.stop_requests and self.stop_requests[name].get("waits") is None

    def _state(self, name: str, process: Process | None) -> str:
        """Return the state of a process that has to be waited for, "" for one that has stopped."""
        if is_orphan(name):
            return "ORPHAN" if _orphan_lives(name) else ""
        if process is None or process.stopped:
            gone_since = self._exited.setdefault(name, time.monotonic())
            respawns = (
                process is not None
                and process.state == "EXITED"
                and name in self.warm_shutdowns
                and name in self.stop_requests
            )
            return "EXITED" if respawns and time.monotonic() - gone_since < _RESPAWN_SECONDS else ""
        self._exited.pop(name, None)
        return process.state

    def _tell(self, name: str, state: str, process: Process | None) -> None:
        if state in ("STOPPING", "EXITED"):
            return
        if process is None:
            self._tell_orphan(name)
        elif not self._has_begun(process):
            return
        elif name in self.warm_shutdowns and process.pid:
            # Also one that is STARTING: it may have tasks long before supervisord counts it as running.
            self._tell_warmly(name, process)
        else:
            if not self._told(name):
                self.telling(name, process.pid)
                self._note(name, process.pid)
            self.daemon.stop(name)

    def _tell_warmly(self, name: str, process: Process) -> None:
        if not self._told(name):
            self.telling(name, process.pid)
            # Its time begins anew: what it has begun since it took no more tasks has as long as any other.
            self._note(name, process.pid)
            self.daemon.terminate(name)
        elif self.stop_requests[name]["pid"] != process.pid:
            # It has finished, and supervisord has started it again.
            if time.time() - process.start < _WITHOUT_TASK_SECONDS:
                self.daemon.stop(name)
            else:
                # Nobody has looked for so long that it may have tasks by now.
                self.stop_requests[name]["pid"] = process.pid
                self.daemon.terminate(name)

    def _has_begun(self, process: Process) -> bool:
        """Whether a process runs its own program yet.

        Between fork and exec it still has supervisord's handlers, which swallow a
        TERM; supervisord would then wait for a process that knows of nothing, and
        kill it with all its tasks after ``stopwaitsecs``.
        """
        return not process.pid or proc.command_line(process.pid) != proc.command_line(self._daemon_pid)

    def _tell_orphan(self, name: str) -> None:
        if name not in self.stop_requests and _signal_orphan(name, signal.SIGTERM):
            self._note(name, orphan_pid(name))

    def _note_ended(self, names: set[str]) -> None:
        for name in names & set(self.stop_requests):
            self.stop_requests[name].setdefault("ended", time.time())

    def _note(self, name: str, pid: int, **more: Any) -> None:
        self.changed = True
        earlier = self.stop_requests.get(name, {})
        if earlier.get("paused") and earlier["pid"] == pid:
            more["paused"] = earlier["paused"]
        self.stop_requests[name] = {"pid": pid, "at": time.time(), **more}


def kill(daemon: Daemon, name: str) -> None:
    """End a process, with its children, that was given its time: supervisord may know of a longer one."""
    if is_orphan(name):
        _signal_orphan(name, signal.SIGKILL)
        return
    daemon.stop(name)
    for process in daemon.processes():
        if process.namespec == name and process.pid:
            # Every process of supervisord's has a group of its own (its process.py, setpgrp), as killasgroup wants it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _signal_orphan(name: str, number: int) -> bool:
    """Send a signal to an orphan, which may have ended since it was looked at; return whether it was still there."""
    # Celery was asked in between, for seconds: its number may be another process's by now.
    if not _orphan_lives(name):
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(orphan_pid(name), number)
        return True
    return False


def _orphan_lives(name: str) -> bool:
    return str(proc.start_ticks(orphan_pid(name))) == orphan_start(name)
