# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say what has to stop, in which order, and how long each process may take for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Callable, Mapping

from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import memory
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.declared import Declared
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.names import (
    is_orphan,
    make_namespec,
    orphan_name,
)
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.program import DEFAULT_STOPWAITSECS

# Listeners go before the workers that memmon would start again in mid-drain; whoever
# answers the site's visitors goes last, in a stage of its own.
_STAGES = (("beat", "listener"), ("worker",), ("other",))
_SITE = ("gunicorn",)


@dataclass(frozen=True)
class Drain:
    """What runs and has to stop, each process by its namespec, an orphan as ``pid:PID@START``.

    ``stages`` are stopped one after the other, ``site`` after them. ``workers`` are those of them that run tasks,
    ``beat`` those that queue tasks, which may go last while others take these.
    ``stopwaitsecs`` has the seconds of each process, ``longest`` is the highest of them. ``other_memory`` is what
    all but the site hold, in bytes, and ``site_memory`` what the site holds. ``site_connections`` are those to the
    database that another one of the site may take.
    """

    stages: tuple[tuple[str, ...], ...]
    site: tuple[str, ...]
    workers: tuple[str, ...]
    stopwaitsecs: Mapping[str, int]
    longest: int
    other_memory: int
    site_memory: int
    site_connections: int = 0
    beat: tuple[str, ...] = ()

    def only(self, names: set[str]) -> Drain:
        """Return it without the supervised programs that are not among ``names``."""
        return self._filtered(lambda name: name in names or is_orphan(name))

    def without_orphan_workers(self) -> Drain:
        """Return it without the workers that no supervisord looks after."""
        return self._filtered(lambda name: not (is_orphan(name) and name in self.workers))

    def _filtered(self, keeps: Callable[[str], bool]) -> Drain:
        stages = [tuple(name for name in names if keeps(name)) for names in self.stages]
        return replace(
            self,
            stages=tuple(names for names in stages if names),
            site=tuple(name for name in self.site if keeps(name)),
            workers=tuple(name for name in self.workers if keeps(name)),
        )


def drain(declared: Declared, info: Mapping[str, Any]) -> Drain:
    """Return how all that runs is stopped, programs of others included; ``info`` is `auth_info`'s result."""
    stages = [_running(info, kinds) for kinds in _STAGES]
    seconds = _stopwaitsecs(declared, info)
    return Drain(
        stages=tuple(names for names in stages if names),
        site=_running(info, _SITE),
        workers=_running(info, ("worker",)),
        stopwaitsecs=seconds,
        longest=max(seconds.values(), default=0),
        other_memory=memory.held(info, lambda kind: kind != "gunicorn"),
        site_memory=memory.held(info, lambda kind: kind == "gunicorn"),
        site_connections=_site_connections(declared),
        beat=_running(info, ("beat",)),
    )


def _site_connections(declared: Declared) -> int:
    """Return how many connections to the database a gunicorn takes at most: one for each thread of each worker."""
    words = [part for word in (declared.gunicorn.options if declared.gunicorn else ()) for part in word.split("=", 1)]
    threads = dict(zip(words, words[1:])).get("--threads", "")
    return declared.gunicorn_options.workers * (int(threads) if threads.isdigit() else 1)


def _running(info: Mapping[str, Any], kinds: tuple[str, ...]) -> tuple[str, ...]:
    supervised = [process["namespec"] for process in info["daemon"]["processes"] if process["kind"] in kinds]
    return (*supervised, *(orphan_name(orphan) for orphan in info["orphans"] if orphan["kind"] in kinds))


def _stopwaitsecs(declared: Declared, info: Mapping[str, Any]) -> dict[str, int]:
    """Return each process's seconds: as declared, else as the configuration on disk says, for orphans the workers'."""
    found = {
        make_namespec(group["name"], process["name"]): int(process["stopwaitsecs"])
        for group in info.get("effective", {}).get("groups", [])
        for process in group["processes"]
    }
    found.update(
        (make_namespec(declared.project, name), program.stopwaitsecs)
        for program in declared.programs
        for name in program.process_names
    )
    longest = max([DEFAULT_STOPWAITSECS, *(worker.stopwaitsecs for worker in declared.workers)])
    found.update((orphan_name(orphan), longest) for orphan in info["orphans"])
    return found
