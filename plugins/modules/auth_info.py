#!/usr/bin/python
# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: auth_info
short_description: Look at an Alliance Auth server in one round trip
version_added: 0.1.0
description:
  - Returns all that the role C(auth) decides by.
  - Reads only. The daemon is asked through its XML-RPC interface; to tell how it differs from the disk,
    it reads its configuration files and applies nothing.
options:
  project:
    description: Name of the project, which is also the name of its supervisor group.
    type: str
    required: true
  user:
    description: The user that the auth programs run as.
    type: str
    required: true
  project_dir:
    description: The project's folder, in which C(manage.py) lies.
    type: path
    required: true
  venv:
    description: The virtual environment that Alliance Auth is installed in.
    type: path
    required: true
  supervisor_conf:
    description: The file that holds the programs' sections, or will hold them.
    type: path
    required: true
  gunicorn_conf:
    description: Where the role puts gunicorn's configuration file.
    type: path
    required: true
  log_dir:
    description: The folder of the programs' logs.
    type: path
    required: true
author:
  - The allianceauth.tuning authors (@allianceauth)
extends_documentation_fragment:
  - allianceauth.tuning.attributes
  - allianceauth.tuning.guard
attributes:
  check_mode:
    support: full
    description: Can run in check mode and return what it would otherwise return.
  diff_mode:
    support: none
  action:
    support: full
    description: An action plugin says if this ansible-core does not support the server's Python.
"""

EXAMPLES = r"""
- name: Look at the server
  allianceauth.tuning.auth_info:
    project: myauth
    user: allianceserver
    project_dir: /home/allianceserver/myauth
    venv: /home/allianceserver/venv/auth
    supervisor_conf: /etc/supervisor/conf.d/myauth.conf
    gunicorn_conf: /etc/supervisor/myauth.gunicorn.py
    log_dir: /var/log/supervisor/myauth
  register: server
"""

RETURN = r"""
now:
  description: When it looked, in seconds since 1970 by the server's clock.
  returned: always
  type: float
own_groups:
  description: The groups that O(supervisor_conf) declares, listeners included.
  returned: if supervisor's parser accepts the configuration
  type: list
  elements: str
exposed:
  description:
    - What supervisord, which is root, loads or writes and somebody else can change, with who that is.
    - The configuration files and O(log_dir). In the guide's layout the auth programs' own file belongs to their user,
      so that the folder of the link to it is looked at instead.
  returned: if supervisor's parser accepts the configuration
  type: dict
guard:
  description: Whether the guard of a run is C(pending), and what one has C(said) that had to act and was not told yet.
  returned: always
  type: dict
expected:
  description: The processes (C(GROUP:PROCESS)) that O(supervisor_conf) has supervisord run all the time.
  returned: if supervisor's parser accepts the configuration
  type: list
  elements: str
hostname:
  description: The host's name as Celery's C(%h) expands it.
  returned: always
  type: str
python:
  description: The version of the Python that the module runs on.
  returned: always
  type: str
memory_total:
  description: Physical memory in bytes.
  returned: always
  type: int
memory_available:
  description: Memory in bytes that new programs could have without swapping.
  returned: always
  type: int
log:
  description:
    - When memmon has restarted each process (C(restarts)), in seconds since 1970, and C(since) when supervisord's log
      tells of it, null if memmon has restarted nothing. Only since supervisord was started itself.
  returned: always
  type: dict
user:
  description: The user's C(uid), C(gid), primary C(group) and C(home), or null.
  returned: always
  type: dict
project_exists:
  description: Whether the project's folder has a C(manage.py).
  returned: always
  type: bool
routed_queues:
  description: Queues that the project's C(celery.py) routes tasks to.
  returned: always
  type: list
  elements: str
venv:
  description: Whether it C(exists), its C(programs) and C(versions), and what the installed packages support.
  returned: always
  type: dict
code:
  description:
    - When what is installed was installed - C(packages), C(sources) of the project and of editable installs, the
      C(folder) of all packages - and which versions a run has C(kept) as those in service.
  returned: always
  type: dict
broker:
  description:
    - The broker that a run has noted, as it is now. Its C(address), its C(identity), the same for all who use it, and
      the C(problem) if it does not answer. Empty if none was noted, or the project has changed since.
  returned: always
  type: dict
tuned:
  description: Whether what is at O(supervisor_conf) was written by the role.
  returned: always
  type: bool
supervisor_conf:
  description: The C(kind), C(target) and C(checksum) of what is at O(supervisor_conf).
  returned: always
  type: dict
link:
  description: The same for the link that leads to O(supervisor_conf), or will lead to it.
  returned: always
  type: dict
gunicorn_conf:
  description: The same for O(gunicorn_conf).
  returned: always
  type: dict
log_dir_exists:
  description: Whether O(log_dir) is there.
  returned: always
  type: bool
log_links:
  description: The links in the project's folder C(log) and where they lead, null if there is no such folder.
  returned: always
  type: dict
own_gunicorn_conf:
  description:
    - What the C(gunicorn.conf.py) in the project's folder sets, which gunicorn reads unless it is given another; null
      where it has none. A value is null where the file calculates it.
  returned: always
  type: dict
named_gunicorn_conf:
  description:
    - The C(file) that gunicorn's command names with C(-c), if it is another than O(gunicorn_conf), and the C(settings)
      in it as in RV(own_gunicorn_conf); null if it names none.
  returned: always
  type: dict
effective:
  description: The whole configuration on disk as supervisor's parser reads it, with groups, processes and sockets.
  returned: if supervisor's parser accepts it
  type: dict
invalid:
  description: supervisor's sentence on what is wrong with the configuration on disk.
  returned: if supervisor's parser refuses it
  type: str
unit:
  description: Whether systemd runs the host and has a unit C(supervisor).
  returned: always
  type: bool
outside:
  description: How long systemd lets supervisord stop, by whom, and what the role's files for it and needrestart say.
  returned: always
  type: dict
orphans:
  description: Auth programs that no supervisord looks after, each with its C(pid), C(kind), C(start) and C(command).
  returned: always
  type: list
  elements: dict
serving:
  description: The units of workers that take tasks while others restart, or that a run has left to take them.
  returned: always
  type: list
  elements: str
daemon:
  description: Its C(pid), C(processes), C(drift) from the disk, and C(sockets) as they are; or why it does not answer.
  returned: always
  type: dict
"""

import os
import platform
import socket
import stat
import time
import xmlrpc.client
from typing import Any, Collection, Mapping

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import managed_file
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.command import split_command
from ansible_collections.allianceauth.tuning.plugins.module_utils.model import memmon
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.names import link_to, make_namespec
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import (
    audit_logs,
    broker,
    code,
    files,
    guard,
    outside,
    preflight,
    privileges,
    proc,
    project,
    serving,
    supervisor_parser,
    supervisord,
)

# supervisord's own, as Debian's supervisord.conf has it.
LOG = "/var/log/supervisor/supervisord.log"
_YOUNG_SECONDS = 60
_LATE_SECONDS = 600


def look_at_daemon() -> dict[str, Any]:
    """Return what the daemon runs, or the ``problem`` that keeps it from saying so."""
    try:
        daemon = supervisord.Daemon()
        found: dict[str, Any] = {"pid": daemon.pid()}
        found["of_systemd"] = proc.supervised_by_systemd(found["pid"])
        processes = daemon.processes()
        below = proc.children(process.pid for process in processes if process.pid)
        commands = daemon.commands()
        found["processes"] = [
            describe(process, below.get(process.pid, []), commands.get(process.namespec, "")) for process in processes
        ]
    except supervisord.NotAnsweringError as why:
        return {"problem": str(why), "processes": [], "drift": {}}
    add_deaths(found["processes"])
    try:
        found["drift"] = daemon.drift()
    except xmlrpc.client.Fault as why:
        # The files are invalid; `invalid` has the parser's own sentence.
        found["drift"] = {"unreadable": [why.faultString]}
    return found


def describe(process: supervisord.Process, below: list[int], command: str) -> dict[str, Any]:
    """Return what the daemon says of a process, and what the kernel does.

    ``below`` are its children's numbers. ``command`` is the configured one, which tells what a process is that
    has just been forked, or that has given itself a title.
    """
    arguments = proc.command_line(process.pid) if process.pid else []
    kind = proc.kind(arguments)
    configured = proc.kind(split_command(command))
    # A worker that is just between two lives is one when it has to stop.
    if kind == "other" and (process.pid or configured == "worker"):
        kind = configured
    return {
        **process.as_dict(),
        "began": proc.began(process.pid) if process.pid else None,
        "rss": proc.rss(process.pid),
        "children": [proc.rss(pid) for pid in below],
        "kind": kind,
        "limits": memmon.watched(arguments),
        # Of one that does not run, what it is meant to watch.
        "watches": memmon.options(arguments or split_command(command)),
    }


def add_deaths(processes: list[dict[str, Any]]) -> None:
    """Add to each process that is not up for long how often it has died of late under this supervisord, by its log.

    Under the one before it may have had another configuration: one that did not work, and was taken back.
    """
    young = [process for process in processes if process["start"] and time.time() - process["start"] < _YOUNG_SECONDS]
    if young:
        log = audit_logs.since_started(audit_logs.events(audit_logs.end_of(LOG, 2**18)))
        deaths = audit_logs.deaths(log, time.time() - _LATE_SECONDS)
        for process in young:
            process["deaths"] = deaths.get(process["name"], 0)


def look_at_socket(path: str) -> dict[str, Any] | None:
    """Return the mode and owners of a control socket, None if there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return {"file": path, "mode": stat.S_IMODE(status.st_mode), "uid": status.st_uid, "gid": status.st_gid}


def own_groups(effective: dict[str, Any], *files: str) -> list[dict[str, Any]]:
    """Return the groups of the auth programs' own file."""
    sections = [section for file in files for section in effective["sections"].get(file, [])]
    # A program outside every group is a group of its own name, and so is a listener.
    names = {section.partition(":")[2] for section in sections}
    return [group for group in effective["groups"] if group["name"] in names]


def roots_alone(loaded: Collection[str], own: Collection[str], project_dir: str) -> list[str]:
    """Return which of the files that supervisord has loaded, or of their folders, nobody but root may change.

    One of our ``own`` that lies in the project's folder, as in the guide's layout, is the auth user's; a link to it is
    as safe as the folder in which that is.
    """

    def in_project(path: str) -> bool:
        return f"{os.path.realpath(path)}/".startswith(f"{os.path.realpath(project_dir)}/")

    ours = [path for path in loaded if path in own and in_project(path)]
    folders = [folder for folder in map(os.path.dirname, ours) if not in_project(folder)]
    return [*(path for path in loaded if path not in ours), *folders]


def expected(groups: list[dict[str, Any]]) -> list[str]:
    """Return the processes (GROUP:PROCESS) of groups that supervisord starts by itself, and can."""
    return [
        make_namespec(group["name"], process["name"])
        for group in groups
        for process in group["processes"]
        if process["always_runs"] and preflight.can_start(process)
    ]


def restarts(effective: dict[str, Any]) -> dict[str, Any]:
    """Return what the logs say of processes that memmon has restarted."""
    logs = [
        process[log]
        for group in effective["groups"]
        for process in group["processes"]
        if group["listener"] and memmon.options(split_command(process["command"])) is not None
        for log in ("stdout_logfile", "stderr_logfile")
        if process[log]
    ]
    return audit_logs.memmon_restarts(effective["logfile"], logs)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "project": {"type": "str", "required": True},
            "user": {"type": "str", "required": True},
            "project_dir": {"type": "path", "required": True},
            "venv": {"type": "path", "required": True},
            "supervisor_conf": {"type": "path", "required": True},
            "gunicorn_conf": {"type": "path", "required": True},
            "log_dir": {"type": "path", "required": True},
            **guard.SPEC,
        },
        supports_check_mode=True,
    )
    missing = privileges.root_missing()
    if missing:
        module.fail_json(msg=missing)
    supervisord.find_supervisor(module)
    with guard.as_owner(module):
        found = look(module.params)
    module.exit_json(changed=False, **found)


def look(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the module returns."""
    link = link_to(given["supervisor_conf"], given["project"], given["project_dir"])
    user = project.user(given["user"])
    found: dict[str, Any] = {
        "now": time.time(),
        "hostname": socket.gethostname(),
        "python": platform.python_version(),
        "memory_total": proc.memory_total(),
        "memory_available": proc.memory_available(),
        "log": {"since": None, "restarts": {}},
        "user": user,
        "project_exists": os.path.isfile(os.path.join(given["project_dir"], "manage.py")),
        "routed_queues": project.routed_queues(os.path.join(given["project_dir"], given["project"], "celery.py")),
        "venv": project.venv(given["venv"]),
        "code": code.look(given["venv"], given["project_dir"], given["project"], user["uid"] if user else None),
        "tuned": managed_file.is_ours(files.readable(given["supervisor_conf"]) or ""),
        "supervisor_conf": project.file(given["supervisor_conf"]),
        "link": project.file(link),
        "gunicorn_conf": project.file(given["gunicorn_conf"]),
        "log_dir_exists": os.path.isdir(given["log_dir"]),
        "log_links": project.links(os.path.join(given["project_dir"], "log")),
        "own_gunicorn_conf": project.gunicorn_settings(os.path.join(given["project_dir"], "gunicorn.conf.py")),
        "named_gunicorn_conf": None,
        "unit": proc.unit_exists(),
        "outside": outside.look(),
        "guard": guard.look(given["project"]),
        "daemon": look_at_daemon(),
        "orphans": proc.orphans(given["venv"]),
        "serving": serving.active(given["project"]),
    }
    found["broker"] = broker.look(found["code"], user["uid"] if user else None)
    try:
        found["effective"] = supervisor_parser.effective(supervisord.MAIN_CONF)
        own = (given["supervisor_conf"], link)
        groups = own_groups(found["effective"], *own)
        found["own_groups"] = [group["name"] for group in groups]
        ours = [process for group in groups for process in group["processes"]]
        found["named_gunicorn_conf"] = project.named_gunicorn_conf(ours, given["gunicorn_conf"])
        found["expected"] = expected(groups)
        loaded = [supervisord.MAIN_CONF, *found["effective"]["sections"]]
        found["exposed"] = {
            **preflight.exposed([given["log_dir"]], by_group=False),
            **preflight.exposed(roots_alone(loaded, own, given["project_dir"])),
        }
        found["log"] = restarts(found["effective"])
        sockets = [look_at_socket(wanted["file"]) for wanted in found["effective"]["sockets"]]
        found["daemon"]["sockets"] = [status for status in sockets if status]
    except supervisor_parser.InvalidError as why:
        found["invalid"] = str(why)
    return found


if __name__ == "__main__":
    main()
