# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose what the playbook restart restarts, and say what comes into service with a restart.

In all functions ``info`` is `auth_info`'s result, and ``only`` the value of ``auth_restart_only``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Collection, Iterable, Mapping

from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import memory, outdated
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.declared import Declared
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.stages import Drain
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.names import make_namespec, orphan_name

# Kinds that auth_restart_only names.
_KINDS = ("worker", "beat", "gunicorn")


@dataclass(frozen=True)
class Code:
    """What is asked of the installed code before programs are restarted with it.

    ``asked`` says whether anything is. ``nodes`` are the Celery nodes of the workers that stop, ``gunicorn`` is the
    process (GROUP:PROCESS) whose configuration has to load, "" for none. ``noted`` says whether the packages are noted
    as in service once the programs run: not if one ran on, of which nobody knows what code it has.
    ``staying`` are the nodes of workers that run on, and ``queueing`` the processes that run on and queue tasks.
    """

    asked: bool = False
    nodes: tuple[str, ...] = ()
    gunicorn: str = ""
    noted: bool = False
    staying: tuple[str, ...] = ()
    queueing: tuple[str, ...] = ()


def refusals(declared: Declared, info: Mapping[str, Any], only: str, host: str) -> list[str]:
    """Return a sentence for each reason why nothing can be restarted."""
    if not info["tuned"]:
        sentence = (
            f"{host}: {declared.supervisor_conf} was not written by this collection, so that programs cannot be "
            "restarted without anybody noticing; run the playbook apply first."
        )
        return [sentence]
    if info["guard"]["pending"]:
        # What a run that was cut off has stopped would pass for what somebody has stopped on purpose.
        sentence = (
            f"{host}: a run before was cut off, and its guard has not acted yet: run the playbook apply, which goes on "
            "from there, or wait some two minutes until the guard has brought the server back."
        )
        return [sentence]
    if "problem" in info["daemon"]:
        return [f"{host}: {info['daemon']['problem']}. Run the playbook apply, which brings supervisord back."]
    names = [*_KINDS, *(program.name for program in declared.extra)]
    if only and only not in names:
        return [f"{host}: auth_restart_only is {only!r}: it has to be one of {', '.join(names)}, or empty for all."]
    if not chosen(declared, info, only):
        return [
            f"{host}: nothing of that runs, so nothing can be restarted; the playbook start starts what is stopped."
        ]
    return []


def chosen(declared: Declared, info: Mapping[str, Any], only: str) -> tuple[str, ...]:
    """Return the processes (GROUP:PROCESS) to restart: what somebody has stopped stays so.

    A listener goes with what it watches: memmon would start again what has just been stopped.
    """
    processes = info["daemon"]["processes"]
    ours = [process for process in processes if process["group"] == declared.project and _shall_run(process, info)]
    if only:
        ours = [process for process in ours if only in (process["kind"], process["name"])]
    names = {process["name"] for process in ours}
    kinds = {process["kind"] for process in ours}
    groups = declared.own_groups(info)
    listeners = [
        process
        for process in processes
        if process["kind"] == "listener" and process["group"] in groups and process["group"] != declared.project
        if process["pid"] and (not only or set(process["limits"]) & names or _asks_site(process, kinds))
    ]
    return tuple(process["namespec"] for process in (*ours, *listeners))


def _asks_site(process: Mapping[str, Any], kinds: set[str]) -> bool:
    return process["group"] == "httpok" and "gunicorn" in kinds


def _shall_run(process: Mapping[str, Any], info: Mapping[str, Any]) -> bool:
    """Whether a process runs, or would if its code did not keep it from that."""
    return bool(process["pid"]) or (process["state"] != "STOPPED" and process["namespec"] in info.get("expected", []))


def drain(whole: Drain, info: Mapping[str, Any], names: Iterable[str]) -> Drain:
    """Return the drain of those processes, and of orphans of the same kinds, which run old code as well."""
    names = set(names)
    kinds = {process["kind"] for process in info["daemon"]["processes"] if process["namespec"] in names}
    others = {orphan_name(orphan) for orphan in info["orphans"] if orphan["kind"] not in kinds}

    def kept(found: Iterable[str]) -> tuple[str, ...]:
        return tuple(name for name in found if name not in others)

    part = whole.only(names)
    stages = tuple(filter(None, map(kept, part.stages)))
    # What is not restarted keeps its memory and needs none again.
    processes = [process for process in info["daemon"]["processes"] if process["namespec"] in names]
    ours = {**info, "daemon": {**info["daemon"], "processes": processes}}
    return replace(
        part,
        stages=stages,
        site=kept(part.site),
        workers=kept(part.workers),
        other_memory=memory.held(ours, lambda kind: kind != "gunicorn"),
        site_memory=memory.held(ours, lambda kind: kind == "gunicorn"),
    )


def serves(declared: Declared, names: Iterable[str]) -> bool:
    """Whether the site's gunicorn is among the processes."""
    return bool(declared.gunicorn) and make_namespec(declared.project, "gunicorn") in set(names)


def beside(
    code: Code, declared: Declared, info: Mapping[str, Any], names: Collection[str], nodes: Mapping[str, str]
) -> Code:
    """Return it with what runs on with the code of before, if not all programs are restarted.

    ``nodes`` has the Celery node of each worker (GROUP:PROCESS) that the file names one for; the others are looked for
    by the name that the role gives them. What has no code of the venv queues no tasks.
    """
    if not any(process["namespec"] in names and process["kind"] != "listener" for process in ours(declared, info)):
        return code
    on = [
        process
        for process in info["daemon"]["processes"]
        if process["group"] == declared.project and process["pid"] and process["namespec"] not in names
    ]
    workers = [process for process in on if process["kind"] == "worker"]
    return replace(
        code,
        staying=tuple(nodes.get(one["namespec"], f"{one['name']}@{info['hostname']}") for one in workers),
        queueing=tuple(process["namespec"] for process in on if process["kind"] in ("beat", "gunicorn")),
    )


def differs(unread: Mapping[str, Iterable[str]]) -> list[str]:
    """Return a sentence for each group that is not on disk as supervisord has it loaded, which stays as it is."""
    return [
        f"{name} is {how} on disk since supervisord read its configuration: the programs run on as they were loaded; "
        "the playbook apply brings the difference into service."
        for how, names in unread.items()
        for name in names
    ]


def comes_into_service(info: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """Return a sentence on what was installed since the processes began that are about to be restarted."""
    names = set(names)
    processes = [process for process in info["daemon"]["processes"] if process["namespec"] in names]
    programs, changed = outdated.summary(processes, info["code"], info["now"])
    if not programs:
        return []
    site = any(process["kind"] == "gunicorn" for process in processes)
    return [f"with this restart comes into service what is newer than {programs}: {changed}.{_static_files(site)}"]


def comes_into_service_with_a_start(changed: str, site: bool) -> str:
    """Return the sentence on what was installed since all programs were restarted last; ``site``: gunicorn starts."""
    return (
        f"with this start comes into service what has changed since the last restart: {changed}.{_static_files(site)}"
    )


def _static_files(site: bool) -> str:
    return " The site's static files are your own step (manage.py collectstatic)." if site else ""


def others_stop(declared: Declared, info: Mapping[str, Any]) -> str:
    """Return the sentence on the sites and workers of others that a restart of supervisord stops as well."""
    ours = declared.own_groups(info)
    running = [one for one in info["daemon"]["processes"] if one["pid"] and one["group"] not in ours]
    found = [
        f"the {what} of {group}"
        for group in dict.fromkeys(process["group"] for process in running)
        for kind, what in (("gunicorn", "site"), ("worker", "workers"))
        if any(process["kind"] == kind and process["group"] == group for process in running)
    ]
    sentence = (
        f"this run restarts supervisord, with which stop and start as well {' and '.join(found)}, and no others serve "
        "for them meanwhile: have the run at a time at which they may be away."
    )
    return sentence if found else ""


def stay_ended(info: Mapping[str, Any], workers: Iterable[str]) -> str:
    """Return the sentence on those of the ``workers`` that supervisord does not start again once they have finished."""
    ends = {
        make_namespec(group["name"], process["name"])
        for group in info.get("effective", {}).get("groups", [])
        for process in group["processes"]
        if not process["restarts"]
    }
    names = " ".join(name for name in workers if name in ends)
    sentence = (
        f"supervisord does not start again what ends well, because autorestart is not true there: {names}. If this run "
        "is called off or interrupted while they finish their tasks, they stay stopped then, until somebody starts "
        f"them: sudo supervisorctl start {names}"
    )
    return sentence if names else ""


def leaves_stopped(info: Mapping[str, Any], actions: Mapping[str, Any]) -> str:
    """Return why a run must not begin whose tags leave stopped what a run before has stopped, "" if it may.

    The guard of that run would start it, but ends with the lock of this one.
    """
    if not info["guard"]["pending"] or not actions or {"restart", "start"}.intersection(actions):
        return ""
    return (
        "a run before was cut off, its guard has not acted yet, and the tags of this run leave out what goes on from "
        "there: run apply without tags, or wait some two minutes until the guard has brought the server back."
    )


def left_serving(info: Mapping[str, Any], actions: Mapping[str, Any]) -> str:
    """Return the sentence on workers that an earlier run has left to take tasks, and that this one does not end."""
    if not info["serving"] or "restart" in actions or (info["guard"]["pending"] and "start" in actions):
        return ""
    units = " ".join(info["serving"])
    return (
        f"a worker that an earlier run left to take tasks is still there ({units}); it ends by itself, with the next "
        f"run that restarts, or now: sudo systemctl stop {units}"
    )


def ours(declared: Declared, info: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the processes of our own groups whose code is that of the venv: programs of other languages are not."""
    groups = declared.own_groups(info)
    foreign = {
        make_namespec(declared.project, program.name)
        for program in declared.extra
        if not any(word.startswith((f"{declared.venv}/", f"{declared.project_dir}/")) for word in program.command)
    }
    return [
        process
        for process in info["daemon"]["processes"]
        if process["group"] in groups and process["namespec"] not in foreign
    ]
