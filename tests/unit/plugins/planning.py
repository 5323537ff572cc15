# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server as it shall be, as a look has it, and what is decided about it."""

from __future__ import annotations

from typing import Any

from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import (
    differences,
    plan,
    variables,
)
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.decided import Plan, Wanted
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.declared import Declared

GIGABYTE = 1024**3


def process(group: str, name: str, kind: str, **more: Any) -> dict[str, Any]:
    return {
        "group": group,
        "namespec": f"{group}:{name}",
        "name": name,
        "kind": kind,
        "state": "RUNNING",
        "pid": 7,
        "limits": {},
        "began": 1000.0,
        "rss": 10**8,
        "children": [],
        **more,
    }


def on_disk(name: str, command: str, stopwaitsecs: int = 10) -> dict[str, Any]:
    return {"name": name, "command": command, "stopwaitsecs": stopwaitsecs, "always_runs": True, "restarts": True}


STEPS = ("install", "configure", "restart", "verify")
WANTED = Wanted("[program:beat]", "sum", "gunicorn's sum", "2.0.0", ())

# In no order that would do for a drain.
INFO: dict[str, Any] = {
    "tuned": True,
    "code": {"packages": [], "sources": [], "folder": 0.0, "kept": {"versions": {}, "time": 0.0}},
    "broker": {},
    "unit": True,
    "outside": {"stop_seconds": None, "set_by": "", "drop_in": "", "needrestart": "", "has_needrestart": False},
    "hostname": "auth1",
    "user": {"uid": 1000, "gid": 1000, "group": "allianceserver"},
    "project_exists": True,
    "log_dir_exists": True,
    "log_links": None,
    "supervisor_conf": {"kind": "file", "checksum": "sum", "uid": 0, "gid": 1000, "mode": 0o640},
    "link": {"target": "/etc/supervisor/conf.d/myauth.conf"},
    "gunicorn_conf": {"checksum": "gunicorn's sum"},
    "guard": {"pending": False, "said": ""},
    "own_gunicorn_conf": None,
    "named_gunicorn_conf": None,
    "venv": {"exists": True, "programs": ["celery", "gunicorn", "python"], "versions": {"superlance": "2.0.0"}},
    "now": 1_795_643_137.0,
    "memory_total": 4 * GIGABYTE,
    "memory_available": 3 * GIGABYTE,
    "log": {"since": None, "restarts": {}},
    "orphans": [{"pid": 5, "start": 77, "kind": "worker", "command": "celery worker"}],
    "serving": [],
    "own_groups": ["memmon_worker_00", "myauth"],
    "exposed": {},
    "expected": ["myauth:beat", "myauth:worker_00", "myauth:gunicorn", "memmon_worker_00:memmon_worker_00"],
    "effective": {
        # Its command is one that supervisord takes and cannot start.
        "groups": [{"name": "bots", "processes": [on_disk("bot", "/bin/sh -c 'a", 33)]}]
    },
    "daemon": {
        "pid": 1,
        "of_systemd": True,
        "drift": {"added": [], "changed": [], "removed": []},
        "sockets": [{"file": "/run/supervisor.sock", "mode": differences.SOCKET_MODE, "uid": 0, "gid": 1000}],
        "processes": [
            process("myauth", "gunicorn", "gunicorn"),
            process("bots", "bot", "other"),
            process("myauth", "worker_00", "worker"),
            process("memmon_worker_00", "memmon_worker_00", "listener", limits={"worker_00": 512 * 1024**2}),
            process("myauth", "beat", "beat"),
        ],
    },
}


def declare(defaults: dict[str, Any], **changes: Any) -> Declared:
    declared, refusals = variables.declare({**defaults, **changes}, "auth1")
    assert refusals == []
    return declared


def decide(defaults: dict[str, Any], info: dict[str, Any], steps: tuple[str, ...] = STEPS, **changes: Any) -> Plan:
    return plan.apply(declare(defaults, **changes), info, WANTED, steps)
