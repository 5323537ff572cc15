# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs on an auth server: programs, their processes and their memory limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Mapping

# supervisor's own (its docs, stopwaitsecs), in seconds.
DEFAULT_STOPWAITSECS = 10

# What a run takes beside its waits, at most: packages are installed, programs start, all is verified.
RUN_SECONDS = 3600

# How often the slowest worker may have its `stopwaitsecs` in one run: until it has finished what it ran when it stopped
# taking tasks, and anew once it was told to stop; and both again where the run goes back.
_WAITS = 4

# Alliance Auth's pool for the queue `services`.
SERVICES = "worker_services"

# Celery's own, unless the application says otherwise.
DEFAULT_QUEUE = "celery"

# Pools whose tasks run in child processes; all others run them in the worker itself.
FORKING_POOLS = frozenset({"prefork"})

# Source: supervisor/datatypes.py (FALSY_STRINGS)
_NO = frozenset({"false", "no", "off", "n", "0"})

# What `celery inspect stats` says of each pool (`pool.implementation`, celery 5.7).
IMPLEMENTATIONS: Mapping[str, str] = {
    "eventlet": "celery.concurrency.eventlet:TaskPool",
    "gevent": "celery.concurrency.gevent:TaskPool",
    "prefork": "celery.concurrency.prefork:TaskPool",
    "solo": "celery.concurrency.solo:TaskPool",
    "threads": "celery.concurrency.thread:TaskPool",
}


@dataclass(frozen=True)
class Program:
    """One ``[program:x]`` section that the role writes.

    ``memory_limit`` is in bytes, 0 for none.
    ``cumulative`` (memmon's word) says that the limit is for the process with its children.
    ``stopwaitsecs`` is in seconds. ``options`` are further arguments of its command,
    ``settings`` further options of its section, ``environment`` the names of its
    variables: their values may be secrets, and go another way.
    """

    name: str
    numprocs: int = 1
    numbered: bool = False
    memory_limit: int = 0
    cumulative: bool = False
    stopwaitsecs: int = DEFAULT_STOPWAITSECS
    options: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    environment: tuple[str, ...] = ()

    @property
    def process_names(self) -> list[str]:
        """The processes' names, as supervisor and memmon know them."""
        return process_names(self.name, self.numprocs, self.numbered)

    @property
    def always_runs(self) -> bool:
        """Whether supervisord starts it by itself, and again when it ends: else nobody can be waited for."""
        return not any(self.settings.get(option, "").lower() in _NO for option in ("autostart", "autorestart"))


@dataclass(frozen=True)
class Worker(Program):
    """A pool of Celery workers: ``numprocs`` processes of ``concurrency`` tasks each.

    ``handover`` says that another worker may take its tasks while it restarts. ``of_its_own`` are the keys that its
    entry in auth_workers has, which the variables for all pools do not change.
    """

    concurrency: int = 10
    pool: str = "threads"
    loglevel: str = ""
    queues: tuple[str, ...] = ()
    handover: bool = True
    of_its_own: tuple[str, ...] = ()

    @property
    def can_hand_over(self) -> bool:
        """Whether a worker more is right beside it: not where one task at a time is all that there may be.

        Alliance Auth routes to ``worker_services`` what must not run twice at once. With the pool solo, one that works
        cannot be told from one that does not: it answers only between two tasks.
        """
        single = self.name == SERVICES or self.pool == "solo" or self.numprocs * self.concurrency == 1
        return self.handover and self.always_runs and not single


@dataclass(frozen=True)
class ExtraProgram(Program):
    """A program of a community app."""

    command: tuple[str, ...] = ()


def most_seconds(longest: int) -> int:
    """Return after how many seconds a run is over, whatever happens; ``longest`` is the highest ``stopwaitsecs``."""
    return _WAITS * longest + RUN_SECONDS


def process_names(program: str, numprocs: int, numbered: bool) -> list[str]:
    """Return the names of a program's processes.

    ``numbered`` programs have ``process_name=%(program_name)s_%(process_num)02d``:
    theirs are ``worker_00`` and so on even if there is only one; others' are the
    program's own name.
    """
    if not numbered:
        return [program]
    return [f"{program}_{number:02d}" for number in range(numprocs)]
