# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep queues served while workers restart: further workers, each a transient unit of systemd's that outlives a run.

They are as the configuration on disk has the supervised ones, with node names of their own. `systemctl stop` ends
them warmly: KillMode=mixed sends TERM to the worker alone, whose children would die of it.
"""

from __future__ import annotations

import glob
import os
import pwd
import subprocess
import time
from dataclasses import dataclass
from typing import Any, Mapping, Sequence

from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.command import split_command
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.names import serving_units
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.outside import NEEDED_BY_TASKS
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import proc

# Where systemd reads a unit's environment, before what it starts is there.
_RUN_FOLDER = "/run"

# Source: systemd.unit(5), transient units
_UNITS_FOLDER = "/run/systemd/transient"

_SYSTEMD_SECONDS = 60

# Lines of a unit's journal in which the cause of its end is looked for.
_JOURNAL_LINES = 20

# A queue that nobody routes to: whoever takes tasks from it alone gets none.
PRIVATE_QUEUE = "allianceauth-tuning"

# The options of `celery worker` that name it, that choose its queues, and that take some of all away.
_NODE = ("-n", "--hostname")
_QUEUES = ("-Q", "--queues")
_EXCLUDED = ("-X", "--exclude-queues")

# Of all that these workers have said since a time, the last lines are read.
_MOST_LINES = 50_000

# Options of `celery worker` by which two of them would write one file, or leave systemd.
_NOT_TWICE = ("--pidfile", "--statedb", "-S", "--detach", "-D", "--logfile", "-f")


class ImpossibleError(Exception):
    """No further worker can be started; the text says why."""


@dataclass(frozen=True)
class Worker:
    """A further worker: the supervised process whose configuration it has, its unit, and its node's name."""

    process: str
    unit: str
    node: str


def prefix(name: str) -> str:
    """Return what the names of all these units begin with; ``name`` is the supervisor group."""
    return serving_units(name)


def units(name: str) -> list[str]:
    """Return the units that systemd runs or stops now."""
    listed = _run("systemctl", "list-units", "--all", "--plain", "--no-legend", f"{prefix(name)}*.service").stdout
    return [line.split()[0] for line in listed.splitlines() if line.split()]


def active(name: str) -> list[str]:
    """Return the units that take tasks now. systemd is asked only where there are files of such: it costs time."""
    found = [os.path.basename(path) for path in glob.glob(f"{_UNITS_FOLDER}/{prefix(name)}*.service")]
    # One that was told to finish has its file until it has.
    try:
        return sorted(unit for unit in found if _run("systemctl", "is-active", unit).stdout.strip() == "active")
    except ImpossibleError:
        return []


def beside(name: str, unit: str) -> str:
    """Return the supervised process (GROUP:PROCESS) whose configuration a unit's worker has."""
    return f"{name}:{unit[len(prefix(name)) :].rpartition('-')[0]}"


def node(name: str, unit: str, hostname: str) -> str:
    """Return the name of the Celery node that a unit's worker is."""
    return f"{unit[len(prefix(name)) :].rpartition('.service')[0]}@{hostname}"


def held(name: str) -> dict[str, int]:
    """Return the bytes that the worker beside each supervised process holds, with its children.

    One that was told to finish already does not count. Raises `ImpossibleError`.
    """
    shown = _run("systemctl", "show", "--property=Id,ActiveState,MainPID", f"{prefix(name)}*.service").stdout
    found = [dict(line.split("=", 1) for line in unit.splitlines()) for unit in shown.split("\n\n")]
    pids = {beside(name, unit["Id"]): int(unit["MainPID"]) for unit in found if unit.get("ActiveState") == "active"}
    weights = proc.trees_rss(pids.values())
    return {process: weights[pid] for process, pid in pids.items()}


def stop(names: Sequence[str]) -> None:
    """Have units end warmly, without waiting for the tasks that they still run."""
    if names:
        _run("systemctl", "stop", "--no-block", *names)


def command(arguments: Sequence[str], node: str, private: bool = False) -> list[str]:
    """Return a worker's command with another node name; a ``private`` one takes no tasks. Raises `ImpossibleError`."""
    for argument in arguments:
        if any(argument == option or argument.startswith(f"{option}=") for option in _NOT_TWICE):
            raise ImpossibleError(f"two workers cannot have {argument.partition('=')[0]}")
    _nodes, kept = _split(arguments, _NODE)
    if private:
        _queues, kept = _split(kept, (*_QUEUES, *_EXCLUDED))
        kept += ["-Q", PRIVATE_QUEUE]
    return [*kept, "-n", node]


def queues(arguments: Sequence[str], default: Sequence[str]) -> list[str]:
    """Return the queues that a worker takes tasks from by its command; ``default`` are those of one that names none."""
    named = [name for value in _split(arguments, _QUEUES)[0] for name in value.split(",")]
    excluded = [name for value in _split(arguments, _EXCLUDED)[0] for name in value.split(",")]
    return [name for name in named or default if name not in excluded]


def _split(arguments: Sequence[str], options: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the values of options, and the other arguments.

    An option is ``-o VALUE``, ``-oVALUE``, ``--option VALUE`` or ``--option=VALUE``.
    """
    values: list[str] = []
    rest: list[str] = []
    left = list(arguments)
    while left:
        argument = left.pop(0)
        own = [option for option in options if argument.startswith(option if option[1] != "-" else f"{option}=")]
        if argument in options:
            values += left[:1]
            left = left[1:]
        elif own:
            values.append(argument[len(own[0]) :].lstrip("="))
        else:
            rest.append(argument)
    return values, rest


def start(
    name: str, process: str, program: Mapping[str, Any], hostname: str, longest: int, private: bool = False
) -> Worker:
    """Start a further worker; return once its command runs. Raises `ImpossibleError`.

    ``program`` is as `supervisor_parser.programs` has it, ``longest`` the seconds after which it ends by itself. A
    ``private`` one takes no tasks until it is handed a queue.
    """
    short = process.rpartition(":")[2]
    stamp = f"{short}-{int(time.time())}"
    worker = Worker(process, f"{prefix(name)}{stamp}.service", f"{stamp}@{hostname}")
    arguments = command(split_command(program["command"]), worker.node, private)
    user = pwd.getpwuid(program["uid"]).pw_name
    # `systemctl show` tells the Environment= of a unit to everybody.
    file = os.path.join(_RUN_FOLDER, f"{worker.unit}.environment")
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as environment:
            environment.write(environment_file(program["environment"]))
        properties = {
            "User": user,
            "WorkingDirectory": program["directory"] or "/",
            "EnvironmentFile": file,
            "UMask": f"{program['umask']:04o}",
            "KillMode": "mixed",
            "TimeoutStopSec": program["stopwaitsecs"],
            "RuntimeMaxSec": longest,
            # What starts before it stops after it, at a reboot as well.
            "After": f"network.target {NEEDED_BY_TASKS}",
        }
        done = _run(
            "systemd-run",
            "--quiet",
            "--collect",
            # Returns when the command was executed, so that the file is not needed any more.
            "--service-type=exec",
            f"--unit={worker.unit}",
            f"--description=Take tasks like {process} while that restarts",
            *(f"--property={key}={value}" for key, value in properties.items()),
            # systemd expands $ in a command.
            *(argument.replace("$", "$$") for argument in arguments),
        )
    finally:
        os.unlink(file)
    if done.returncode:
        raise ImpossibleError(f"systemd did not start it: {' '.join(done.stderr.split()).rstrip('.')}")
    return worker


def runs(worker: Worker) -> bool:
    """Whether a unit has not ended."""
    return _run("systemctl", "is-active", worker.unit).stdout.strip() in ("active", "activating", "deactivating")


def last_words(worker: Worker) -> str:
    """Return what a worker that has ended said last."""
    said = _run("journalctl", "--unit", worker.unit, "--lines", str(_JOURNAL_LINES), "--output=cat", "--quiet").stdout
    lines = [line.strip() for line in said.splitlines() if line.strip() and not line.startswith(worker.unit)]
    return " / ".join(lines[-3:]) or "it left no word"


def said_since(name: str, when: float) -> str:
    """Return what all these workers have said since a time, in seconds since 1970; "" if nobody can tell."""
    try:
        return _run(
            "journalctl",
            "--unit",
            f"{prefix(name)}*.service",
            f"--since=@{int(when)}",
            f"--lines={_MOST_LINES}",
            "--output=cat",
            "--quiet",
        ).stdout
    except ImpossibleError:
        return ""


def environment_file(environment: Mapping[str, str]) -> str:
    """Return variables as systemd reads them. Source: systemd.exec(5), EnvironmentFile."""
    lines = []
    for name, value in environment.items():
        for character in '\\"`$':
            value = value.replace(character, "\\" + character)
        lines.append(f'{name}="{value}"\n')
    return "".join(lines)


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SYSTEMD_SECONDS,
            check=False,
            text=True,
            errors="replace",
        )
    except subprocess.TimeoutExpired as why:
        raise ImpossibleError(f"systemd does not answer ({command[0]} took longer than {_SYSTEMD_SECONDS} s)") from why
