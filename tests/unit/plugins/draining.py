# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program like a Celery worker, drains of a real supervisord, and the module and action without a connection."""

from __future__ import annotations

import subprocess
import sys
import time
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.allianceauth.tuning.plugins.action import supervisor_programs as action
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import drain
from ansible_collections.allianceauth.tuning.plugins.modules import supervisor_programs

# As a Celery worker does: on TERM it finishes what it does, here until a file lets it, and says so.
WORKER = """
import os, signal, sys, time
name, patient = sys.argv[1], sys.argv[2] == "patient"
if os.path.exists("broken " + name):
    sys.exit("it is broken")
def say(what):
    with open("events", "a") as events:
        events.write(f"{what} {name}\\n")
def finish(number, frame):
    say("told")
    while patient and not os.path.exists("release"):
        time.sleep(0.02)
    say("finished")
    sys.exit(0)
signal.signal(signal.SIGTERM, finish)
say("began")
while True:
    # Not signal.pause(): Python would not see a signal that comes just before it, until the next one.
    time.sleep(0.05)
"""


Start = Callable[[str], Any]
Wait = Callable[[Callable[[], object]], None]
Orphan = Callable[[Path], subprocess.Popen[bytes]]


# A stage after which one more comes: the last one goes on for longer, so that the site is soon back.
MORE = ["nobody:nobody"]


def program(name: str, manner: str = "quick", **options: object) -> str:
    """Return the section of a program that is ``patient`` (stops when it is let) or ``quick`` to stop."""
    given = {
        "autorestart": "true",
        "autostart": "false",
        "startsecs": 0,
        "stopwaitsecs": 30,
        "directory": "{here}",
        **options,
    }
    lines = [f"{option} = {value}" for option, value in given.items()]
    return "\n".join(
        [f"[program:{name}]", f"command = {sys.executable} {{here}}/worker.py {name} {manner}", *lines, ""]
    )


def release(found: Any) -> None:
    (found.folder / "release").touch()


def drained(
    found: Any, stages: Sequence[Sequence[str]], warm_shutdowns: Sequence[str] = (), **known: Any
) -> drain.Drain:
    return drain.Drain(
        found.daemon,
        stages,
        frozenset(warm_shutdowns),
        known.get("stop_requests", {}),
        lambda names: known.get("before", lambda names: None)(names) or {},
    )


def soon() -> float:
    return time.monotonic() + 0.5


def in_the_end() -> float:
    return time.monotonic() + 60


class Module:
    """What a module's work asks of its AnsibleModule."""

    check_mode = False

    def __init__(self, params: dict[str, Any]) -> None:
        self.params = params

    def fail_json(self, **result: Any) -> None:
        raise Failed(result)


class Failed(Exception):
    """The module has failed; its argument is the result."""


class Action(action.ActionModule):
    """The action plugin on a real supervisord, without a connection between the two."""

    def __init__(self, found: Any, **arguments: Any) -> None:
        self.found = found
        task: Any = types.SimpleNamespace(args=arguments)
        self._task = task
        self._vars = {"inventory_hostname": "auth1"}

    def _call(self, module: str = "supervisor_programs", **arguments: Any) -> dict[str, Any]:
        defaults = {
            "workers": [],
            "timeout_action": "abort",
            "celery": {},
            "serving": {},
            "last": [],
            "own_groups": [],
            "site": "",
            "standby_of": "nobody",
            "guard": {},
        }
        given = {**defaults, **arguments}
        result: dict[str, Any] = {"changed": False, "pending": [], "tasks": {}, "site": None}
        # Shorter than the module's own: a slice shall end at every moment of the drain.
        until = time.monotonic() + 0.3
        called: Any = Module(given)
        if given["state"] == "stopped":
            supervisor_programs.stop(self.found.daemon, called, result, until)
        else:
            try:
                supervisor_programs.start_with_patience(self.found.daemon, called, result, until)
            except Failed as failed:
                return {**failed.args[0], "failed": True}
        return result

    def stop(self) -> dict[str, Any]:
        return self._stop({})
