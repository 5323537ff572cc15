#!/usr/bin/python
# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: auth_audit_info
short_description: Look at all that an audit of an Alliance Auth server judges by
version_added: 0.1.0
description:
  - Finds the Alliance Auth projects that supervisord runs, in whatever files and folders, and returns what there is
    to know of them, of the daemon and of the host.
  - Reads only. What belongs to a project is read, and its Celery application asked, with the rights of the user
    that its programs run as.
  - Takes some seconds for each project, because the project is loaded and its queues are looked at twice.
options:
  seconds:
    description: How many seconds lie between the two looks at the queues and at the processor time.
    type: float
    default: 5
author:
  - The allianceauth.tuning authors (@allianceauth)
extends_documentation_fragment:
  - allianceauth.tuning.attributes
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
  allianceauth.tuning.auth_audit_info:
  register: looked
"""

RETURN = r"""
now:
  description: When it looked, in seconds since 1970 by the server's clock.
  returned: always
  type: float
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
cores:
  description: The number of processors.
  returned: always
  type: int
unit:
  description: Whether systemd has a unit C(supervisor), and after how many C(stop_seconds) it ends supervisord.
  returned: always
  type: dict
daemon:
  description: As M(allianceauth.tuning.auth_info) returns it.
  returned: always
  type: dict
invalid:
  description: supervisor's sentence on what is wrong with the configuration on disk.
  returned: if supervisor's parser refuses it
  type: str
processes:
  description: Every process of the configuration on disk with its settings, its kind and what it holds now.
  returned: always
  type: list
  elements: dict
limits:
  description: The limits of each memmon, with whether it counts C(children).
  returned: always
  type: list
  elements: dict
projects:
  description: The projects with their places, versions, settings and, as C(asked), what their Celery application says.
  returned: always
  type: list
  elements: dict
orphans:
  description: Auth programs that no supervisord looks after, each with its C(venv) and the C(project) that it names.
  returned: always
  type: list
  elements: dict
sockets:
  description: The daemon's control sockets with C(mode) and owners, and its TCP C(ports).
  returned: always
  type: dict
exposed:
  description: What root's daemon loads or writes (C(files)), or runs (C(programs)), and somebody else can change.
  returned: always
  type: dict
readable:
  description: Configuration files that every user may read, with the names of what may be secret in them.
  returned: always
  type: dict
log:
  description:
    - Since when the present supervisord's log reaches, what died in the last day, and what memmon has restarted.
  returned: always
  type: dict
"""

import inspect
import os
import platform
import socket
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import managed_file
from ansible_collections.allianceauth.tuning.plugins.module_utils.model import memmon
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import (
    audit_host,
    audit_logs,
    audit_program,
    audit_projects,
    celery_cli,
    outside,
    preflight,
    proc,
    supervisor_parser,
    supervisord,
)

_DAY = 86400

# To load the project and reach the broker and the nodes, beside the time between the two looks.
_ASK_SECONDS = 240


def ask(one: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Return what a project's Celery application says, or the ``problem`` that keeps it from saying so."""
    if not (one["venv"] and one["manage_py"]):
        return {"problem": "its folder with manage.py and its virtual environment cannot be told from its programs"}
    if one["user"] == "root":
        return {"problem": "its programs run as root, as whom nothing of a project is run here"}
    given = {"venv": one["venv"], "project": one["name"], "project_dir": one["directory"], "user": one["user"]}
    application = celery_cli.Application.configured(given, supervisord.MAIN_CONF)
    try:
        source = inspect.getsource(audit_program)
        return application.ask(source, [one["name"], str(seconds)], seconds + _ASK_SECONDS)
    except celery_cli.CannotAskError as why:
        return {"problem": str(why)}


def limits(processes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return each memmon's limits (``programs``, ``groups``, ``any``) as its command gives them."""
    found = []
    for process in processes:
        given = memmon.options(process["arguments"])
        if process["kind"] == "listener" and given is not None:
            found.append({"listener": process["namespec"], **given})
    return found


def read_log(effective: dict[str, Any], processes: list[dict[str, Any]], now: float) -> dict[str, Any]:
    """Return what supervisord's log and those of the memmons say of the last day."""
    # What an earlier one has seen may have been mended by the restart.
    log = audit_logs.since_started(audit_logs.events(audit_logs.end_of(effective["logfile"])))
    names = [[process["stdout_logfile"], process["stderr_logfile"]] for process in processes if is_memmon(process)]
    said = "".join(audit_logs.end_of(name) for name in sorted({name for pair in names for name in pair if name}))
    return {
        "since": log[0][0] if log else None,
        "deaths": audit_logs.deaths(log, now - _DAY),
        "restarts": audit_logs.restarts(log, said),
    }


def is_memmon(process: dict[str, Any]) -> bool:
    """Whether a process is a listener with memmon as its command."""
    return memmon.options(process["arguments"]) is not None


def add_tasks(processes: list[dict[str, Any]]) -> None:
    """Add to each worker the longest task that its log names."""
    for process in processes:
        logs = {process["stdout_logfile"], process["stderr_logfile"]} - {None}
        process["longest_task"] = (
            audit_logs.longest_task("".join(audit_logs.end_of(path) for path in sorted(logs)))
            if process["kind"] == "worker"
            else None
        )


def look(effective: dict[str, Any], daemon: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Return what a valid configuration leads to: processes, projects, files and logs."""
    now = time.time()
    processes = audit_projects.processes(effective, daemon)
    projects = audit_projects.discover(processes, effective["sections"])
    before, began = {process["pid"]: proc.cpu_seconds(process["pid"]) for process in processes}, time.monotonic()
    for one in projects:
        one["asked"] = ask(one, seconds)
    used = time.monotonic() - began
    for process in processes:
        process["busy"] = (proc.cpu_seconds(process["pid"]) - before[process["pid"]]) / used if used > 1 else 0.0
    add_tasks(processes)
    files = [supervisord.MAIN_CONF, *effective["sections"]]
    logs = {os.path.dirname(process[key]) for process in processes for key in LOGS if process[key]}
    return {
        "processes": processes,
        "limits": limits(processes),
        "projects": projects,
        "orphans": audit_projects.orphans(sorted({one["venv"] for one in projects} - {""})),
        "sockets": {
            "files": audit_host.sockets(wanted["file"] for wanted in effective["sockets"]),
            "ports": effective["ports"],
        },
        "exposed": {
            "files": preflight.exposed(files),
            "logs": preflight.exposed(sorted(logs), by_group=False),
            "programs": audit_host.run_by_root(processes),
        },
        "readable": audit_host.readable_secrets(files),
        "log": read_log(effective, processes, now),
    }


LOGS = ("stdout_logfile", "stderr_logfile")

# What is returned where there is no valid configuration to look at.
NOTHING: dict[str, Any] = {
    "processes": [],
    "limits": [],
    "projects": [],
    "orphans": [],
    "sockets": {"files": [], "ports": []},
    "exposed": {"files": {}, "logs": {}, "programs": []},
    "readable": {},
    "log": {"since": None, "deaths": {}, "restarts": {}},
}


def without_secrets(found: dict[str, Any], secrets: list[str]) -> None:
    """Take what programs have in their environments out of their commands and out of what they said."""
    for process in found["processes"]:
        process["arguments"] = [managed_file.redacted(word, secrets) for word in process["arguments"]]
        process["command"] = " ".join(process["arguments"])
        process["spawnerr"] = managed_file.redacted(process["spawnerr"], secrets)
    for orphan in found["orphans"]:
        orphan["command"] = managed_file.redacted(orphan["command"], secrets)


def main() -> None:
    module = AnsibleModule(
        argument_spec={"seconds": {"type": "float", "default": 5}},
        supports_check_mode=True,
    )
    if os.getuid() != 0:
        module.fail_json(msg="an audit needs root on the server, to read what only root can: set become: true")
    supervisord.find_supervisor(module)
    daemon = audit_host.daemon()
    found: dict[str, Any] = {
        "now": time.time(),
        "hostname": socket.gethostname(),
        "python": platform.python_version(),
        "memory_total": proc.memory_total(),
        "memory_available": proc.memory_available(),
        "cores": os.cpu_count() or 1,
        "unit": {"exists": proc.unit_exists(), "stop_seconds": outside.stop_seconds()},
        "daemon": daemon,
        **NOTHING,
    }
    try:
        effective = supervisor_parser.effective(supervisord.MAIN_CONF)
        found.update(look(effective, daemon, module.params["seconds"]))
    except supervisor_parser.InvalidError as why:
        found["invalid"] = str(why)
    # A path or a user's name is no secret, and taking it out would leave no command readable.
    secrets = [value for value in supervisor_parser.secrets(supervisord.MAIN_CONF) if not os.path.exists(value)]
    users = {one["user"] for one in found["projects"]} | {one["name"] for one in found["projects"]}
    without_secrets(found, [value for value in secrets if value not in users])
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
