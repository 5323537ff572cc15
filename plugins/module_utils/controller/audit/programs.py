# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs: what failed, how they stop, where they log, and options that do not do what they say."""

from __future__ import annotations

from typing import Any, Iterator, Mapping

from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.audit.finding import Finding, listed
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.audit.worker import (
    Worker,
    program,
    variable,
    workers,
)

# Deaths in a day that nobody should wonder about: a server that was rebooted, a hand that ended a process.
FEW_DEATHS = 2

_FAILED = ("FATAL", "BACKOFF")

# What each of these options needs to have any effect: Celery's docs on its pools.
_NEEDS: Mapping[str, tuple[str, ...]] = {
    "--max-tasks-per-child": ("prefork",),
    "--max-memory-per-child": ("prefork",),
    "-O": ("prefork",),
    "--concurrency": ("prefork", "threads", "gevent", "eventlet"),
}

_GROWING = ("prefork",)

# A process whose Python is busy that much of the time has no more to give: its threads share one core.
_WHOLE_CORE = 0.9


def findings(look: Mapping[str, Any]) -> list[Finding]:
    """Return what is wrong with the programs of a host."""
    return [
        *_failed(look),
        *_deaths(look),
        *_signals(look),
        *_shared_logs(look),
        *_wrapped(look),
        *(found for worker in workers(look) for found in _worker(worker)),
    ]


def _project(look: Mapping[str, Any], namespec: str) -> str:
    return next((str(one["name"]) for one in look["projects"] if namespec in one["processes"]), "")


def _last_words(process: Mapping[str, Any]) -> str:
    """Return the command that shows the end of the log to which a program writes its errors."""
    namespec = process["namespec"]
    if not process["errors_in"]:
        return f"give {namespec} a log of its errors (redirect_stderr = true and a stdout_logfile)"
    return f"supervisorctl tail {namespec}" + (" stderr" if process["errors_in"] == "stderr" else "")


def _failed(look: Mapping[str, Any]) -> Iterator[Finding]:
    memmons = {limit["listener"] for limit in look["limits"]}
    for process in look["processes"]:
        if process["state"] in _FAILED and process["namespec"] not in memmons:
            # supervisord counts one in BACKOFF as started, and would not start it.
            again = "restart" if process["state"] == "BACKOFF" else "start"
            yield Finding(
                "high",
                "program-failed",
                process["namespec"],
                f"supervisord says {process['state']}{': ' if process['spawnerr'] else ''}{process['spawnerr']}",
                "It does not run, or ends again as soon as it has started.",
                f"{_last_words(process)}; then supervisorctl {again} {process['namespec']}",
                _project(look, process["namespec"]),
            )


def _deaths(look: Mapping[str, Any]) -> Iterator[Finding]:
    memmons = {limit["listener"] for limit in look["limits"]}
    for process in look["processes"]:
        times = look["log"]["deaths"].get(process["name"], 0)
        if times > FEW_DEATHS and process["namespec"] not in memmons and process["state"] not in _FAILED:
            yield Finding(
                "medium",
                "program-dies",
                process["namespec"],
                f"it has died {times} times in the last day without being asked to",
                "Whatever it was doing then was lost.",
                _last_words(process),
                _project(look, process["namespec"]),
            )


def _signals(look: Mapping[str, Any]) -> Iterator[Finding]:
    for process in look["processes"]:
        if process["kind"] == "gunicorn" and process["stopsignal"] in ("INT", "QUIT"):
            yield Finding(
                "medium",
                "gunicorn-aborts-requests",
                process["namespec"],
                f"stopsignal is {process['stopsignal']}",
                "On that signal gunicorn ends at once: at each restart, requests that are being answered fail. On "
                "TERM it finishes them.",
                f"{variable('gunicorn', 'stopsignal', program(process))}: TERM (the default)",
                _project(look, process["namespec"]),
            )


def _shared_logs(look: Mapping[str, Any]) -> Iterator[Finding]:
    writers: dict[str, list[str]] = {}
    for process in look["processes"]:
        if not process["rotates"]:
            continue
        if process["stdout_logfile"]:
            writers.setdefault(process["stdout_logfile"], []).append(f"{process['name']}'s stdout")
        if process["stderr_logfile"] and not process["redirect_stderr"]:
            writers.setdefault(process["stderr_logfile"], []).append(f"{process['name']}'s stderr")
    shared = {path: names for path, names in writers.items() if len(names) > 1}
    if shared:
        path, names = max(shared.items(), key=lambda item: len(item[1]))
        yield Finding(
            "low",
            "shared-log",
            listed([path.rpartition("/")[2] for path in sorted(shared)]),
            f"{len(shared)} logs have several writers, such as {path} ({listed(names)})",
            "Each writer rotates the file by itself, so that at each rotation a part of what was logged is lost.",
            "ansible-playbook -i my-servers allianceauth.tuning.apply gives each process a log; by hand: "
            "redirect_stderr = true for each program, %(program_name)s_%(process_num)02d.log, and stdout_logfile = "
            "NONE for each listener",
        )


def _wrapped(look: Mapping[str, Any]) -> Iterator[Finding]:
    for process in look["processes"]:
        if process["wrapped"]:
            yield Finding(
                "low",
                "wrapped-command",
                process["namespec"],
                f"its command is a script, which runs a {process['kind']}",
                "What a script runs can change without anybody seeing it here: queues, concurrency and limits are "
                "told as they are now.",
                "auth_workers, if the arguments can stand there",
                _project(look, process["namespec"]),
            )


def _worker(worker: Worker) -> Iterator[Finding]:
    if "--autoscale" in worker.options and worker.pool not in _GROWING:
        yield Finding(
            "high",
            "autoscale-kills",
            worker.namespec,
            f"--autoscale={worker.options['--autoscale']} with --pool={worker.pool}",
            "This pool cannot grow: at the first attempt the node dies, and its queue is consumed no more.",
            f"{variable('worker', '--concurrency', program(worker.process))} in place of --autoscale",
            worker.project,
        )
    lost = [
        option
        for option, pools in _NEEDS.items()
        if option in worker.options and worker.pool not in pools and not _harmless(worker, option)
    ]
    if lost:
        yield Finding(
            "low",
            "option-without-effect",
            worker.namespec,
            f"{listed(lost)} with --pool={worker.pool}",
            "With this pool that does nothing.",
            "leave it out of auth_worker_options; auth_worker_memory_limit is for every pool",
            worker.project,
        )
    longest, wait = worker.process["longest_task"], worker.process["stopwaitsecs"]
    if longest and longest["seconds"] > wait:
        yield Finding(
            "medium",
            "stopwaitsecs-too-short",
            worker.namespec,
            f"stopwaitsecs is {wait}, and {longest['name']} took {longest['seconds']:.0f} s",
            "A worker that has not finished by then is killed at a restart, and its tasks are lost.",
            f"{variable('worker', 'stopwaitsecs', program(worker.process))}: {int(longest['seconds'] * 1.5)}",
            worker.project,
        )
    if not worker.forks and worker.process["busy"] >= _WHOLE_CORE:
        yield Finding(
            "medium",
            "worker-uses-a-core",
            worker.namespec,
            f"it used {worker.process['busy'] * 100:.0f} % of a core while it was looked at",
            "Threads of one process share one core: more of them do not make it faster.",
            f"{variable('worker', 'numprocs', program(worker.process))}: one more",
            worker.project,
        )


def _harmless(worker: Worker, option: str) -> bool:
    # One task at a time is what solo does.
    return option == "--concurrency" and worker.concurrency == 1


def waits(look: Mapping[str, Any]) -> dict[str, int]:
    """Return the longest stopwaitsecs of each program that has a worker."""
    found: dict[str, int] = {}
    for worker in workers(look):
        name = program(worker.process)
        found[name] = max(found.get(name, 0), worker.process["stopwaitsecs"])
    return found
