# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of the playbook apply: those of Molecule's steps, and the tests' own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EPHEMERAL = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
SERVERS = EPHEMERAL / "servers"
# Longer than any run here takes, on a slow machine too: one that hangs fails its test.
_SECONDS = 900

CHECKOUT = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])

# Whoever is begun in the background by a shell ignores Ctrl-C, and so would a run of whose Ctrl-C a test is.
signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass(frozen=True)
class Run:
    """How a run ended and what it said."""

    status: int
    output: str

    @property
    def changed(self) -> dict[str, int]:
        """The number of changes on each host, by the last recap."""
        recap = self.output.rpartition("PLAY RECAP")[2]
        return {name: int(count) for name, count in re.findall(r"(\S+)\s+: ok=\d+ +changed=(\d+)", recap)}

    @property
    def sentence(self) -> str:
        """What it failed with, empty if it did not."""
        fatal = re.search(r"(?m)^fatal: \[\S+\]: FAILED! => (\{.*\})$", self.output)
        return str(json.loads(fatal[1])["msg"]) if fatal else ""


def last_step() -> Run:
    """Return the latest run of Molecule's own; no step comes after a failed one."""
    text = (EPHEMERAL / "ansible.log").read_text()
    # What the log has before each line: time, process, user, level.
    return Run(0, re.sub(r"(?m)^\d{4}-\d\d-\d\d [^|]*\| ", "", text))


def start(
    name: str, *arguments: str, collections: Path | None = None, cwd: Path | None = None
) -> subprocess.Popen[str]:
    """Begin `ansible-playbook allianceauth.tuning.NAME` in a process group of its own.

    With the collection from the checkout or elsewhere.
    """
    # The log is for Molecule's steps.
    environment = {key: value for key, value in os.environ.items() if key != "ANSIBLE_LOG_PATH"}
    if collections:
        environment["ANSIBLE_COLLECTIONS_PATH"] = str(collections)
    return subprocess.Popen(
        ["ansible-playbook", "--inventory", SERVERS, f"allianceauth.tuning.{name}", *arguments],
        env={**environment, "ANSIBLE_NOCOLOR": "1"},
        cwd=cwd or CHECKOUT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )


def finish(running: subprocess.Popen[str]) -> Run:
    """Wait for a run's end; pytest shows what it said if the test fails."""
    try:
        said, _nothing = running.communicate(timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        kill(running)
        said, _nothing = running.communicate()
        said += f"\nKilled, for it did not end within {_SECONDS} s."
    print(said)
    return Run(running.returncode, said)


def kill(running: subprocess.Popen[str]) -> None:
    """End a run with all its processes; one that goes by SIGKILL alone leaves those that carry its tasks out."""
    stopped: set[int] = set()
    found = {running.pid} if running.poll() is None else set()
    # Who is stopped starts no other while we look. Its process group is not all:
    # from ansible-core 2.19 on, each task has a session of its own.
    while found - stopped:
        _signal(found - stopped, signal.SIGSTOP)
        stopped |= found
        found |= _descendants(running.pid)
    _signal(stopped, signal.SIGKILL)


def _signal(pids: set[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _descendants(pid: int) -> set[int]:
    """Return the processes below one, at any depth. Source: proc(5), stat."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name in brackets may hold anything.
            fields = stat.read_text(errors="replace").rpartition(")")[2].split()
            parents[int(stat.parent.name)] = int(fields[1])
    found: set[int] = set()
    above = {pid}
    while above:
        above = {child for child, parent in parents.items() if parent in above}
        found |= above
    return found


def apply(*arguments: str, collections: Path | None = None, cwd: Path | None = None) -> Run:
    """Run the playbook apply to its end."""
    return finish(start("apply", *arguments, collections=collections, cwd=cwd))


def extra_vars(variables: Mapping[str, Any]) -> list[str]:
    """Return the arguments that give variables as their types are; `-e name=value` makes text of all."""
    return ["--extra-vars", json.dumps(variables)]
