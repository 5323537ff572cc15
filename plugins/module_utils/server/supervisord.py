# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Talk to the running supervisord through its XML-RPC interface."""

from __future__ import annotations

import importlib.util
import xmlrpc.client
from dataclasses import asdict, dataclass
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.respawn import has_respawned, probe_interpreters_for_module, respawn_module
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.names import make_namespec
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import guard_program, supervisor_parser

# What Debian's and Ubuntu's unit starts; every file that matters is reached from here.
MAIN_CONF = "/etc/supervisor/supervisord.conf"

# Source: supervisor/states.py
STOPPED_STATES = frozenset({"STOPPED", "EXITED", "FATAL", "UNKNOWN"})


# Faults that the methods called here raise. Source: supervisor/xmlrpc.py, Faults; rpcinterface.py says which when.
_BAD_NAME = 10
_NO_FILE, _NOT_EXECUTABLE, _FAILED = 20, 21, 30
_ABNORMAL_TERMINATION, _SPAWN_ERROR, _ALREADY_STARTED, _NOT_RUNNING = 40, 50, 60, 70


class NotAnsweringError(Exception):
    """No supervisord answers on its socket; the text says where and why."""


class RefusedError(Exception):
    """supervisord answers, and does not do what it was asked for; the text is a sentence that says why."""


@dataclass(frozen=True)
class Process:
    """One process as the daemon sees it; ``start`` is in seconds since 1970, ``pid`` 0 if there is none."""

    group: str
    name: str
    state: str
    pid: int
    start: int
    spawnerr: str

    @property
    def namespec(self) -> str:
        return make_namespec(self.group, self.name)

    @property
    def stopped(self) -> bool:
        return self.state in STOPPED_STATES

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "namespec": self.namespec}


def find_supervisor(module: AnsibleModule) -> None:
    """Make sure that ``supervisor`` can be imported, if need be by another interpreter; imports nothing yet.

    The daemon's own parser is what validates; it belongs to the system's Python,
    while Ansible may have found a newer one beside it.
    """
    try:
        found = importlib.util.find_spec("supervisor.options")
    except ImportError:
        found = None
    if found is None:
        interpreter = (
            None if has_respawned() else probe_interpreters_for_module(["/usr/bin/python3"], "supervisor.options")
        )
        if interpreter is None:
            module.fail_json(
                msg="no Python on this server can import supervisor; install its package "
                "(apt install supervisor), as Alliance Auth's installation guide says."
            )
        respawn_module(interpreter)


class Daemon:
    """A connection to supervisord. Every method raises `NotAnsweringError`, and those with a fault say which."""

    def __init__(self, main_conf: str = MAIN_CONF) -> None:
        try:
            access = supervisor_parser.client(main_conf)
        except supervisor_parser.InvalidError as why:
            raise NotAnsweringError(f"{main_conf} does not say how to reach supervisord: {why}") from why
        self.serverurl = str(access["serverurl"])
        # Not supervisor's own: that waits for ever for one that does not go on.
        self._supervisord = guard_program.Supervisord(access)

    def call(self, method: str, *arguments: Any) -> Any:
        """Call ``supervisor.METHOD``; raises ``xmlrpc.client.Fault`` as well."""
        try:
            return self._supervisord.call(method, *arguments)
        except guard_program.ShuttingDown as why:
            raise NotAnsweringError(f"supervisord at {self.serverurl} is just being stopped or restarted") from why
        except guard_program.NoAnswer as why:
            raise NotAnsweringError(f"supervisord does not answer at {self.serverurl}: {why}") from why

    def start(self, namespec: str) -> None:
        """Have a process started, without waiting until it runs: `processes` shows what becomes of it.

        supervisord looks for ended children before it answers, so that a program that has died at once makes
        this very call fault, or not, by how fast it died. Its state says the same in both cases: supervisord
        tries again, and gives up in the end. Raises `RefusedError` if there is nothing that could be started.
        """
        for_its_state_to_tell = (_ALREADY_STARTED, _SPAWN_ERROR, _ABNORMAL_TERMINATION)
        try:
            self.call("startProcess", namespec, False)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode not in for_its_state_to_tell:
                raise RefusedError(gave_up(namespec, _reason(fault))) from fault

    def stop(self, namespec: str) -> None:
        """Have a process stopped, without waiting for its end. One that has ended, or is no longer known, is no error.

        Raises `RefusedError` if supervisord cannot signal it.
        """
        self._end("stopProcess", namespec, False)

    def terminate(self, namespec: str) -> None:
        """Send a process TERM and have supervisord look after it as before; for the rest it is as `stop`."""
        self._end("signalProcess", namespec, "TERM")

    def _end(self, method: str, namespec: str, argument: Any) -> None:
        try:
            self.call(method, namespec, argument)
        except xmlrpc.client.Fault as fault:
            # It ended between supervisord's look at its state and the signal (supervisor/process.py, kill and signal).
            ended = fault.faultCode == _FAILED and "it wasn't running" in fault.faultString
            if fault.faultCode not in (_NOT_RUNNING, _BAD_NAME) and not ended:
                raise RefusedError(f"supervisord did not stop {namespec}: {_reason(fault)}.") from fault

    def pid(self) -> int:
        """Return the daemon's process number."""
        return int(self.call("getPID"))

    def processes(self) -> list[Process]:
        """Return all processes of all groups."""
        return [
            Process(
                group=info["group"],
                name=info["name"],
                state=info["statename"],
                pid=info["pid"],
                start=info["start"],
                spawnerr=info["spawnerr"],
            )
            for info in self.call("getAllProcessInfo")
        ]

    def commands(self) -> dict[str, str]:
        """Return the command of each process as it is configured, by GROUP:PROCESS.

        After `drift` that is what the disk has.
        """
        return {
            make_namespec(info["group"], info["name"]): str(info["command"]) for info in self.call("getAllConfigInfo")
        }

    def drift(self) -> dict[str, list[str]]:
        """Return the groups whose configuration on disk differs from what the daemon runs.

        ``added``, ``changed`` and ``removed``. The daemon reads its files for that,
        and applies nothing. Faults with CANT_REREAD if they are invalid.
        """
        ((added, changed, removed),) = self.call("reloadConfig")
        return {"added": added, "changed": changed, "removed": removed}


def gave_up(namespec: str, reason: str) -> str:
    """Return the sentence on a program that supervisord does not start any more, or cannot start at all."""
    return f"supervisord gave up starting {namespec}: {reason.rstrip('.')}."


def _reason(fault: xmlrpc.client.Fault) -> str:
    """Return a fault in words; its text is ``NAME: DETAIL``."""
    detail = str(fault.faultString).partition(": ")[2]
    if fault.faultCode == _BAD_NAME:
        return "its configuration lacks that program"
    return detail if fault.faultCode in (_NO_FILE, _NOT_EXECUTABLE, _FAILED) else f"it answers {fault.faultString}"
