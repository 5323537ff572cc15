# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide what to do to a server from what is asked for and what is there."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Mapping

from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.command import split_command
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import differences, memory
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.variables import Declared
from ansible_collections.allianceauth.tuning.plugins.module_utils.model import memmon
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.names import (
    is_orphan,
    make_namespec,
    orphan_name,
)
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.program import (
    DEFAULT_STOPWAITSECS,
    IMPLEMENTATIONS,
    Worker,
)

# Listeners go before the workers that memmon would start again in mid-drain; whoever
# answers the site's visitors goes last.
_STAGES = (("beat", "listener"), ("worker",), ("other",), ("gunicorn",))

# httpok's own 10 s are less than Django takes to start on a busy host: it would restart a
# gunicorn that is still starting, again and again.
_HTTPOK_SECONDS = 45


def plan(declared: Declared, info: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the role's tasks and template need; ``info`` is `auth_info`'s result.

    ``processes``: every process that shall run, ``GROUP:PROCESS``; ``stopped``: those
    of them that do not; ``starting``: those that supervisord has started and does not
    count as running yet. ``stages``: the processes that run now, in the order in which
    they are to be stopped, each with ``stopwaitsecs``; ``running_workers``: the
    workers among them; ``own_stages``: without the programs of others;
    ``site_stage``: the site's alone. ``own_log_dir``: where the logs lie, "" if that is the project's
    folder; ``new_log_dir``: the same if it is yet to be made; ``new_log_links``: logs to which the
    project's folder has no link yet. ``nodes``: what
    Celery has to say of each worker. ``limits``: memmon's, by process. ``drift``:
    sentences on how what runs differs from what is on disk; ``unread``: our groups that do.
    ``on_disk``: every process of the configuration on disk; ``in_file``: what the auth programs'
    own file there has, whatever the variables say. ``ambiguous``, ``warnings``:
    sentences.
    """
    listeners = declared.listeners
    names = declared.listener_names
    expected = [
        *(
            make_namespec(declared.project, name)
            for program in declared.programs
            if program.always_runs
            for name in program.process_names
        ),
        *(make_namespec(name, name) for name in names),
    ]
    return {
        "programs": [{**asdict(program), "process_names": program.process_names} for program in declared.programs],
        "beat": asdict(declared.beat) if declared.beat else None,
        "workers": [{**asdict(worker), "process_names": worker.process_names} for worker in declared.workers],
        "gunicorn": _gunicorn(declared, info),
        "extra_programs": [asdict(program) for program in declared.extra],
        "memmons": [
            {"name": listener.name, "arguments": listener.arguments(declared.mail), "tree": listener.cumulative}
            for listener in listeners
        ],
        "listeners": names,
        "crashmail": _crashmail(declared),
        "httpok": _httpok(declared),
        "log_dir": declared.log_dir,
        "own_log_dir": _own_log_dir(declared),
        "new_log_dir": "" if info["log_dir_exists"] else _own_log_dir(declared),
        "new_log_links": _new_log_links(declared, info),
        "new_page": _new_page(declared, info),
        "other_weight": memory.memory_of_others(info),
        "processes": expected,
        "stopped": differences.stopped(expected, info["daemon"]["processes"]),
        "starting": differences.starting(expected, info["daemon"]["processes"]),
        "stages": _stages(info),
        "own_stages": _own_stages(declared, info),
        "site_stage": _running(info, ("gunicorn",)),
        "running_workers": _running(info, ("worker",)),
        "stopwaitsecs": _stopwaitsecs(declared, info),
        "nodes": {
            f"{name}@{info['hostname']}": _pool_figures(worker)
            for worker in declared.workers
            if worker.always_runs
            for name in worker.process_names
        },
        "limits": {listener.process: listener.size for listener in listeners},
        "site": declared.gunicorn_options.bind if declared.gunicorn and declared.gunicorn.always_runs else "",
        "in_file": _in_file(declared, info),
        "on_disk": [
            make_namespec(group["name"], process["name"])
            for group in info.get("effective", {}).get("groups", [])
            for process in group["processes"]
        ],
        "unread": [name for names in differences.unread(declared, info).values() for name in names],
        "socket_group": info["user"]["group"] if declared.needs_socket else "",
        "ambiguous": memmon.ambiguous(
            info.get("effective", {}).get("groups", []), [listener.process for listener in listeners]
        ),
        "drift": differences.sentences(declared, info),
        "warnings": memory.warnings(declared) + _exposed(declared, info) + _guard_reports(info),
    }


def refusals(declared: Declared, info: Mapping[str, Any], host: str) -> list[str]:
    """Return a sentence for each thing that the server lacks and the role does not bring."""
    found = []
    if not info["unit"]:
        found.append(
            f"{host}: systemd has no unit supervisor here; install the package supervisor, "
            "as Alliance Auth's installation guide says."
        )
    elif not info["daemon"].get("of_systemd", True):
        found.append(
            f"{host}: supervisord (process {info['daemon']['pid']}) was not started by systemd; stop it "
            "(supervisorctl shutdown) and start it with systemctl start supervisor."
        )
    if info["user"] is None:
        found.append(f"{host}: there is no user {declared.user}; set auth_user to the one that runs Alliance Auth.")
    if not info["project_exists"]:
        found.append(
            f"{host}: {declared.project_dir} has no manage.py; set auth_project_dir to the project's folder, "
            f"or auth_project and auth_user, from which it is made."
        )
    if not info["venv"]["exists"]:
        found.append(f"{host}: {declared.venv} is no virtual environment; set auth_venv to the one of Alliance Auth.")
        return found
    needed = {"celery": bool(declared.workers or declared.beat), "gunicorn": bool(declared.gunicorn), "python": True}
    for program, need in needed.items():
        if need and program not in info["venv"]["programs"]:
            found.append(
                f"{host}: {declared.venv}/bin/{program} is missing or cannot be executed; install it there first."
            )
    for pool in {worker.pool for worker in declared.workers} & {"gevent", "eventlet"}:
        if pool not in info["venv"]["versions"]:
            found.append(
                f"{host}: the pool {pool} needs the package {pool} in {declared.venv}; install it there first."
            )
    found += memory.limits_below_rest(declared, info, host)
    return found if declared.memory_overcommit else found + memory.excess(declared, info, host)


def _pool_figures(worker: Worker) -> dict[str, Any]:
    """Return what Celery has to say of a worker's pool."""
    figures: dict[str, Any] = {"implementation": IMPLEMENTATIONS[worker.pool]}
    # Then it is what Celery makes of the load.
    if not any(option.startswith("--autoscale") for option in worker.options):
        figures["max-concurrency"] = worker.concurrency
    return figures


def _stages(info: Mapping[str, Any]) -> list[list[str]]:
    stages = [_running(info, kinds) for kinds in _STAGES]
    return [names for names in stages if names]


def _own_stages(declared: Declared, info: Mapping[str, Any]) -> list[list[str]]:
    """Return the stages without the programs of others that the same daemon runs."""
    ours = {
        *info.get("expected", []),
        *(make_namespec(declared.project, p["name"]) for p in info["daemon"]["processes"]),
    }
    stages = [[name for name in names if name in ours or is_orphan(name)] for names in _stages(info)]
    return [names for names in stages if names]


def _running(info: Mapping[str, Any], kinds: tuple[str, ...]) -> list[str]:
    supervised = [process["namespec"] for process in info["daemon"]["processes"] if process["kind"] in kinds]
    return supervised + [orphan_name(orphan) for orphan in info["orphans"] if orphan["kind"] in kinds]


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


def _exposed(declared: Declared, info: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each thing that root loads or writes and somebody else can change."""
    return [
        f"supervisord, which is root, loads or writes {path}, which {user} can change: so {user} can have root do "
        "anything. Give it, and the folders on the way to it, to root."
        for path, user in info.get("exposed", {}).items()
        # The guide's layout, which is asked for.
        if path != f"{declared.project_dir}/log"
    ]


def _guard_reports(info: Mapping[str, Any]) -> list[str]:
    """Return what the guard of an earlier run has done, which the admin is to read first of all."""
    return [said for said in [info.get("guard", {}).get("said", "")] if said]


def _gunicorn(declared: Declared, info: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return gunicorn's part; ``shares``: whether its address is shared, for a second gunicorn during a restart."""
    if declared.gunicorn is None:
        return None
    program, options = declared.gunicorn, declared.gunicorn_options
    # The role's configuration file would hide the admin's.
    configured = (
        info["own_gunicorn_conf"]
        or "GUNICORN_CMD_ARGS" in program.environment
        or any(option.startswith(("-c", "--config", "--reuse-port")) for option in program.options)
    )
    shares = options.standby and not options.bind.startswith("unix:") and not configured
    return {**asdict(program), **asdict(options), "shares": shares}


def _crashmail(declared: Declared) -> list[str]:
    if not declared.crashmail:
        return []
    # Its -p has no effect (superlance 2.0.0, crashmail.py: runforever never looks at it).
    return ["-m", declared.crashmail, *(["-s", declared.mail.sendmail] if declared.mail.sendmail else [])]


def _httpok(declared: Declared) -> list[str]:
    if not declared.httpok or declared.gunicorn is None:
        return []
    return ["-t", str(_HTTPOK_SECONDS), "-p", make_namespec(declared.project, "gunicorn"), declared.httpok]


def _own_log_dir(declared: Declared) -> str:
    return "" if declared.log_dir == f"{declared.project_dir}/log" else declared.log_dir


def _new_log_links(declared: Declared, info: Mapping[str, Any]) -> list[str]:
    folder, links = _own_log_dir(declared), info["log_links"]
    if not folder or links is None:
        return []
    elsewhere = {"stdout_logfile", "stderr_logfile"}
    names = [program.name for program in declared.programs if not elsewhere <= set(program.settings)]
    # All memmons have one log.
    names += dict.fromkeys("memmon" if name.startswith("memmon") else name for name in declared.listener_names)
    logs = {f"{name}.log": f"{folder}/{name}.log" for name in names}
    return [log for name, log in logs.items() if links.get(name) != log]


def _new_page(declared: Declared, info: Mapping[str, Any]) -> str:
    """Return the page that httpok shall ask for if it can be asked for before, "" if not.

    A site that hangs is no reason to refuse what may repair it, so a page that httpok
    asks for already counts as right; and a site that moves does not answer yet.
    """
    commands = [split_command(process["command"]) for process in _on_disk("httpok", info)]
    known = any(declared.httpok in command[1:] for command in commands if command[0].endswith("/httpok"))
    moves = _in_file(declared, info)["site"] not in ("", declared.gunicorn_options.bind)
    return declared.httpok if _httpok(declared) and _running(info, ("gunicorn",)) and not known and not moves else ""


def _in_file(declared: Declared, info: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the programs of the file on disk are to show, whatever the variables say: ``nodes`` and ``site``."""
    nodes: dict[str, dict[str, Any]] = {}
    site = ""
    for process in _on_disk(declared.project, info):
        command = split_command(process["command"])
        options = dict(zip(command, command[1:]))
        if process["name"] == "gunicorn":
            site = options.get("--bind", "")
        elif process["always_runs"] and command[0].endswith("/celery") and "worker" in command and "-n" in options:
            node = options["-n"].replace("%h", info["hostname"])
            nodes[node if "@" in node else f"celery@{node}"] = {}
    return {"nodes": nodes, "site": site}


def _on_disk(group: str, info: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    groups = info.get("effective", {}).get("groups", [])
    return [process for found in groups if found["name"] == group for process in found["processes"]]
