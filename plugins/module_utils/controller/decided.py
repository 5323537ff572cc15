# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked for, and what a run does to a server: the values that the functions of `plan` take and return."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping, Sequence

from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import outside, restarting, stages


@dataclass(frozen=True)
class Wanted:
    """What the role would put on the server, beside the variables.

    ``content`` are the sections of the auth programs' file, ``checksum`` is the SHA-1 of that file once it is complete.
    ``gunicorn_conf_checksum`` is that of the role's configuration file of gunicorn, ``superlance`` the version.
    ``discard`` are the names of what may go of a file that was changed by hand, ``limits_set`` says whether somebody
    has set a memory limit: it is not the defaults alone that are asked for.
    """

    content: str
    checksum: str
    gunicorn_conf_checksum: str
    superlance: str
    discard: tuple[str, ...]
    limits_set: bool = False


@dataclass(frozen=True)
class Files:
    """The files that a run may change.

    ``path`` is the auth programs' file, ``link`` leads to it, ``group`` may read it. ``project_logs`` is the folder in
    which the guide has people look for logs, ``log_dir`` the one in which they lie, empty if that is the same.
    ``new_log_dir`` is ``log_dir`` if it is yet to be made, ``log_links`` are the logs to which ``project_logs`` has no
    link yet, or for the job remove those to which it has one. ``gunicorn_conf`` says whether gunicorn's configuration
    file has to be written.
    """

    path: str
    content: str
    discard: tuple[str, ...]
    link: str
    group: str
    project_logs: str
    log_dir: str
    new_log_dir: str
    log_links: tuple[str, ...]
    gunicorn_conf: bool


@dataclass(frozen=True)
class Expected:
    """What has to run at the end.

    ``processes`` are namespecs, ``listeners`` those of them that are listeners. ``site`` is the address that has to
    answer, empty for none. ``nodes`` has what Celery must say of each worker's pool, ``limits`` what memmon watches.
    """

    processes: tuple[str, ...]
    listeners: tuple[str, ...] = ()
    site: str = ""
    nodes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Serving:
    """A worker that takes a pool's tasks during a restart: its ``memory_limit`` (bytes, 0 for none) and how many tasks.

    Its ``concurrency`` is also how many connections to the database it takes at most.
    """

    memory_limit: int
    concurrency: int


@dataclass(frozen=True)
class Plan:
    """What a run does to a server.

    ``job`` is the kind of run. ``actions`` has the reasons for each step, in the order of the steps; with none there is
    nothing to do.
    ``refused`` says why it must not be done, empty if it may.
    ``outside`` are the files for whoever restarts supervisord besides us.
    ``daemon_problem`` says why supervisord does not answer, if it does not.
    ``found`` says what was not as it had to be before the run. ``unread`` are our groups that differ from the disk,
    ``handover`` has the processes, one of each pool, beside which another worker may take tasks during a restart.
    ``stopped`` the processes that shall run and do not, ``tolerated`` those that did not work before, so that it is no
    failure if they do not at the end. ``new_page`` is what httpok would ask for and never did.
    ``outdated`` is the sentence on programs that run older code than what is installed, ``code`` what has to be asked
    of that before they are restarted. ``left_out`` are steps that there would be, but for the tags of the run.
    ``own_groups`` are the supervisor groups that are none of others'. ``guard_report`` is what the guard of a run
    before has done, ``superlance`` the version that is asked for, ``table`` what the report ends with, ``pools`` what
    `places.pools` returns, ``warnings`` are for the admin to read at once.
    """

    job: str
    drain: stages.Drain
    expected: Expected
    files: Files
    outside: outside.Outside
    refused: str = ""
    daemon_problem: str = ""
    actions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    found: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()
    tolerated: tuple[str, ...] = ()
    handover: Mapping[str, Serving] = field(default_factory=dict)
    new_page: str = ""
    outdated: str = ""
    code: restarting.Code = field(default_factory=restarting.Code)
    left_out: tuple[str, ...] = ()
    own_groups: tuple[str, ...] = ()
    guard_report: str = ""
    superlance: str = ""
    table: tuple[str, ...] = ()
    pools: tuple[Mapping[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def connections(self) -> int:
        """How many connections to the database the workers of ``handover`` and a second gunicorn take at most."""
        site = self.drain.site_connections if self.drain.site else 0
        return sum(worker.concurrency for worker in self.handover.values()) + site
