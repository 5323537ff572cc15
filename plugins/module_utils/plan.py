# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide what to do to a server from what is asked for and what is there."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import Any, Mapping

from ansible_collections.allianceauth.tuning.plugins.module_utils import drain, memmon, surroundings
from ansible_collections.allianceauth.tuning.plugins.module_utils.programs import IMPLEMENTATIONS
from ansible_collections.allianceauth.tuning.plugins.module_utils.variables import Declared

# Listeners go before the workers that memmon would start again in mid-drain; whoever
# answers the site's visitors goes last.
_STAGES = (("beat", "listener"), ("worker",), ("other",), ("gunicorn",))

# httpok's own 10 s are less than Django takes to start on a busy host: it would restart a
# gunicorn that is still starting, again and again.
_HTTPOK_SECONDS = 45

# Read and write for root and the group alone: the listeners' user has to connect.
SOCKET_MODE = 0o770


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
    sentences on how what runs differs from what is on disk. ``ambiguous``, ``warnings``:
    sentences.
    """
    listeners = declared.listeners
    names = _listener_names(declared)
    expected = [
        *(f"{declared.project}:{name}" for program in declared.programs for name in program.process_names),
        *(f"{name}:{name}" for name in names),
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
        "other_weight": _other_weight(info),
        "processes": expected,
        "stopped": _stopped(expected, info["daemon"]["processes"]),
        "starting": _starting(expected, info["daemon"]["processes"]),
        "stages": _stages(info),
        "own_stages": _own_stages(declared, info),
        "site_stage": _running(info, ("gunicorn",)),
        "running_workers": _running(info, ("worker",)),
        "stopwaitsecs": _stopwaitsecs(declared, info),
        "nodes": {
            f"{name}@{info['hostname']}": {
                "max-concurrency": worker.concurrency,
                "implementation": IMPLEMENTATIONS[worker.pool],
            }
            for worker in declared.workers
            for name in worker.process_names
        },
        "limits": {listener.process: listener.size for listener in listeners},
        "site": declared.gunicorn_options.bind if declared.gunicorn else "",
        "socket_group": info["user"]["group"] if _listener_needs_socket(declared) else "",
        "ambiguous": surroundings.ambiguous(
            info.get("effective", {}).get("groups", []), [listener.process for listener in listeners]
        ),
        "drift": _drift(declared, info),
        "warnings": _warnings(declared),
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
    found += heavy_trees(declared, info, host)
    return found if declared.memory_overcommit else found + excess(declared, info, host)


def excess(declared: Declared, info: Mapping[str, Any], host: str) -> list[str]:
    """Return a sentence if the limits together are more than the host's memory."""
    limits = [memmon.parse_size(listener.size) for listener in declared.listeners]
    if sum(limits) <= info["memory_total"]:
        return []
    asked, there = (number // 1024**2 for number in (sum(limits), info["memory_total"]))
    sentence = (
        f"{host}: the memory limits of {len(limits)} processes are {asked} MB in all, and the host has {there} MB; "
        "lower auth_worker_memory_limit or auth_worker_numprocs, or allow it with auth_memory_overcommit."
    )
    return [sentence]


def heavy_trees(declared: Declared, info: Mapping[str, Any], host: str) -> list[str]:
    """Return a sentence for each limit of a process with its children that they exceed at rest.

    memmon would restart it at every tick. What one child weighs is taken from the
    lightest of those that run now: another may be leaking.
    """
    children = {worker.name: worker.concurrency for worker in declared.workers}
    children["gunicorn"] = declared.gunicorn_options.workers
    found = []
    for program in declared.programs if declared.watches else []:
        running = [process for process in info["daemon"]["processes"] if process["name"] in program.process_names]
        if not (program.tree and program.memory_limit and running and program.name in children):
            continue
        master = min(process["rss"] for process in running)
        child = min((weight for process in running for weight in process["children"]), default=master)
        rest = master + child * children[program.name]
        if rest > memmon.parse_size(program.memory_limit):
            found.append(
                f"{host}: {program.name} has a memory limit of {program.memory_limit}, but with "
                f"{children[program.name]} children of {child // 1024**2} MB it needs {rest // 1024**2} MB at rest, "
                "so memmon would restart it at every tick; raise the limit well above that."
            )
    return found


def _stages(info: Mapping[str, Any]) -> list[list[str]]:
    stages = [_running(info, kinds) for kinds in _STAGES]
    return [names for names in stages if names]


def _own_stages(declared: Declared, info: Mapping[str, Any]) -> list[list[str]]:
    """Return the stages without the programs of others that the same daemon runs."""
    ours = {*info.get("expected", []), *(f"{declared.project}:{p['name']}" for p in info["daemon"]["processes"])}
    stages = [[name for name in names if name in ours or name.startswith("pid:")] for names in _stages(info)]
    return [names for names in stages if names]


def _running(info: Mapping[str, Any], kinds: tuple[str, ...]) -> list[str]:
    supervised = [
        f"{process['group']}:{process['name']}" for process in info["daemon"]["processes"] if process["kind"] in kinds
    ]
    return supervised + [drain.orphan_name(orphan) for orphan in info["orphans"] if orphan["kind"] in kinds]


def _stopwaitsecs(declared: Declared, info: Mapping[str, Any]) -> dict[str, int]:
    """Return each process's seconds: as declared, else as the configuration on disk says, for orphans the workers'."""
    found = {
        f"{group['name']}:{process['name']}": int(process["stopwaitsecs"])
        for group in info.get("effective", {}).get("groups", [])
        for process in group["processes"]
    }
    found.update(
        (f"{declared.project}:{name}", program.stopwaitsecs)
        for program in declared.programs
        for name in program.process_names
    )
    longest = max([10, *(worker.stopwaitsecs for worker in declared.workers)])
    found.update((drain.orphan_name(orphan), longest) for orphan in info["orphans"])
    return found


def _stopped(expected: list[str], processes: list[Mapping[str, Any]]) -> list[str]:
    running = {f"{process['group']}:{process['name']}" for process in processes if process["pid"]}
    return [name for name in expected if name not in running]


def _starting(expected: list[str], processes: list[Mapping[str, Any]]) -> list[str]:
    starting = {f"{process['group']}:{process['name']}" for process in processes if process["state"] == "STARTING"}
    return [name for name in expected if name in starting]


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


def _listener_names(declared: Declared) -> list[str]:
    others = {"crashmail": declared.crashmail, "httpok": declared.httpok and declared.gunicorn}
    return [*(listener.name for listener in declared.listeners), *(name for name, wanted in others.items() if wanted)]


def _crashmail(declared: Declared) -> list[str]:
    if not declared.crashmail:
        return []
    watched = [f"{declared.project}:{name}" for program in declared.programs for name in program.process_names]
    sendmail = ["-s", declared.mail.sendmail] if declared.mail.sendmail else []
    return [word for name in watched for word in ("-p", name)] + ["-m", declared.crashmail, *sendmail]


def _httpok(declared: Declared) -> list[str]:
    if not declared.httpok or declared.gunicorn is None:
        return []
    return ["-t", str(_HTTPOK_SECONDS), "-p", f"{declared.project}:gunicorn", declared.httpok]


def _own_log_dir(declared: Declared) -> str:
    return "" if declared.log_dir == f"{declared.project_dir}/log" else declared.log_dir


def _new_log_links(declared: Declared, info: Mapping[str, Any]) -> list[str]:
    folder, links = _own_log_dir(declared), info["log_links"]
    if not folder or links is None:
        return []
    elsewhere = {"stdout_logfile", "stderr_logfile"}
    names = [program.name for program in declared.programs if not elsewhere <= set(program.settings)]
    # All memmons have one log.
    names += dict.fromkeys("memmon" if name.startswith("memmon") else name for name in _listener_names(declared))
    logs = {f"{name}.log": f"{folder}/{name}.log" for name in names}
    return [log for name, log in logs.items() if links.get(name) != log]


def _new_page(declared: Declared, info: Mapping[str, Any]) -> str:
    """Return the page that httpok shall ask for if it can be asked for before, "" if not.

    A site that hangs is no reason to refuse what may repair it, so a page that httpok
    asks for already counts as right; and a site that moves does not answer yet.
    """
    commands = [
        shlex.split(process["command"])
        for group in info.get("effective", {}).get("groups", [])
        for process in group["processes"]
    ]
    known = any(declared.httpok in command[1:] for command in commands if command[0].endswith("/httpok"))
    binds = [
        command[command.index("--bind") + 1]
        for command in commands
        if command[0].endswith("/gunicorn") and "--bind" in command
    ]
    moves = any(bind != declared.gunicorn_options.bind for bind in binds)
    return declared.httpok if _httpok(declared) and _running(info, ("gunicorn",)) and not known and not moves else ""


def _other_weight(info: Mapping[str, Any]) -> int:
    """Return the bytes that all but gunicorn hold now, and will again while a second gunicorn is there."""
    others = [process for process in info["daemon"]["processes"] if process["kind"] != "gunicorn"]
    return sum(int(process["rss"]) + sum(process["children"]) for process in others)


def _listener_needs_socket(declared: Declared) -> bool:
    return bool(_listener_names(declared)) and declared.memmon_user != "root"


def _drift(declared: Declared, info: Mapping[str, Any]) -> list[str]:
    daemon = info["daemon"]
    left = [
        f"{orphan['command']} (process {orphan['pid']}) runs on from an earlier supervisord"
        for orphan in info["orphans"]
    ]
    if "problem" in daemon:
        return [str(daemon["problem"]), *left]
    ours = {declared.project, *_listener_names(declared)}
    found = left + [
        f"{name} is {how} on disk since supervisord read its configuration"
        for how in ("added", "changed", "removed")
        for name in daemon["drift"].get(how, [])
        if name in ours or how == "removed" and name.startswith(("memmon", "crashmail", "httpok"))
    ]
    if _listener_needs_socket(declared) and info["user"]:
        gid = info["user"]["gid"]
        found += [
            f"the socket {socket['file']} does not admit the group {info['user']['group']}"
            for socket in daemon.get("sockets", [])
            if (socket["mode"], socket["gid"]) != (SOCKET_MODE, gid)
        ]
    return found


def disagreements(decided: Mapping[str, Any], info: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each way in which what runs, by a later ``info``, is not what ``decided`` says."""
    processes = info["daemon"]["processes"]
    running = {process["name"] for process in processes if process["pid"]}
    watched = {name: size for process in processes for name, size in process["limits"].items()}
    unlimited = {
        name for worker in decided["workers"] if not worker["memory_limit"] for name in worker["process_names"]
    }
    workers = {
        process["name"]
        for process in processes
        if process["kind"] == "worker" and f"{process['group']}:{process['name']}" in decided["processes"]
    }
    found = [f"{name} does not run" for name in _stopped(decided["processes"], processes)]
    found += [f"memmon watches {name}, which does not exist" for name in sorted(set(watched) - running)]
    found += [
        f"memmon has the limit {watched.get(name, 'none')} for {name} and not {size}"
        for name, size in decided["limits"].items()
        if watched.get(name) != size
    ]
    if decided["limits"]:
        found += [f"no memmon watches the worker {name}" for name in sorted(workers - set(watched) - unlimited)]
    return found + [
        f"{group} still differs from the disk" for groups in info["daemon"]["drift"].values() for group in groups
    ]


def _warnings(declared: Declared) -> list[str]:
    if not declared.watches:
        return []
    found = []
    for program in declared.programs:
        if program.memory_limit and memmon.parse_size(program.memory_limit) < memmon.SMALLEST_SENSIBLE:
            found.append(
                f"{program.name} has a memory limit of {program.memory_limit}. We would suggest to not go below 128MB "
                "though, since new workers start with around 80 MB already (Alliance Auth's tuning guide)."
            )
    found += [
        f"{worker.name} has no memory limit: memmon does not watch it."
        for worker in declared.workers
        if not worker.memory_limit
    ]
    return found
