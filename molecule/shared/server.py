# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server does now, asked of those who know: supervisor, the kernel, Celery, memmon.

`host` is testinfra's; commands run as root.
"""

from __future__ import annotations

import json
import re
import shlex
import time
import xmlrpc.client
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest

USER = "allianceserver"
VENV = "/home/allianceserver/venv/auth"
PROJECT = "/home/allianceserver/myauth"
CONF_D = "/etc/supervisor/conf.d"
SUPERVISOR_CONF = f"{CONF_D}/myauth.conf"
LOG_DIR = "/var/log/supervisor/myauth"

# gunicorn listens on the server alone, which has no curl but certainly Python.
_GET = (
    "import socket, sys; asked = socket.create_connection(('127.0.0.1', sys.argv[1])); "
    "asked.sendall(f'GET {sys.argv[2]} HTTP/1.0\\r\\nHost: 127.0.0.1:{sys.argv[1]}\\r\\n\\r\\n'.encode()); "
    "print(asked.makefile().readline().split()[1])"
)
NGINX, _GUNICORN = 80, 8000

T = TypeVar("T")

# Asks supervisord for all processes and prints its answer. supervisorctl takes several times as long to begin, and
# tests ask again and again while they wait.
_STATUS = """
import socket
body = b"<?xml version='1.0'?><methodCall><methodName>supervisor.getAllProcessInfo</methodName></methodCall>"
with socket.socket(socket.AF_UNIX) as asked:
    asked.connect("/var/run/supervisor.sock")
    head = "POST /RPC2 HTTP/1.0\\r\\nContent-Type: text/xml\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body)
    asked.sendall(head.encode() + body)
    said = asked.makefile("rb").read().decode()
print(said.partition("\\r\\n\\r\\n")[2])
"""

# By supervisor's own parser.
_LOGS = """
import json
from supervisor.options import ServerOptions
options = ServerOptions()
options.realize(["-c", "/etc/supervisor/supervisord.conf"], doc="")
for group in options.process_group_configs:
    for process in group.process_configs:
        for log in (process.stdout_logfile, None if process.redirect_stderr else process.stderr_logfile):
            if isinstance(log, str):
                print(json.dumps([process.name, log]))
"""

# Seconds for what comes by itself, however slow the machine is: only what never comes takes so long.
_PATIENCE = 300


def run(host: Any, command: str) -> str:
    """Run a command as root; return its output.

    testinfra's own check_output shows the whole output twice if the command fails.
    """
    done = host.run(command)
    if done.rc != 0:
        pytest.fail(f"{command} ended with {done.rc}: {done.stderr.strip()}")
    return str(done.stdout)


def get(path: str, port: int = _GUNICORN) -> str:
    """Return the command that asks gunicorn, or nginx, for a page and prints the answer's status."""
    return shlex.join(["python3", "-ISc", _GET, str(port), path])


def as_user(host: Any, command: str) -> str:
    """Run a command as the auth user in the project's folder; return its output."""
    inner = shlex.quote(f"cd {PROJECT} && {command}")
    return run(host, f"runuser -u {USER} -- sh -c {inner}")


def processes(host: Any) -> list[dict[str, Any]]:
    """Return what supervisord says of every process, nothing if it does not answer, or is about to end."""
    text = host.run(f"python3 -ISc {shlex.quote(_STATUS)}").stdout
    try:
        return cast("tuple[list[dict[str, Any]]]", xmlrpc.client.loads(text)[0])[0] if text else []
    except xmlrpc.client.Fault:
        # The only one that this question gets. Source: supervisor/rpcinterface.py, _update (SHUTDOWN_STATE)
        return []


def states(host: Any) -> dict[str, str]:
    """Return supervisor's state of every process, by GROUP:PROCESS or, outside of groups, PROCESS."""
    return {
        one["name"] if one["group"] == one["name"] else f"{one['group']}:{one['name']}": one["statename"]
        for one in processes(host)
    }


def arguments(host: Any) -> dict[str, list[str]]:
    """Return the running processes' arguments, as the kernel has them, by supervisor's name."""
    pids = {one["name"]: one["pid"] for one in processes(host) if one["statename"] == "RUNNING"}
    read = "; ".join(f"cat /proc/{pid}/cmdline; echo" for pid in pids.values())
    lines = host.run(read).stdout.split("\n") if pids else []
    # One that ends again and again may have done so since.
    return {name: line.split("\0")[:-1] for name, line in zip(pids, lines, strict=False) if line}


def users(host: Any, pattern: str) -> set[str]:
    """Return the users whose processes' command lines match."""
    rows = [line.split(None, 1) for line in run(host, "ps -eo user:32,args --no-headers").splitlines()]
    return {user for user, command in rows if re.search(pattern, command)}


def inspect(host: Any, what: str, *names: str) -> dict[str, Any]:
    """Return what the Celery nodes of these names answer, as soon as all have; without names, what any does in 10 s."""
    destination = f"--destination {','.join(names)}" if names else ""
    text = as_user(host, f"{VENV}/bin/celery -A myauth inspect {what} --json --timeout 10 {destination}")
    # Django's log may come before the answer, which is one line.
    answer: dict[str, Any] = json.loads([line for line in text.splitlines() if line.startswith("{")][-1])
    return answer


def worker_nodes(host: Any) -> list[str]:
    """Return the names that the running workers' nodes have to have."""
    name = run(host, "hostname").strip()
    return [f"{process}@{name}" for process in arguments(host) if process.startswith("worker")]


def nodes(host: Any, *names: str) -> dict[str, dict[str, Any]]:
    """Return the pool that each Celery node says it has, by the node's name."""
    return {name: stats["pool"] for name, stats in inspect(host, "stats", *names).items()}


def writers(host: Any) -> list[tuple[str, str]]:
    """Return each stream of a process that supervisord writes into a file, as the process and the file."""
    lines = run(host, f"python3 -c {shlex.quote(_LOGS)}").splitlines()
    return [tuple(json.loads(line)) for line in lines]


def await_pause(host: Any) -> None:
    """Wait until a run has told the worker to take no more tasks; the guard knows it a moment before."""
    told = "grep -q worker_00@ /run/allianceauth.tuning.myauth.guard/state.json"
    assert wait(lambda: host.run(told).rc, lambda status: status == 0) == 0


def log_size(host: Any, name: str) -> int:
    """Return the bytes in a log of the project."""
    return int(run(host, f"stat -L -c %s {PROJECT}/log/{name}"))


def log(host: Any, name: str, start: int = 0) -> str:
    """Return the text of a log of the project from byte `start` on."""
    return run(host, f"tail -c +{start + 1} {PROJECT}/log/{name}")


def wait(look: Callable[[], T], until: Callable[[T], bool]) -> T:
    """Look again and again until what is seen is as wanted, or never comes; return what was seen last."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        seen = look()
        if until(seen) or time.monotonic() > deadline:
            return seen
        time.sleep(1)


def memmon_checks(host: Any) -> dict[str, int]:
    """Return what all memmons say at their next look: the limit of each process (bytes) whose size they have read.

    A name that no process has gets a limit in the log, but never a size.
    """
    memmons = [name for name in states(host) if name.startswith("memmon")]
    sizes = {name: log_size(host, f"{name.partition(':')[0]}.log") for name in memmons}

    def text() -> str:
        return "".join(log(host, f"{name.partition(':')[0]}.log", start) for name, start in sizes.items())

    def complete(text: str) -> bool:
        # The second look begins when the first is complete.
        looks = Counter(re.findall(r"Checking programs (.*)", text))
        return len(looks) == len(memmons) and min(looks.values()) > 1

    said = wait(text, complete)
    limits = dict(re.findall(r"(\w+)=(\d+)", "\n".join(re.findall(r"Checking programs (.*)", said))))
    sized = re.findall(r"RSS of \w+:(\w+) is \d+", said)
    return {process: int(limits[process]) for process in sized}


def send(host: Any, count: int, seconds: float, prefix: str) -> dict[str, str]:
    """Queue tasks of the lab; return their ids by their keys."""
    text = as_user(
        host,
        f"{VENV}/bin/python -m lab_tasks.send sleep --count {count} --seconds {seconds} --prefix {prefix}",
    )
    sent = [json.loads(line) for line in text.splitlines()]
    return {entry["key"]: entry["task_id"] for entry in sent}


def ledger(host: Any, prefix: str) -> dict[str, list[str]]:
    """Return what became of each task whose key begins so: `start` and `end`, in the order of time."""
    found: dict[str, list[str]] = {}
    for line in host.run("cat /var/lib/lab/ledger.jsonl").stdout.splitlines():
        entry = json.loads(line)
        if entry["key"].startswith(prefix):
            found.setdefault(entry["key"], []).append(entry["event"])
    return found


def traces(host: Any) -> dict[str, str]:
    """Return what a run could have left: files with their owner, mode, size and times, and running programs.

    Not what a server writes by itself all the time. Of logs, that is all but their names, owners and modes.
    """
    itself = (f"{PROJECT}/log/*", "*/__pycache__*", "*/celerybeat-schedule*")
    # Ansible's own folder for temporary files.
    excluded = " ".join(f"-not -path '{pattern}'" for pattern in (*itself, f"/home/{USER}/.ansible*"))
    # A folder's size and time are those of what comes and goes in it.
    folder, full = r"-type d -printf '%p\t%U:%G %m\n'", r"-printf '%p\t%U:%G %m %s %C@ %l\n'"
    files = run(host, rf"find /etc /home/{USER} /usr/local -xdev {excluded} \( {folder} -o {full} \)")
    growing = r"-type f -printf '%p\t%U:%G %m\n'"
    logs = run(host, rf"find {PROJECT}/log/ /var/log/supervisor/ -mindepth 1 \( {folder} -o {growing} -o {full} \)")
    programs = run(host, "ps -eo pid,args --no-headers").splitlines()
    ours = [line.split(None, 1) for line in programs if re.search(r"/(celery|gunicorn|memmon|supervisord)\b", line)]
    return {
        **dict(line.split("\t", 1) for line in (files + logs).splitlines()),
        **{f"process {pid}": command for pid, command in ours},
    }


def stop_time(host: Any) -> str:
    """Return how long systemd waits for supervisord, as systemd writes it, such as ``1min 30s``."""
    return run(host, "systemctl show -p TimeoutStopUSec --value supervisor").strip()


def contents(host: Any) -> dict[str, str]:
    """Return the files where a run could have left any, with owner, mode, and what they hold or where they lead.

    Not what a server writes by itself all the time. Of logs, that is all but their names, owners and modes. What the
    virtual environment's files hold is told by their sizes: to read all of it takes minutes.
    """
    itself = ("*/__pycache__*", "*/celerybeat-schedule*", "*/gunicorn.pid", f"/home/{USER}/.ansible*")
    excluded = " ".join(f"-not -path '{pattern}'" for pattern in itself)
    folders = f"/etc /home/{USER} /usr/local /var/log/supervisor /var/lib/allianceauth.tuning"
    listed = host.run(rf"find {folders} -xdev {excluded} -printf '%p\t%U:%G %m %y %l\n'").stdout
    no_logs = f"-not -path '{PROJECT}/log/*' -not -path '/var/log/*'"
    no_venv = f"-not -path '{VENV}/*'"
    sums = host.run(f"find {folders} -xdev {excluded} {no_logs} {no_venv} -type f -exec sha256sum {{}} +").stdout
    held = {path: digest for digest, path in (line.split("  ", 1) for line in sums.splitlines())}
    sizes = run(host, rf"find {VENV} {excluded} -type f -printf '%p\t%s\n'")
    held |= dict(line.split("\t", 1) for line in sizes.splitlines())
    found = dict(line.split("\t", 1) for line in listed.splitlines())
    return {path: f"{text} {held.get(path, '')}" for path, text in found.items()}


def differences(before: dict[str, str], after: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Return what is not the same in both, empty if nothing has changed."""
    keys = sorted(set(before) | set(after))
    both = {key: (before.get(key, "absent"), after.get(key, "absent")) for key in keys}
    return {key: pair for key, pair in both.items() if pair[0] != pair[1]}


def healthy(host: Any) -> bool:
    """Whether every program runs and the site answers, at this moment."""
    found = states(host)
    print(found)
    asked = host.run(get("/account/login/"))
    return len(found) > 4 and set(found.values()) == {"RUNNING"} and asked.stdout == "200\n"


def name(host: Any) -> str:
    """Return the host's name in the inventory."""
    return str(host.backend.get_hostname())


def pid(host: Any, process: str) -> str:
    """Return the number of one of the project's processes, 0 if it does not run."""
    # Its exit status is that of the process.
    return str(host.run(f"supervisorctl pid myauth:{process}").stdout.strip())


def none_serves(host: Any) -> bool:
    """Whether no worker of a run is left that was to take tasks meanwhile; what such a one runs it finishes first."""
    units = "systemctl list-units --all --plain --no-legend 'allianceauth-tuning-myauth-worker-*'"
    return wait(lambda: run(host, units).strip(), lambda shown: not shown) == ""


def release(host: Any, key: str) -> None:
    """Let a task of the lab, or a request, end. Source: lab_tasks/patience.py."""
    run(host, f"touch /var/lib/lab/release-{key}")


def keep_busy(host: Any, key: str, seconds: float = 1800) -> None:
    """Have a worker at work on a task, whose key will be `key-0`, until it is released or so many seconds are over."""
    send(host, 1, seconds, key)
    begun = wait(lambda: ledger(host, f"{key}-"), bool)
    assert begun == {f"{key}-0": ["start"]}


def done(host: Any, key: str) -> bool:
    """Whether the task of `keep_busy` has been done, once."""
    return ledger(host, f"{key}-") == {f"{key}-0": ["start", "end"]}


def done_once_released(host: Any, key: str) -> bool:
    """Let the task of `keep_busy` end; whether it was done once."""
    release(host, f"{key}-0")
    return wait(lambda: done(host, key), bool)


def configuration(host: Any) -> str:
    """Return what supervisord reads."""
    return str(host.file(SUPERVISOR_CONF).content_string)


def kept(host: Any) -> set[str]:
    """Return the names of the files that were kept beside what supervisord reads; they sort by time."""
    return set(run(host, f"cd {CONF_D} && ls -d .{Path(SUPERVISOR_CONF).name}.20*").split())
