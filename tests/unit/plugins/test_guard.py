# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run sets, renews and ends its guard, and does nothing any more once that has acted."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.allianceauth.tuning.plugins.action import supervisor_programs as action
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import consumers_program, guard, guard_program

OWNER = "somebody@laptop, process 1 started at 2"
OTHER = "else@desk, process 3 started at 4"
FOUND: dict[str, Any] = {
    "daemon": {"pid": 1, "start": 2},
    "ran": ["myauth:beat"],
    "stopped": [],
    "site": [],
    "standby": "/nowhere",
    "serving": "allianceauth-tuning-nobody-worker-",
    "patience": 300,
    "access": {"serverurl": "unix:///nowhere", "username": None, "password": None},
}
FILE = {"path": "/myauth.conf", "backup": "", "uid": 0, "gid": 0, "mode": 0o640}

Wait = Callable[[Callable[[], object]], None]


class Failed(Exception):
    """A module's fail_json."""


class Module(AnsibleModule):
    """As much of a module as a guard needs."""

    def __init__(self, owner: str = OWNER, seconds: Any = "120", check_mode: bool = False) -> None:
        # Numbers from templates are text before ansible-core 2.19.
        self.params = {"guard": {"name": "myauth", "owner": owner, "seconds": seconds}}
        self.check_mode = check_mode
        self.failure: dict[str, Any] = {}

    def fail_json(self, msg: str, **result: Any) -> NoReturn:
        self.failure = {"msg": msg, **result}
        raise Failed(msg)


class Server:
    """A server's folders, and what systemd was asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls: list[Sequence[str]] = []
        self.has_timer = False
        self.refuses = ""

    def run(self, *command: str) -> str:
        self.calls.append(command)
        if command[:2] == ("systemctl", "restart"):
            return "" if self.has_timer else "Unit not found."
        if command[0] == "systemd-run" and not self.refuses:
            self.has_timer = True
        return self.refuses

    def lock(self, **held: Any) -> None:
        Path(guard.lock_path()).write_text(json.dumps(held))

    @property
    def state(self) -> dict[str, Any]:
        return guard_program.load(guard._state_path("myauth"))

    def verbs(self) -> list[str]:
        return [" ".join(command[:2]) if command[0] == "systemctl" else command[0] for command in self.calls]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """Have a server whose lock is the run's."""
    found = Server(tmp_path)
    monkeypatch.setattr(guard, "RUN_FOLDER", str(tmp_path))
    monkeypatch.setattr(guard, "REPORT_FOLDER", str(tmp_path))
    monkeypatch.setattr(guard, "systemd", found.run)
    found.lock(owner=OWNER)
    return found


def test_a_run_sets_a_timer_with_a_program_that_root_alone_can_write(host: Server) -> None:
    guard.put(Module(), FOUND)
    (command,) = [command for command in host.calls if command[0] == "systemd-run"]
    assert "--unit=allianceauth-tuning-myauth-guard" in command
    assert "--on-active=120" in command
    assert list(command[-4:-2]) == ["/usr/bin/python3", "-I"]
    program, state = map(Path, command[-2:])
    assert program.read_text() == Path(guard_program.__file__).read_text()
    assert [path.stat().st_mode & 0o777 for path in (program.parent, program, state)] == [0o700, 0o600, 0o600]
    other = program.parent / guard_program.CONSUMERS
    assert other.read_text() == Path(consumers_program.__file__).read_text()
    assert {key: host.state[key] for key in FOUND} == FOUND
    assert host.state["owner"] == OWNER
    assert 110 < host.state["deadline"] - time.monotonic() <= 120


def test_the_guard_knows_whether_workers_have_queues_yet(host: Server) -> None:
    guard.put(Module(), FOUND)
    assert not host.state["private"]
    guard.remember_serving(Module(), private=True)
    assert host.state["private"]
    # From here on the queues are handed over, whoever does it.
    guard.remember_waiting(Module(), {"myauth:worker_00": {"node": "a", "queues": ["celery"]}})
    assert not host.state["private"]


def test_a_run_that_cannot_have_a_guard_stops_nothing(host: Server) -> None:
    host.refuses = "Failed to connect to bus: No such file or directory"
    with pytest.raises(guard.NotSetError, match=r"so nothing was stopped: Failed to connect to bus: No such file.*\.$"):
        guard.put(Module(), FOUND)
    assert not guard.look("myauth")["pending"]


def test_each_call_renews_it_and_systemd_hears_of_some(host: Server) -> None:
    guard.put(Module(), FOUND)
    host.calls.clear()
    guard_program.save(guard._state_path("myauth"), {**host.state, "deadline": 0})
    with guard.as_owner(Module()):
        pass
    assert host.state["deadline"] > time.monotonic()
    assert host.calls == []
    guard_program.save(guard._state_path("myauth"), {**host.state, "timer_set": time.monotonic() - 41})
    with guard.as_owner(Module()):
        pass
    assert host.verbs() == ["systemctl restart"]


def test_a_call_that_lasts_longer_renews_it_meanwhile(host: Server, wait: Wait) -> None:
    guard.put(Module(seconds=1), FOUND)
    with guard.as_owner(Module(seconds=1)):
        began = host.state["deadline"]
        wait(lambda: host.state["deadline"] > began + 1)
    renewed = host.state["deadline"]
    time.sleep(1)
    assert host.state["deadline"] == renewed


def test_who_renews_ends_with_a_module_that_was_killed(host: Server, wait: Wait) -> None:
    guard.put(Module(seconds=1), FOUND)
    pid = os.fork()
    if pid == 0:
        with guard.as_owner(Module(seconds=1)):
            os.kill(os.getpid(), 9)
    os.waitpid(pid, 0)
    wait(lambda: host.state["deadline"] < time.monotonic())


def test_a_run_whose_guard_has_acted_touches_nothing_and_says_what_it_did(host: Server) -> None:
    report = {"owner": OWNER, "cut": 0, "did": ["myauth:beat was started"], "problems": []}
    guard_program.save(guard.report_path("myauth"), report)
    host.lock(released=1)
    module, touched = Module(), False
    with pytest.raises(Failed), guard.as_owner(module):
        touched = True
    assert not touched
    assert module.failure["guard_acted"]
    assert module.failure["msg"].endswith(
        " has not heard of this run for 120 s, so it was taken for dead. The guard of a run of somebody@laptop that "
        "was cut off at 1970-01-01 00:00:00 UTC had to act: myauth:beat was started. Nothing more was touched: run it "
        "again."
    )


def test_who_has_the_lock_by_now_is_said(host: Server) -> None:
    host.lock(owner="the guard of a run of somebody@laptop that was cut off at noon")
    module = Module()
    with pytest.raises(Failed, match="The guard of a run of .* at noon is bringing back what ran before"):
        guard.unproven(module, "", FILE)
    host.lock(owner=OTHER)
    with pytest.raises(Failed, match="By now it is the turn of else@desk. Nothing more"):
        guard.put(module, FOUND)


def test_without_a_run_or_in_check_mode_nothing_is_asked(host: Server) -> None:
    host.lock(owner=OTHER)
    for module in (Module(owner=""), Module(check_mode=True)):
        with guard.as_owner(module):
            guard.put(module, FOUND)
            guard.unproven(module, "", FILE)
    assert host.calls == []


def test_the_first_file_that_a_run_replaces_is_the_one_to_go_back_to(host: Server) -> None:
    guard.put(Module(), FOUND)
    guard.unproven(Module(), "proven\udcff", FILE)
    guard.unproven(Module(), "not proven", {**FILE, "backup": "/later"})
    assert host.state["unproven"] == FILE
    assert (host.folder / "allianceauth.tuning.myauth.guard/proven.conf").read_bytes() == b"proven\xff"


def test_a_run_takes_over_what_the_guard_of_a_dead_one_would_bring_back(host: Server) -> None:
    guard.put(Module(), FOUND)
    guard.unproven(Module(), "proven", FILE)
    # A worker that takes no more tasks.
    worker = {"myauth:worker_00": {"node": "worker_00@auth1", "queues": ["celery"], "pid": 7, "start": 8}}
    guard.remember_consumers(Module(), {"project": "myauth"}, worker, "app.new is not both")
    # One that was told to finish, and one that had just ended.
    guard.remember_finishing(Module(), "myauth:worker_01", os.getpid())
    guard.remember_finishing(Module(), "myauth:worker_02", 0)
    assert guard.look("myauth") == {"pending": True, "said": ""}
    host.lock(owner=OTHER)
    guard.adopt("myauth", OTHER)
    assert host.state["owner"] == OTHER
    assert host.state["adopted"]
    # By now the new file is loaded, and beat is stopped.
    guard.put(Module(OTHER), {**FOUND, "ran": ["myauth:gunicorn"], "daemon": {"pid": 5, "start": 6}})
    assert host.state["ran"] == ["myauth:beat", "myauth:gunicorn"]
    assert list(host.state["finishing"]) == ["myauth:worker_01"]
    assert host.state["unproven"] == FILE
    assert host.state["daemon"] == FOUND["daemon"]
    assert host.state["consumers"] == worker
    assert host.state["apart"] == "app.new is not both"
    # What that run may have stopped of others is not known to the present one, which asks for it with each start.
    assert host.state["adopted"]


def test_a_run_that_takes_its_lock_again_has_its_own_guard(host: Server) -> None:
    guard.put(Module(), FOUND)
    guard.adopt("myauth", OWNER)
    assert not host.state["adopted"]


def test_a_run_that_ends_ends_its_guard(host: Server) -> None:
    guard.put(Module(), FOUND)
    guard.end("myauth")
    assert host.verbs()[-1] == "systemctl stop"
    assert guard.look("myauth") == {"pending": False, "said": ""}
    host.calls.clear()
    guard.end("myauth")
    assert host.calls == []


def test_what_a_guard_has_said_is_told_once(host: Server) -> None:
    guard_program.save(guard.report_path("myauth"), {"owner": OWNER, "cut": 0, "did": [], "problems": ["It is late."]})
    assert guard.look("myauth")["said"].endswith("had to act: all ran. It is late.")
    assert guard.forget("myauth")
    assert guard.look("myauth")["said"] == ""
    assert not guard.forget("myauth")


def test_what_a_guard_has_said_on_a_full_disk_is_told_as_well(host: Server) -> None:
    guard.put(Module(), FOUND)
    said = {"owner": OWNER, "cut": 0, "problems": []}
    guard_program.save(host.state["report"], {**said, "acted": 1, "did": ["the first"]})
    guard_program.save(host.state["aside"], {**said, "acted": 2, "did": ["the last"]})
    assert guard.look("myauth")["said"].endswith("had to act: the last.")
    assert guard.forget("myauth")
    assert guard.look("myauth")["said"] == ""
    # It is none of another project.
    assert guard.pending_elsewhere("other") == ["myauth"]


def test_systemd_is_asked_and_what_it_says_is_returned() -> None:
    assert guard.systemd("true") == ""
    assert guard.systemd("sh", "-c", "echo no >&2; exit 1") == "no"
    assert guard.systemd("false") == "it does not say why"
    assert "No such file" in guard.systemd("/nowhere/systemctl")


class Line:
    """An action plugin whose line to the server is cut for some calls."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cuts: int, seconds: int) -> None:
        self.calls: list[dict[str, Any]] = []
        plugin: Any = action.ActionModule.__new__(action.ActionModule)
        arguments = {"state": "running", "guard": {"name": "myauth", "owner": OWNER, "seconds": seconds}}
        plugin._task = SimpleNamespace(args=arguments)
        plugin._vars, plugin._run_process = {"inventory_hostname": "auth1"}, os.getppid()

        def execute(module_args: dict[str, Any], **_rest: Any) -> dict[str, Any]:
            self.calls.append(module_args)
            if len(self.calls) <= cuts:
                raise AnsibleConnectionFailure("Connection reset by peer")
            return {"pending": []}

        monkeypatch.setattr(plugin, "_execute_module", execute)
        monkeypatch.setattr(action, "_LINE_SECONDS", 0.1)
        self.plugin = plugin


def test_a_hiccup_of_the_line_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(monkeypatch, cuts=3, seconds=60)
    assert line.plugin._call(state="running") == {"pending": []}
    assert len(line.calls) == 4
    # Those that the plugin makes by itself as well.
    assert line.calls[0]["guard"]["owner"] == OWNER


@pytest.mark.parametrize("seconds", [0, 1])
def test_a_host_is_given_up_when_it_brings_itself_back(monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    line = Line(monkeypatch, cuts=1000, seconds=seconds)
    began = time.monotonic()
    with pytest.raises(AnsibleConnectionFailure):
        line.plugin._call(state="running")
    assert seconds <= time.monotonic() - began < seconds + 30


@pytest.mark.parametrize("program", [guard_program, consumers_program])
def test_the_program_is_one_file_that_imports_nothing_but_the_library(program: Any) -> None:
    code = f"import runpy; runpy.run_path({program.__file__!r})"
    subprocess.run(["/usr/bin/python3", "-I", "-c", code], check=True)


def test_once_the_new_file_has_proved_itself_the_guard_puts_none_back(host: Server) -> None:
    guard.put(Module(), FOUND)
    guard.unproven(Module(), "old", {"path": "/etc/x.conf"})
    assert host.state["unproven"] == {"path": "/etc/x.conf"}
    guard.proven(Module())
    assert host.state["unproven"] is None
    assert host.state["ran"] == FOUND["ran"]


def test_what_somebody_had_stopped_is_what_the_first_of_several_runs_has_found(host: Server) -> None:
    guard.put(Module(), {**FOUND, "ran": ["myauth:beat", "bot:bot"], "stopped": ["site:site"]})
    # That run was killed when it had stopped the bot, and supervisord had started the site.
    host.lock(owner=OTHER)
    guard.adopt("myauth", OTHER)
    later = {"ran": ["myauth:beat", "site:site"], "stopped": ["bot:bot", "x:x"], "daemon": {"pid": 8, "start": 9}}
    guard.put(Module(OTHER), {**FOUND, **later})
    assert host.state["ran"] == ["bot:bot", "myauth:beat"]
    assert host.state["stopped"] == ["site:site", "x:x"]
    assert (host.state["first"], host.state["daemon"]) == (FOUND["daemon"], later["daemon"])


def test_a_guard_of_another_project_is_seen(host: Server) -> None:
    guard.put(Module(), FOUND)
    assert guard.pending_elsewhere("other") == ["myauth"]
    assert guard.pending_elsewhere("myauth") == []
