"""What a host says of itself: asked of what runs, not read from what was written."""

from __future__ import annotations

import json
import re
from typing import Any

from lab.podman import engine
from lab.podman.hosts import Host

from .traffic import PROJECT_DIR

CELERY = "/home/allianceserver/venv/auth/bin/celery"
MEGABYTE = 1024**2


def status(host: Host) -> list[str]:
    """Return supervisor's lines on all processes; its exit status tells only the worst."""
    return engine.attempt("exec", host.container, "supervisorctl", "status").stdout.splitlines()


def configuration(host: Host) -> str:
    """Return the project's supervisor.conf."""
    return engine.podman("exec", host.container, "cat", f"{PROJECT_DIR}/supervisor.conf")


def inspect(host: Host, what: str) -> dict[str, Any]:
    """Return what every Celery node that answers says of itself, such as its `stats`."""
    as_auth = ("--user", "allianceserver", "--workdir", PROJECT_DIR)
    asked = [CELERY, "-A", "myauth", "inspect", what, "--json", "--timeout", "5"]
    answer = engine.attempt("exec", *as_auth, host.container, *asked).stdout
    # Django's log may come before the answer, which is one line.
    found = [line for line in answer.splitlines() if line.startswith("{")]
    return dict(json.loads(found[-1])) if found else {}


def nodes(host: Host) -> dict[str, int]:
    """Return the max-concurrency of every Celery node that answers."""
    return {node: int(said["pool"]["max-concurrency"]) for node, said in inspect(host, "stats").items()}


def memory_limits(host: Host) -> dict[str, str]:
    """Return what the memmons' logs say they checked: a sentence by process, empty before the first look."""
    logs = f"cat {PROJECT_DIR}/log/memmon*.log"
    return memory_limits_in(engine.attempt("exec", host.container, "bash", "-c", logs).stdout)


def memory_limits_in(log: str) -> dict[str, str]:
    """Return the last that memmons' logs say of each process; several may share one log."""
    given: dict[str, str] = {}
    for line in re.findall(r"(?m)^Checking programs (.*)$", log):
        given.update(re.findall(r"(\w+)=(\d+)", line))
    seen = dict(re.findall(r"RSS of \w+:(\w+) is (\d+)", log))
    return {
        process: f"{process} holds {int(seen[process]) // MEGABYTE} MB, its limit is {int(size) // MEGABYTE} MB"
        for process, size in given.items()
        if process in seen
    }


def orphans(host: Host) -> list[str]:
    """Return the Celery processes that do not descend from the supervisord that runs now."""
    main_pid = engine.podman("exec", host.container, "systemctl", "show", "-p", "MainPID", "--value", "supervisor")
    listing = engine.podman("exec", host.container, "ps", "-eo", "pid=,ppid=,unit=,args=")
    return orphans_in(listing, int(main_pid))


def orphans_in(listing: str, daemon: int) -> list[str]:
    """Return, of `ps -eo pid=,ppid=,unit=,args=`, the lines on Celery processes not below `daemon`.

    A worker that takes tasks during a run is none: it is a unit of systemd's, which ends it.
    """
    rows = [line.split(None, 3) for line in listing.splitlines()]
    parents = {int(row[0]): int(row[1]) for row in rows}
    found = []
    for pid, _parent, unit, words in rows:
        ancestor = int(pid)
        while ancestor not in (daemon, 0):
            ancestor = parents.get(ancestor, 0)
        serves = unit.startswith("allianceauth-tuning-")
        if ancestor != daemon and not serves and re.match(r"\S*python\S* \S*/bin/celery -A ", words):
            found.append(f"{pid} {words}")
    return found
