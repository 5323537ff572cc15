# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes that leak, and what memmon and supervisord say of them.

`host` is testinfra's.
"""

from __future__ import annotations

import re
import shlex
import uuid
from typing import Any

from shared import server

DAEMON_LOG = "/var/log/supervisor/supervisord.log"
MAILS = "/var/lib/lab/mails"
MEGABYTE = 1024**2


def place(host: Any, path: str, text: str, owner: str = "root") -> None:
    """Write a file on the server."""
    server.run(host, f"printf %s {shlex.quote(text)} > {path} && chown {owner}: {path}")


def pids(host: Any) -> dict[str, int]:
    """Return the running processes' numbers by supervisor's names."""
    status = host.run("supervisorctl status").stdout
    return {name: int(pid) for name, pid in re.findall(r"(?m)^(\S+) +RUNNING +pid (\d+),", status)}


def all_running(host: Any) -> dict[str, int]:
    """Wait until every process runs; return their numbers."""
    states = server.wait(lambda: server.states(host), lambda seen: set(seen.values()) == {"RUNNING"})
    assert set(states.values()) == {"RUNNING"}, states
    return pids(host)


def restarted(before: dict[str, int], after: dict[str, int]) -> set[str]:
    """Return the processes that do not have the number that they had."""
    return {name for name in {*before, *after} if before.get(name) != after.get(name)}


def await_successor(host: Any, name: str, before: dict[str, int]) -> None:
    """Wait until a process runs with another number than it had."""
    pid = server.wait(lambda: pids(host).get(name, before[name]), lambda seen: seen != before[name])
    assert pid != before[name], f"{name} was not restarted"


def until_restarted(host: Any, name: str, before: dict[str, int]) -> dict[str, int]:
    """Wait until a process has another number and all run; return all numbers."""
    await_successor(host, name, before)
    return all_running(host)


def rss(host: Any, pid: int) -> int:
    """Return the resident memory of a process in bytes."""
    return int(server.run(host, f"ps -o rss= -p {pid}")) * 1024


def own_queue(host: Any, process: str) -> str:
    """Have one worker process take the tasks of a queue that no other has; return the queue."""
    node = f"{process}@{server.run(host, 'hostname').strip()}"
    server.as_user(host, f"{server.VENV}/bin/celery -A myauth control -d {node} add_consumer {process}")
    return process


def task(host: Any, kind: str, title: str, queue: str, seconds: int = 1800, rate: int = 0) -> str:
    """Queue a task that sleeps until it is released, or takes `rate` MB a second; return its name in the ledger."""
    key = unique(title)
    options = f"--seconds {seconds} --prefix {key} --queue {queue}"
    options += f" --megabytes-per-second {rate}" if rate else ""
    server.as_user(host, f"{server.VENV}/bin/python -m lab_tasks.send {kind} {options}")
    return f"{key}-0"


def unique(title: str) -> str:
    """Return a key that the ledger does not have from an earlier run of the tests."""
    return f"{title}-{uuid.uuid4().hex}"


def finished(host: Any, key: str) -> list[str]:
    """Wait until a piece of work has ended; return what the ledger has of it."""
    return server.wait(lambda: server.ledger(host, key).get(key, []), lambda events: "end" in events)


def stopping(host: Any, name: str) -> bool:
    """Wait until a process was told to stop and has not yet stopped."""
    return server.wait(lambda: server.states(host)[name], lambda state: state == "STOPPING") == "STOPPING"


def readings(text: str, process: str) -> list[int]:
    """Return the sizes that memmon read of a process before it restarted it, as its log has them."""
    before, restarts, _after = text.partition(f"Restarting myauth:{process}\n")
    assert restarts, text
    return [int(size) for size in re.findall(rf"RSS of myauth:{process} is (\d+)", before)]


def daemon_log(host: Any) -> list[str]:
    """Return what supervisord did, in its order, without the time."""
    text = server.run(host, f"cat {DAEMON_LOG}")
    return re.findall(r"(?m)^[\d-]+ [\d:,]+ [A-Z]+ (.*)$", text)


def mails(host: Any) -> list[str]:
    """Return the mails that were sent, in the order of time."""
    text = host.run(f"cat {MAILS}").stdout
    return [f"To: {mail}" for mail in text.split("To: ")[1:]]
