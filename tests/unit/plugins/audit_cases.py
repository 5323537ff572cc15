# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes to a good server, each with what an audit finds of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.audit import audit
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.audit.finding import Finding

from tests.unit.plugins import looks
from tests.unit.plugins.looks import MEGABYTE

DOCS = Path(__file__).parents[3] / "docs/audit.md"
SOURCES = Path(__file__).parents[3] / "plugins/module_utils/controller/audit"

Change = Callable[[dict[str, Any]], Any]


def found(look: dict[str, Any]) -> list[Finding]:
    return audit.findings({"auth1": look})["auth1"]


def named(look: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a process of a look, to be changed."""
    return next(process for process in look["processes"] if process["name"] == name)


def limits(look: dict[str, Any], **changes: Any) -> None:
    """Change what the first memmon, which watches worker_00, has for limits."""
    look["limits"][0].update(changes)


def asked(look: dict[str, Any], **changes: Any) -> None:
    look["projects"][0]["asked"].update(changes)


def gunicorn_in_a_memmon_without_children(look: dict[str, Any]) -> None:
    listener, limit = looks.memmon("gunicorn", "256MB")
    look["processes"].append(listener)
    look["limits"].append(limit)


def one_more_worker(look: dict[str, Any], name: str, arguments: list[str], **other: Any) -> None:
    """Add a worker that memmon watches."""
    listener, limit = looks.memmon(name, "512MB")
    look["processes"] += [looks.process(name, "worker", arguments, **other), listener]
    look["limits"].append(limit)
    look["projects"][0]["processes"].append(f"myauth:{name}")


def heavy_at_rest(look: dict[str, Any]) -> None:
    """Have all that loads the project hold much, and but for one process have limits that fit."""
    for name in ("beat", "worker_00", "worker_services_00"):
        named(look, name)["rss"] = (290 if name == "beat" else 300) * MEGABYTE
    limits(look, programs={"worker_00": "1GB"})


def pool(look: dict[str, Any], *arguments: str) -> None:
    named(look, "worker_00")["arguments"] = [*looks.CELERY, "worker", "-n", "worker_00@auth1", *arguments]


# One change to a good server, and the only finding that it makes: severity, rule, evidence and remedy.
CHANGES: dict[str, tuple[Change, str, str, str, str]] = {
    "the template's limit": (
        lambda look: limits(look, programs={"worker_00": "512MB", "worker": "256MB"}),
        "high",
        "limit-without-process",
        "-p worker=256MB matches no process; the processes are called worker_00",
        "auth_worker_memory_limit",
    ),
    "a limit that names the group too": (
        lambda look: limits(look, programs={"worker_00": "512MB", "myauth:gunicorn": "900MB"}),
        "high",
        "limit-without-process",
        "-p myauth:gunicorn=900MB matches no process; the processes are called gunicorn",
        "auth_gunicorn_memory_limit",
    ),
    "no limit": (
        lambda look: limits(look, programs={}),
        "medium",
        "worker-without-limit",
        "no memmon watches worker_00 (117 MB)",
        "auth_worker_memory_limit",
    ),
    "a limit for the first process of many": (
        gunicorn_in_a_memmon_without_children,
        "medium",
        "limit-counts-one-process",
        "is compared with the 24 MB of the first process alone; its 3 children hold 285 MB",
        "auth_gunicorn_memory_limit",
    ),
    "a limit that is exceeded": (
        lambda look: limits(look, programs={"worker_00": "110MB"}),
        "high",
        "limit-below-use",
        "the limit is 110 MB, and it holds 117 MB now",
        "auth_worker_memory_limit: 234MB or more",
    ),
    "a limit that is close": (
        heavy_at_rest,
        "medium",
        "limit-below-use",
        "the limit is 512 MB, and it holds 300 MB now, the lightest of its kind 290 MB",
        "memory_limit of worker_services in auth_workers: 580MB or more",
    ),
    "a dead memmon": (
        lambda look: named(look, "memmon_worker_00").update(state="FATAL", spawnerr="can't find command 'None'"),
        "high",
        "memmon-not-running",
        "supervisord says FATAL; can't find command 'None'",
        "ansible-playbook -i my-servers allianceauth.tuning.apply",
    ),
    "a memmon that ends at each tick": (
        lambda look: look["log"]["deaths"].update(memmon_worker_00=1440),
        "high",
        "memmon-not-running",
        "it has died 1440 times in the last day",
        "ansible-playbook -i my-servers allianceauth.tuning.apply",
    ),
    "restarts that no leak explains": (
        lambda look: look["log"]["restarts"].update(worker_00=[looks.NOW - 600 * n for n in range(12)]),
        "medium",
        "memmon-restarts",
        "7 times in the last hour and 12 times in the last day (supervisord's log reaches 120 hours back)",
        "auth_worker_memory_limit",
    ),
    "a name that a limit overwrites": (
        lambda look: limits(look, name_lost=True),
        "low",
        "option-without-effect",
        "-n stands before a limit",
        "auth_memmon_name",
    ),
    "beat elsewhere, perhaps": (
        lambda look: named(look, "beat").update(autostart=False, state="STOPPED"),
        "high",
        "no-beat",
        "no beat runs on auth1: myauth:beat on auth1 is STOPPED",
        "auth_beat: true on exactly one host",
    ),
    "a gunicorn of an earlier supervisord": (
        lambda look: look["orphans"].append({"pid": 77, "kind": "gunicorn", "command": "gunicorn myauth.wsgi"}),
        "high",
        "orphan",
        "gunicorn myauth.wsgi: its supervisord is gone",
        "ansible-playbook -i my-servers allianceauth.tuning.apply",
    ),
    "a node without its host": (
        lambda look: pool(look, "--pool=threads", "-n", "worker_00"),
        "low",
        "node-name-without-host",
        "the nodes are celery@worker_00",
        "PROCESS@HOST",
    ),
    "two nodes of one name": (
        lambda look: one_more_worker(look, "heavy", looks.worker_arguments("worker_00", "-Q", "celery")),
        "high",
        "node-name-twice",
        "myauth:worker_00 on auth1, myauth:heavy on auth1 have this name",
        "ansible-playbook -i my-servers allianceauth.tuning.apply",
    ),
    "an app's queue": (
        lambda look: look["projects"][0]["asked"]["queues"].update(
            mails={"before": 3, "after": 4, "tasks": ["mails.tasks.send"]}
        ),
        "high",
        "queue-without-worker",
        "no worker consumes it; mails.tasks.send go there; 4 tasks wait",
        "auth_workers: [{name: worker_mails, queues: [mails]}]",
    ),
    "a run that was cut off": (
        lambda look: look["projects"][0].update(guard="The guard of a run of me@laptop had to act: all ran."),
        "medium",
        "run-cut-off",
        "The guard of a run of me@laptop had to act",
        "ansible-playbook -i my-servers allianceauth.tuning.apply",
    ),
    "a misspelt queue": (
        lambda look: one_more_worker(look, "heavy", looks.worker_arguments("heavy", "-Q", "celery,mail")),
        "low",
        "queue-without-tasks",
        "takes tasks from it, and neither the project nor an app sends any there: they send them to celery, services",
        "correct the queue's name",
    ),
    "more than is done": (
        lambda look: look["projects"][0]["asked"]["queues"]["celery"].update(before=100, after=130),
        "medium",
        "backlog",
        "130 tasks wait, 100 some seconds before: growing; 1 worker processes run 10 tasks at once",
        "auth_worker_concurrency",
    ),
    "less than there was": (
        lambda look: look["projects"][0]["asked"]["queues"]["celery"].update(before=130, after=100),
        "low",
        "backlog",
        "shrinking",
        "auth_worker_concurrency",
    ),
    "a queue that stands": (
        lambda look: look["projects"][0]["asked"]["queues"]["services"].update(before=90, after=90),
        "medium",
        "backlog",
        "standing",
        "concurrency of worker_services in auth_workers",
    ),
    "as many countdowns as places": (
        lambda look: asked(look, countdown={"tasks": 100, "seconds": 600}),
        "high",
        "waiting-places",
        "a model update queues 100 tasks with a countdown of up to 600 s; 1 worker processes have 100 places",
        "auth_worker_numprocs: 2",
    ),
    "a project that does not load": (
        lambda look: look["projects"][0].update(asked={"problem": "ImportError: no module named mails"}),
        "high",
        "project-silent",
        "ImportError: no module named mails",
        "manage.py check",
    ),
    "Redis stopped": (
        lambda look: look["projects"][0].update(
            asked={"broker": {"address": "redis://localhost:6379/0", "problem": "Error 111: Connection refused."}}
        ),
        "high",
        "broker-silent",
        "it does not answer: Error 111: Connection refused.",
        "systemctl status redis-server",
    ),
    "another file on disk": (
        lambda look: look["daemon"]["drift"].update(changed=["myauth"]),
        "medium",
        "disk-differs",
        "myauth changed on disk",
        "ansible-playbook -i my-servers allianceauth.tuning.apply",
    ),
    "a bot without its token": (
        lambda look: look["processes"].append(
            looks.process("authbot", "other", ["/bin/bot"], state="BACKOFF", spawnerr="Exited too quickly")
        ),
        "high",
        "program-failed",
        "supervisord says BACKOFF: Exited too quickly",
        "supervisorctl tail myauth:authbot; then supervisorctl restart myauth:authbot",
    ),
    "a bot that supervisord gave up, with a log of errors": (
        lambda look: look["processes"].append(
            looks.process("authbot", "other", ["/bin/bot"], state="FATAL", errors_in="stderr")
        ),
        "high",
        "program-failed",
        "supervisord says FATAL",
        "supervisorctl tail myauth:authbot stderr; then supervisorctl start myauth:authbot",
    ),
    "a bot without a log": (
        lambda look: look["processes"].append(
            looks.process("authbot", "other", ["/bin/bot"], state="FATAL", errors_in="")
        ),
        "high",
        "program-failed",
        "supervisord says FATAL",
        "give myauth:authbot a log of its errors (redirect_stderr = true and a stdout_logfile)",
    ),
    "a program that dies": (
        lambda look: look["log"]["deaths"].update(gunicorn=5),
        "medium",
        "program-dies",
        "it has died 5 times in the last day",
        "supervisorctl tail myauth:gunicorn",
    ),
    "a package of this very minute": (
        lambda look: look["projects"][0]["code"].update(
            packages=[{"name": "allianceauth", "version": "5.4.0", "time": look["now"] - 60}]
        ),
        "medium",
        "old-code",
        "changed since they began: allianceauth 5.4.0",
        "allianceauth.tuning.restart",
    ),
    "supervisord by hand": (
        lambda look: look["daemon"].update(of_systemd=False),
        "medium",
        "supervisord-by-hand",
        "process 36 was not started by systemd's unit",
        "systemctl enable --now supervisor",
    ),
    "the unit as Debian has it": (
        lambda look: look["unit"].update(stop_seconds=90.0),
        "low",
        "unit-stops-too-early",
        "systemd waits 90 s (TimeoutStopSec) for a supervisord that may take 680 s to stop its programs (stopwaitsecs)",
        "apply (auth_systemd_drop_in), or systemctl edit supervisor: [Service] TimeoutStopSec=680",
    ),
    "one log for two": (
        lambda look: named(look, "worker_00").update(stdout_logfile=f"{looks.LOGS}/beat.log"),
        "low",
        "shared-log",
        "beat's stdout, worker_00's stdout",
        "%(program_name)s_%(process_num)02d.log",
    ),
    "stdout and stderr in one log": (
        lambda look: named(look, "beat").update(redirect_stderr=False, stderr_logfile=f"{looks.LOGS}/beat.log"),
        "low",
        "shared-log",
        "beat's stdout, beat's stderr",
        "redirect_stderr = true",
    ),
    "the template's signal": (
        lambda look: named(look, "gunicorn").update(stopsignal="INT"),
        "medium",
        "gunicorn-aborts-requests",
        "stopsignal is INT",
        "auth_gunicorn_stopsignal: TERM",
    ),
    "a long task": (
        lambda look: named(look, "worker_00").update(longest_task={"name": "corptools.update", "seconds": 700.4}),
        "medium",
        "stopwaitsecs-too-short",
        "stopwaitsecs is 600, and corptools.update took 700 s",
        "auth_worker_stopwaitsecs: 1050",
    ),
    "autoscale with threads": (
        lambda look: pool(look, "--pool=threads", "--autoscale=10,3"),
        "high",
        "autoscale-kills",
        "--autoscale=10,3 with --pool=threads",
        "auth_worker_concurrency",
    ),
    "a limit of prefork's with threads": (
        lambda look: pool(look, "-P", "threads", "-c", "10", "--max-memory-per-child", "262144"),
        "low",
        "option-without-effect",
        "--max-memory-per-child with --pool=threads",
        "auth_worker_memory_limit",
    ),
    "a script": (
        lambda look: named(look, "worker_00").update(wrapped=True),
        "low",
        "wrapped-command",
        "its command is a script, which runs a worker",
        "auth_workers",
    ),
    "a core that is used up": (
        lambda look: named(look, "worker_00").update(busy=0.97),
        "medium",
        "worker-uses-a-core",
        "it used 97 % of a core",
        "auth_worker_numprocs",
    ),
    "memmon as root": (
        lambda look: look["exposed"]["programs"].append(
            {"process": "memmon:memmon", "path": f"{looks.VENV}/bin/memmon", "user": "allianceserver"}
        ),
        "high",
        "root-runs-what-others-write",
        f"root runs {looks.VENV}/bin/memmon, which allianceserver can change",
        "auth_memmon_user",
    ),
    "the guide's link": (
        lambda look: look["exposed"]["files"].update({looks.CONF: "allianceserver"}),
        "high",
        "root-loads-what-others-write",
        "allianceserver can change it",
        "auth_supervisor_conf",
    ),
    "a neighbour's file": (
        lambda look: look["exposed"]["files"].update({"/etc/supervisor/conf.d/other.conf": "everybody"}),
        "high",
        "root-loads-what-others-write",
        "everybody can change it",
        "chown root:root",
    ),
    "the guide's log folder": (
        lambda look: look["exposed"]["logs"].update({f"{looks.PROJECT}/log": "allianceserver"}),
        "medium",
        "root-writes-where-others-write",
        f"opens logs in {looks.PROJECT}/log, which allianceserver can change",
        "auth_log_dir",
    ),
    "a socket for all": (
        lambda look: look["sockets"]["files"][0].update(mode=0o777),
        "high",
        "socket-open",
        "mode 0777",
        "chmod = 0700",
    ),
    "a socket for an agent": (
        lambda look: look["sockets"]["files"][0].update(gid=50, group="staff"),
        "low",
        "socket-open",
        "mode 0770 for the group staff, which is no project's",
        "chown = root:root",
    ),
    "a port for all": (
        lambda look: look["sockets"]["ports"].append({"address": "*:9001", "password": False}),
        "high",
        "port-open",
        "listens there without a password",
        "127.0.0.1:9001",
    ),
    "a local port without a password": (
        lambda look: look["sockets"]["ports"].append({"address": "127.0.0.1:9001", "password": False}),
        "medium",
        "port-open",
        "listens there without a password",
        "127.0.0.1:9001",
    ),
    "a token for all": (
        lambda look: look["readable"].update({looks.CONF: ["BOT_TOKEN in [program:authbot]"]}),
        "medium",
        "secret-readable",
        "every user of the host may read BOT_TOKEN in [program:authbot]",
        "auth_environment",
    ),
    "the project's settings": (
        lambda look: look["projects"][0]["settings"].append(f"{looks.PROJECT}/myauth/settings/local.py"),
        "low",
        "settings-readable",
        "every user of the host may read it",
        "chmod o-r",
    ),
    "a small host": (
        lambda look: look.update(memory_total=1024 * MEGABYTE),
        "medium",
        "memory-does-not-fit",
        "limits allow 1024 MB, programs without one hold 474 MB, and the host has 1024 MB for them",
        "auth_worker_memory_limit or auth_worker_numprocs",
    ),
    "many children": (
        lambda look: pool(look, "--concurrency=20", "--pool=prefork"),
        "low",
        "more-children-than-cores",
        "prefork workers have 20 children, and the host has 4 cores",
        "auth_worker_pool: threads",
    ),
    "a database that was nearly full": (
        lambda look: asked(look, database={"max_connections": 151, "max_used_connections": 140}),
        "medium",
        "database-connections",
        "may take 27 connections (20 tasks at once), 140 were used at most, and the database allows 151",
        "max_connections = 190",
    ),
    "a database that may get full": (
        lambda look: asked(look, database={"max_connections": 20, "max_used_connections": 5}),
        "low",
        "database-connections",
        "the database allows 20",
        "max_connections = 77",
    ),
    "a Redis that drops keys": (
        lambda look: look["projects"][0]["asked"]["redis"].update(
            {"maxmemory": "1048576", "maxmemory-policy": "allkeys-lru"}
        ),
        "medium",
        "redis-evicts",
        "maxmemory is 1048576 with maxmemory-policy allkeys-lru",
        "noeviction",
    ),
    "a Redis that forgets": (
        lambda look: look["projects"][0]["asked"]["redis"].update(save=""),
        "low",
        "redis-forgets",
        "save is empty and appendonly is off",
        "appendonly yes",
    ),
}

# What follows from the same change.
WITH_OTHERS = {"many children": {"limit-counts-one-process"}}
