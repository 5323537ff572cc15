# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What auth_audit_info returns of a server on which nothing is wrong, for tests that change one thing in it."""

from __future__ import annotations

from typing import Any

MEGABYTE = 1024**2
NOW = 1_795_643_137.0
VENV = "/home/allianceserver/venv/auth"
PROJECT = "/home/allianceserver/myauth"
CONF = "/etc/supervisor/conf.d/myauth.conf"
LOGS = "/var/log/supervisor/myauth"

CELERY = [f"{VENV}/bin/celery", "-A", "myauth"]
GUNICORN = [f"{VENV}/bin/gunicorn", "myauth.wsgi", "--workers=3", "--timeout", "120", "--bind", "127.0.0.1:8000"]


def worker_arguments(name: str, *more: str) -> list[str]:
    """Return the command of a worker as the role writes it."""
    return [*CELERY, "worker", "--pool=threads", "--concurrency=10", "-n", f"{name}@auth1", *more]


def process(name: str, kind: str, arguments: list[str], **other: Any) -> dict[str, Any]:
    """Return a process that runs, in the project's group if it is not a listener."""
    group = name if kind == "listener" else "myauth"
    return {
        "name": name,
        "group": group,
        "namespec": f"{group}:{name}",
        "kind": kind,
        "wrapped": False,
        "arguments": arguments,
        "command": " ".join(arguments),
        "directory": PROJECT,
        "uid": 1000,
        "startsecs": 10,
        "stopwaitsecs": 600 if kind == "worker" else 10,
        "stopsignal": "TERM",
        "redirect_stderr": True,
        "errors_in": "stdout",
        "rotates": True,
        "autostart": True,
        "always_runs": True,
        "stdout_logfile": f"{LOGS}/{name}.log",
        "stderr_logfile": None,
        "state": "RUNNING",
        "pid": 100,
        "start": NOW - 3600,
        "began": NOW - 3600,
        "spawnerr": "",
        "rss": 117 * MEGABYTE,
        "children": [],
        "busy": 0.0,
        "longest_task": None,
        **other,
    }


def memmon(watched: str, size: str, *, children: bool = False) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the listener that watches one process, and its limits."""
    arguments = [f"{VENV}/bin/memmon", *(["-c"] if children else []), "-p", f"{watched}={size}"]
    name = f"memmon_{watched}"
    limit = {"listener": f"{name}:{name}", "programs": {watched: size}, "groups": {}, "any": "", "children": children}
    return process(name, "listener", arguments, rss=24 * MEGABYTE), {**limit, "name_lost": False}


def good() -> dict[str, Any]:
    """Return what is seen on a server that was just tuned."""
    first, first_limit = memmon("worker_00", "512MB")
    second, second_limit = memmon("worker_services_00", "512MB")
    programs = [
        process("beat", "beat", [*CELERY, "beat"]),
        process("worker_00", "worker", worker_arguments("worker_00")),
        process("worker_services_00", "worker", worker_arguments("worker_services_00", "-Q", "services")),
        process("gunicorn", "gunicorn", GUNICORN, rss=24 * MEGABYTE, children=[95 * MEGABYTE] * 3),
    ]
    nodes = {
        f"{name}@auth1": {"queues": [queue], "pool": {}, "active": 0, "reserved": 0, "scheduled": 0}
        for name, queue in (("worker_00", "celery"), ("worker_services_00", "services"))
    }
    asked = {
        "broker": {"address": "redis://localhost:6379/0", "identity": "ec493c08/0"},
        "queues": {
            "celery": {"before": 0, "after": 0, "tasks": ["allianceauth.eveonline.tasks.run_model_update"]},
            "services": {"before": 0, "after": 0, "tasks": ["discord.update_roles"]},
        },
        "default_queue": "celery",
        "routed": ["celery", "services"],
        "nodes": nodes,
        "eta_limit": 100,
        "countdown": {"tasks": 0, "seconds": 600},
        "redis": {"maxmemory": "0", "maxmemory-policy": "noeviction", "save": "3600 1", "appendonly": "no"},
        "database": {"max_connections": 151, "max_used_connections": 9},
    }
    return {
        "now": NOW,
        "hostname": "auth1",
        "memory_total": 8192 * MEGABYTE,
        "memory_available": 6144 * MEGABYTE,
        "cores": 4,
        "unit": {"exists": True, "stop_seconds": 700.0},
        "daemon": {
            "pid": 36,
            "of_systemd": True,
            "processes": [],
            "drift": {"added": [], "changed": [], "removed": []},
        },
        "processes": [*programs, first, second],
        "limits": [first_limit, second_limit],
        "projects": [
            {
                "name": "myauth",
                "directory": PROJECT,
                "venv": VENV,
                "uid": 1000,
                "user": "allianceserver",
                "gid": 1000,
                "processes": [one["namespec"] for one in programs],
                "groups": ["myauth"],
                "files": [CONF],
                "manage_py": True,
                "guard": "",
                "routed_queues": ["services"],
                "settings": [],
                "memmon": True,
                "versions": {"allianceauth": "5.5.0", "celery": "5.7.0"},
                "code": {"packages": [], "sources": [], "folder": 0.0, "kept": {"versions": {}, "time": 0.0}},
                "asked": asked,
            }
        ],
        "orphans": [],
        "serving": [],
        "sockets": {
            "files": [{"file": "/run/supervisor.sock", "mode": 0o770, "gid": 1000, "group": "auth"}],
            "ports": [],
        },
        "exposed": {"files": {}, "logs": {}, "programs": []},
        "readable": {},
        "log": {"since": NOW - 5 * 86400, "deaths": {}, "restarts": {}},
    }
