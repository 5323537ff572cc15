# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role's variables ask for, as typed values; `variables.declare` makes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping

from ansible_collections.allianceauth.tuning.plugins.module_utils.model import memmon
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.program import (
    FORKING_POOLS,
    ExtraProgram,
    Program,
    Worker,
)

# Arguments of celery worker that end processes of a pool.
_FOR_PROCESSES = ("--max-memory-per-child", "--max-tasks-per-child")


@dataclass(frozen=True)
class Gunicorn:
    """gunicorn's arguments; ``timeout`` is in seconds.

    ``left_to_file`` are those that gunicorn's own configuration file gives, which its command would override. ``bind``
    is then the file's, empty if it cannot be read from it.
    """

    workers: int
    timeout: int
    bind: str
    stopsignal: str
    standby: bool
    left_to_file: tuple[str, ...] = ()


@dataclass(frozen=True)
class Declared:
    """What the variables ask for: programs in the order of their sections."""

    project: str
    user: str
    project_dir: str
    venv: str
    supervisor_conf: str
    log_dir: str
    drop_in: bool
    needrestart: bool
    log_maxbytes: str
    log_backups: int
    beat: Program | None
    workers: tuple[Worker, ...]
    gunicorn: Program | None
    gunicorn_options: Gunicorn
    extra: tuple[ExtraProgram, ...]
    watches: bool
    memmon_event: str
    memmon_user: str
    mail: memmon.Mail
    crashmail: str
    httpok: str
    memory_overcommit: bool

    @property
    def programs(self) -> list[Program]:
        """Every program of the group."""
        fixed = [self.beat, *self.workers, self.gunicorn, *self.extra]
        return [program for program in fixed if program is not None]

    @property
    def listeners(self) -> list[memmon.Listener]:
        """The memmons, none if memmon is switched off."""
        return memmon.listeners(self.programs) if self.watches else []

    @property
    def listener_names(self) -> list[str]:
        """The names of all listeners, each of which is a group with one process of that name."""
        others = {"crashmail": self.crashmail, "httpok": self.httpok and self.gunicorn}
        return [*(listener.name for listener in self.listeners), *(name for name, wanted in others.items() if wanted)]

    def own_groups(self, info: Mapping[str, Any]) -> set[str]:
        """Return the supervisor groups that are declared or in our file; ``info`` is `auth_info`'s result."""
        return {self.project, *self.listener_names, *info.get("own_groups", [])}

    @property
    def needs_socket(self) -> bool:
        """Whether a user besides root has to reach the daemon."""
        return bool(self.listener_names) and self.memmon_user != "root"


def ineffective(declared: Declared) -> list[str]:
    """Return a sentence for each argument that does nothing in the pool that it is given to."""
    return [
        f"{worker.name} has the argument {option.partition('=')[0]}, which has no effect with the pool {worker.pool}: "
        "only prefork has processes that it could end."
        for worker in declared.workers
        if worker.pool not in FORKING_POOLS
        for option in worker.options
        if option.partition("=")[0] in _FOR_PROCESSES
    ]
