"""When a host is ready: sshd answers and Alliance Auth's programs run."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence

from lab.errors import LabError, last_lines
from lab.machine.paths import UNNAMED
from lab.progress import Progress

from . import engine
from .hosts import Host

# Programs start in parallel, need 2 s each on an idle core and count as running after
# 10 s more (startsecs); several hosts on a small machine take turns.
WAIT_SECONDS = 600
GROUP = "myauth:"
DAEMON_LOG = "/var/log/supervisor/supervisord.log"


def wait(hosts: Sequence[Host], progress: Progress) -> None:
    """Return when all hosts are ready; fail with the states and the daemon's last lines."""
    deadline = time.monotonic() + WAIT_SECONDS
    waiting = list(hosts)
    while waiting:
        for host in list(waiting):
            states = _states(host)
            if sshd_answers(host.port) and running(states):
                waiting.remove(host)
                progress.note(f"{host.name}: ready{_exceptions(states)}")
            elif hopeless(states) or time.monotonic() > deadline or not _alive(host):
                raise LabError(_complaint(host, states))
        if waiting:
            time.sleep(0.5)


def sshd_answers(port: int) -> bool:
    """Say whether sshd greets: a published port accepts before anybody listens behind it."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.settimeout(2)
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def running(states: dict[str, str]) -> bool:
    """Say whether there are Alliance Auth programs and all of them run."""
    programs = [state for name, state in states.items() if name.startswith(GROUP)]
    return bool(programs) and all(state == "RUNNING" for state in programs)


def hopeless(states: dict[str, str]) -> bool:
    """Say whether the daemon has given up on a program: it starts a FATAL one no more."""
    return any(name.startswith(GROUP) and state == "FATAL" for name, state in states.items())


def parse(status: str) -> dict[str, str]:
    """Return state by process from `supervisorctl status`: `NAME  STATE  description`."""
    rows = (line.split() for line in status.splitlines())
    return {row[0]: row[1] for row in rows if len(row) >= 2 and row[1].isupper()}


def _states(host: Host) -> dict[str, str]:
    # Its exit status tells the worst state (supervisor 4), its text tells all.
    return parse(engine.attempt("exec", host.container, "supervisorctl", "status").stdout)


def _alive(host: Host) -> bool:
    shown = engine.attempt("inspect", "--format", "{{.State.Status}}", host.container)
    return shown.stdout.strip() == "running"


def _exceptions(states: dict[str, str]) -> str:
    """Name what does not run outside the group.

    The stock memmon never does: the guide's project has `None` for its command as long as
    superlance is not in the venv.
    """
    others = [f"{name} {state}" for name, state in states.items() if state != "RUNNING"]
    return f" (stock: {', '.join(others)})" if others else ""


def _complaint(host: Host, states: dict[str, str]) -> str:
    option = "" if host.lab == UNNAMED else f" --name {host.lab}"
    again = f"recreate it with `python3 -m lab reset{option}`"
    if not _alive(host):
        log = engine.attempt("logs", "--tail", "8", host.container)
        return f"{host.name} has stopped; {again}. Its last lines:\n{last_lines(log.stdout + log.stderr)}"
    log = engine.attempt("exec", host.container, "tail", "-n", "8", DAEMON_LOG)
    programs = ", ".join(f"{name} {state}" for name, state in states.items()) or "none known"
    sshd = "answers" if sshd_answers(host.port) else "does not answer"
    return (
        f"{host.name} is not ready: its sshd {sshd}, its programs: {programs}. Look with "
        f"`python3 -m lab exec{option} {host.name} -- journalctl -n 50`, {again}. "
        f"The daemon's last lines:\n{last_lines(log.stdout + log.stderr)}"
    )
