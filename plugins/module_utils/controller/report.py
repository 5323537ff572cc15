# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ends a run: the sentences on what has changed, and a table of the programs."""

from __future__ import annotations

import os
from typing import Any, Mapping, Sequence

from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import consent, logs, memory, places
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.declared import Declared
from ansible_collections.allianceauth.tuning.plugins.module_utils.model import memmon
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.names import (
    is_orphan,
    pool_of,
    serving_units,
    short_name,
)
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.program import Program, Worker

_HEADINGS = ("program", "processes", "concurrency", "pool", "holds", "memory limit", "log")
_MEGABYTE = 1024**2


def table(declared: Declared, info: Mapping[str, Any]) -> list[str]:
    """Return a line for each program, one for each process where it has several, and the sums, below headings.

    ``info`` is `auth_info`'s result, which has what each process holds.
    """
    now = {process["name"]: process for process in info["daemon"]["processes"] if process["pid"]}
    limits = {listener.process: listener.size for listener in declared.listeners}
    rows = [_HEADINGS]
    for program in declared.programs:
        names = program.process_names
        own = [(_held(now.get(name), program), _limit(limits.get(name, 0), program)) for name in names]
        first = own[0] if len(own) == 1 else ("", "")
        row = (program.name, str(len(names)), *_work(program, declared), *first)
        rows.append((*row, logs.shown(declared, program)))
        if len(own) > 1:
            rows += [(f"  {name}", "", "", "", *cells, "") for name, cells in zip(names, own)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    tasks = sum(worker.numprocs * worker.concurrency for worker in declared.workers)
    return [
        *("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows),
        (
            f"numprocs * concurrency: {tasks} tasks at once; limits: {sum(limits.values()) // _MEGABYTE} MB in all; "
            f"logs: {declared.project_dir}/log"
        ),
    ]


def _held(process: Mapping[str, Any] | None, program: Program) -> str:
    if process is None:
        return "-"
    return f"{memory.weight(process, program.cumulative) // _MEGABYTE} MB"


def _limit(size: int, program: Program) -> str:
    return f"{memmon.size_text(size)}{' with its children' * program.cumulative}" if size else "none"


def _work(program: Program, declared: Declared) -> tuple[str, str]:
    if isinstance(program, Worker):
        return str(program.concurrency), program.pool
    return "-", f"{declared.gunicorn_options.workers} workers" if program is declared.gunicorn else "-"


def drained(host: str, drain: Mapping[str, Any], check_mode: bool) -> list[str]:
    """Return what a drain ends with: what is stopped, and how it is started; ``drain`` is the plan's."""
    names = [short_name(name) for stage in [*drain["stages"], drain["site"]] for name in stage]
    if not names:
        stopped = "nothing ran that had to be stopped."
    else:
        stopped = f"{'these would be' if check_mode else 'these are'} stopped: {', '.join(names)}."
    if drain["site"]:
        stopped += " The site would be down." if check_mode else " The site is down."
    again = "They start again with the playbook allianceauth.tuning.start, or when the server reboots."
    return [f"{host}: {stopped} {again}"]


def started(
    host: str, plan: Mapping[str, Any], results: Mapping[str, Mapping[str, Any]], check_mode: bool
) -> list[str]:
    """Return what a start ends with; ``plan`` is its plan, ``results`` has what `resumed` the programs."""
    if not results.get("resumed", {}).get("changed"):
        return [f"{host}: nothing had to be started."]
    names = [short_name(name) for name in plan["stopped"]]
    was = "would be" if check_mode else "was" if len(names) == 1 else "were"
    site = "" if check_mode or not plan["expected"]["site"] else " The site answers."
    return [f"{host}: {', '.join(names)} {was} started.{site}"]


def still_running(served: Mapping[str, Any]) -> str:
    """Return the sentence on tasks that workers which took some meanwhile have not finished, "" if there are none.

    ``served`` is `celery_standby`'s result, which has each task's ``age`` in seconds.
    """
    ages: dict[str, list[int]] = {}
    for tasks in served.get("running_tasks", {}).values():
        for task in tasks:
            ages.setdefault(task["name"], []).append(int(task["age"]))
    said = [
        f"{len(found)} of {name} (for up to {max(found)} s)" if len(found) > 1 else f"{name} (for {found[0]} s)"
        for name, found in sorted(ages.items(), key=lambda one: -max(one[1]))
    ]
    return f"Workers that took tasks meanwhile still run {', '.join(said)}, and end then." if said else ""


def _died(process: str) -> str:
    group, _colon, name = process.partition(":")
    return (
        f"the worker that was to take tasks beside {name} ended before the run did, so that from then on nobody took "
        f"tasks of {pool_of(name)} until its own workers ran again; what it ran then may be lost, and why it ended is "
        f"in the journal: sudo journalctl -u '{serving_units(group)}{name}-*'."
    )


class Report:
    """The sentences on one host.

    ``plan`` is the run's. ``results`` are the registered results of its steps by name: ``checked``, ``installed``,
    ``outside``, ``configured``, ``serving``, ``drained``, ``standby``, ``site_stopped``, ``supervisord``, ``started``,
    ``resumed``, ``left``, ``linked``, ``nodes``, ``verified``, ``served``; what was not run has none, or no
    ``changed``.
    """

    def __init__(
        self, host: str, plan: Mapping[str, Any], results: Mapping[str, Mapping[str, Any]], check_mode: bool
    ) -> None:
        self.host = host
        self.plan = plan
        self.check_mode = check_mode
        self._results = results
        self._was = "would be" if check_mode else "was"

    def lines(self) -> list[str]:
        """Return what changed, the values as they were and are, then the table."""
        left_out = ", ".join(self.plan["left_out"])
        nothing = (
            f"nothing was done: the tags of this run leave out what there is to do ({left_out})."
            if left_out
            else "nothing to do, all is as the variables say, and was verified."
            if "verify" in self.plan["actions"]
            else "nothing to do, all is as the variables say."
        )
        changes = " ".join(self.changes()) or nothing
        values = consent.summary(self._results.get("checked", {}).get("value_changes", []))
        shown = [*(f"  {line}" for line in values), ""] if values else []
        # A restart of all is told before it begins; one of some programs leaves the others as they are.
        if self.plan["outdated"] and (self.plan["job"] == "restart" or "restart" not in self.plan["actions"]):
            shown += [f"  {self.plan['outdated']}", ""]
        table = self._results.get("verified", {}).get("table") or self.plan["table"]
        table = [*table, *filter(None, [self._places()[0]])]
        return ["", f"{self.host}: {changes}", *shown, *(f"  {line}" for line in table)]

    def warnings(self) -> list[str]:
        """Return a sentence for what only the run has found out."""
        asked = self._results.get("checked", {}).get("waiting", {})
        found = [self._places()[1], *places.unrouted(asked, self.plan["pools"])]
        found += [self._discarded(), *map(_died, self._dead())]
        return [f"{self.host}: {said}" for said in found if said]

    def _dead(self) -> list[str]:
        """Return the processes whose tasks another worker was to take that had ended before the run told it to."""
        # It has none where nobody could look.
        found = self._results.get("served", {}).get("found")
        running = self._results.get("serving", {}).get("running", [])
        return [] if found is None else [name for name in running if name not in found]

    def _left(self) -> str:
        """Return whose tasks were taken by workers of a run before, which was cut off, until this one ended them."""
        names = sorted({pool_of(name) for name in self._results.get("left", {}).get("found", [])})
        said = f"Workers that a run before had left to take tasks of {' and '.join(names)} were told to finish."
        return said if names else ""

    def _discarded(self) -> str:
        """Return which tasks were lost because old code has queued them for workers with the new one."""
        found: Mapping[str, int] = self._results.get("nodes", {}).get("discarded", {})
        counted = ", ".join(f"{count} of {name}" for name, count in found.items())
        return (
            f"workers discarded tasks that their code does not have while the new code came into service: {counted}. "
            "Queue again what you miss, by what the new code has for it; the workers' logs have the arguments, and "
            "name those that may still come (unregistered task)."
            if counted
            else ""
        )

    def _places(self) -> tuple[str, str]:
        return places.lines(self._results.get("checked", {}).get("waiting", {}), self.plan["pools"])

    def changes(self) -> list[str]:
        """Return a sentence for each thing that was found or changed, in the order of the steps."""
        found = f"It was found that {'; '.join(self.plan['found'])}." if self.plan["found"] else ""
        sentences = [self.plan["guard_report"], found, self._superlance(), self._file(), self._restart()]
        sentences += [self._left(), still_running(self._results.get("served", {}))]
        sentences += [self._start(), self._logs(), self._outside()]
        return [sentence for sentence in sentences if sentence]

    def back(self) -> list[str]:
        """Return what a rollback ends with."""
        configured = self._results["configured"]
        state = "would be" if self.check_mode else "is"
        path = self.plan["files"]["path"]
        kept = f"{path} {state if self._changed('configured') else 'was already'} as it was kept in"
        sentences = [
            f"{kept} {configured['restored']}.",
            self._restart(),
            self._left(),
            still_running(self._results.get("served", {})),
        ]
        return [sentence for sentence in sentences if sentence]

    def _changed(self, step: str) -> bool:
        return bool(self._results.get(step, {}).get("changed"))

    def _superlance(self) -> str:
        # In check mode pip is not run.
        installs = "install" in self.plan["actions"] and (self.check_mode or self._changed("installed"))
        return f"superlance {self.plan['superlance']} {self._was} installed." if installs else ""

    def _outside(self) -> str:
        """Return what systemd and needrestart were told, and why."""
        if not self._changed("outside"):
            return ""
        paths = " and ".join(self.plan["outside"]["texts"])
        return f"{paths} {self._was} written: {'; '.join(self.plan['outside']['reasons'])}."

    def _file(self) -> str:
        if not self._changed("configured"):
            return ""
        kept: Sequence[str] = self._results["configured"].get("kept", [])
        before = f" What was there before is kept as {' and '.join(kept)}." if kept else ""
        return f"{self.plan['files']['path']} {self._was} replaced.{before}"

    def _restart(self) -> str:
        meanwhile = f"{self._absence()}{self._without_beat()}{self._served()}{self._waited()}"
        if self.plan["job"] == "restart":
            names = [name.rpartition(":")[2] for name in self.plan["expected"]["processes"]]
            was = self._was if self.check_mode or len(names) == 1 else "were"
            return f"{', '.join(names)} {was} restarted{meanwhile}; supervisord runs on."
        return f"supervisord {self._was} restarted{meanwhile}." if self._changed("supervisord") else ""

    def _without_beat(self) -> str:
        """Return how long nothing was queued regularly, by the server's clock."""
        asked: Mapping[str, Any] = self._results.get("drained", {}).get("stop_requests", {})
        starts: Mapping[str, float] = self._results.get("started", {}).get("starts", {})
        gaps = [starts[name] - asked[name]["at"] for name in starts if name in asked and name.endswith(":beat")]
        return f", beat was away for {gaps[0]:.0f} s" if gaps else ""

    def _served(self) -> str:
        """Return whose tasks other workers took meanwhile, or why nobody did."""
        serving = self._results.get("serving", {})
        dead = self._dead()
        names = " and ".join(pool_of(name) for name in serving.get("running", []) if name not in dead)
        drain = self._results.get("drained", {})
        left = [pool_of(name) for name in drain.get("waiting", {})]
        if left:
            return f", nobody took tasks of {' and '.join(left)} (the worker with the new code did not answer)"
        if names:
            return f", another worker took the tasks of {names}{self._handed_over(drain)}{self._replaced()}"
        return f", nobody took tasks ({serving['problem']})" if serving.get("problem") else ""

    def _waited(self) -> str:
        """Return for how long nobody took the tasks of each pool that had no other worker, by the server's clock."""
        asked: Mapping[str, Any] = self._results.get("drained", {}).get("stop_requests", {})
        starts: Mapping[str, float] = self._results.get("started", {}).get("starts", {})
        served = {pool_of(name) for name in self._results.get("serving", {}).get("running", [])}
        ends: dict[str, list[float]] = {}
        for name in self.plan["drain"]["workers"]:
            if name in asked and not is_orphan(name) and pool_of(name) not in served:
                ends.setdefault(pool_of(name), []).append(asked[name].get("paused") or asked[name]["at"])
        begins = {pool: [at for name, at in starts.items() if pool_of(name) == pool] for pool in ends}
        said = [f"{pool} for {min(begins[pool]) - max(ends[pool]):.0f} s" for pool in ends if begins[pool]]
        return f", nobody took tasks of {' and of '.join(said)}" if said else ""

    def _handed_over(self, drain: Mapping[str, Any]) -> str:
        """Return how long nobody took tasks, where old code and new code may not take them from one queue."""
        asked: Mapping[str, Any] = drain.get("stop_requests", {})
        begun = [
            asked[name].get("paused") or asked[name]["at"] for name in self.plan["drain"]["workers"] if name in asked
        ]
        if not drain.get("handed_over") or not begun:
            return ""
        gap = drain["handed_over"] - min(begun)
        return f" once the old ones took none any more, for which nobody took any for {gap:.1f} s"

    def _replaced(self) -> str:
        """Return which of them came to hold too much meanwhile."""
        found: Mapping[str, Any] = self._results.get("drained", {}).get("replaced", {})
        said = [
            f"the one of {pool_of(name)} came to hold {one['held'] // _MEGABYTE} MB, more "
            f"than its limit of {memmon.size_text(one['limit'])}, and finished once another one had answered"
            for name, one in found.items()
        ]
        return f" ({'; '.join(said)})" if said else ""

    def _absence(self) -> str:
        """Return how long the site was away, and why."""
        standby = self._results.get("standby", {})
        if standby.get("running"):
            return ", a second gunicorn answered for the site meanwhile"
        answered = self._results.get("started", {}).get("site")
        requests: Mapping[str, Any] = self._results.get("site_stopped", {}).get("stop_requests", {})
        asked = [requests[name]["at"] for name in self.plan["drain"]["site"] if name in requests]
        if not answered or not asked:
            return ""
        alone = f" (without a second gunicorn: {standby['problem']})" if standby.get("problem") else ""
        return f", the site was away for {answered['at'] - min(asked):.1f} s{alone}"

    def _start(self) -> str:
        names = self.plan["stopped"]
        return f"{', '.join(names)} {self._was} started." if self._changed("resumed") and names else ""

    def _logs(self) -> str:
        if not self._changed("linked"):
            return ""
        files, kept = self.plan["files"], self._results["linked"].get("kept", [])
        ending = os.path.splitext(kept[0])[1] if kept else ""
        before = f" What was there before is kept beside them, with {ending} at the end of its name." if ending else ""
        return (
            f"The logs {'would be' if self.check_mode else 'are'} in {files['log_dir']} from now on, with links to "
            f"them in {files['project_logs']}.{'' if self.check_mode else before}"
        )
