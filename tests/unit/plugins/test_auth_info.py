# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is found out about the daemon, its processes, its socket and what it has to start."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import preflight, proc, supervisor_parser
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import supervisord as rpc
from ansible_collections.allianceauth.tuning.plugins.modules import auth_info

SLEEP = "command = /bin/sleep 1000\nstartsecs = 0\n"

# More than any kernel gives away.
NO_PID = 2**30

Start = Callable[[str], Any]
Wait = Callable[[Callable[[], object]], None]


@pytest.fixture
def start(supervisord: Start, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Start a supervisord with these sections, which the module asks."""

    def started(sections: str) -> Any:
        found = supervisord(sections)
        monkeypatch.setattr(rpc, "Daemon", lambda: found.daemon)
        return found

    return started


def process(pid: int) -> rpc.Process:
    return rpc.Process("myauth", "worker_00", "RUNNING" if pid else "STOPPED", pid, start=1, spawnerr="")


def test_the_daemon_tells_its_processes_and_how_it_differs_from_the_disk(start: Start) -> None:
    running = start(f"[program:worker]\n{SLEEP}[program:idle]\nautostart = false\n{SLEEP}")
    with (running.folder / "supervisord.conf").open("a") as main:
        main.write(f"[program:new]\n{SLEEP}")
    found = auth_info.look_at_daemon()
    assert (found["pid"], found["of_systemd"]) == (int((running.folder / "pid").read_text()), False)
    assert {one["namespec"]: (bool(one["pid"]), one["state"]) for one in found["processes"]} == {
        "worker:worker": (True, "RUNNING"),
        "idle:idle": (False, "STOPPED"),
    }
    assert found["drift"] == {"added": ["new"], "changed": [], "removed": []}


def test_who_can_change_the_programs_own_file_is_looked_at_where_the_role_has_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    conf_d, project = tmp_path / "conf.d", tmp_path / "myauth"
    for folder in (conf_d, project):
        folder.mkdir()
        folder.chmod(0o777)
    own, link = conf_d / "myauth.conf", project / "supervisor.conf"
    own.touch()
    link.symlink_to(own)
    extra = project / "extra.conf"
    extra.touch()

    def exposed(*loaded: Path) -> dict[str, str]:
        paths = auth_info.roots_alone([str(path) for path in loaded], (str(own), str(link)), str(project))
        return preflight.exposed(paths)

    assert exposed(own) == {str(own): "everybody"}
    # The guide's layout: what is in the project's folder belongs to the auth user, where the link is does not.
    own.unlink()
    link.unlink()
    link.touch()
    own.symlink_to(link)
    assert exposed(own) == {str(conf_d): "everybody"}
    assert exposed(link) == {}
    assert exposed(own, extra) == {str(extra): "everybody", str(conf_d): "everybody"}
    conf_d.chmod(0o755)
    assert exposed(own) == {}


def test_a_daemon_that_could_not_read_its_files_again_tells_all_else(start: Start) -> None:
    running = start(f"[program:worker]\n{SLEEP}")
    with (running.folder / "supervisord.conf").open("a") as main:
        main.write("[program:broken]\n")
    found = auth_info.look_at_daemon()
    assert [one["namespec"] for one in found["processes"]] == ["worker:worker"]
    (sentence,) = found["drift"]["unreadable"]
    assert sentence.startswith("CANT_REREAD: ")
    assert "program:broken" in sentence


def test_a_daemon_that_does_not_answer_is_a_problem_and_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = tmp_path / "supervisord.conf"
    main.write_text(f"[supervisorctl]\nserverurl = unix://{tmp_path}/s.sock\n")
    connection = rpc.Daemon(str(main))
    monkeypatch.setattr(rpc, "Daemon", lambda: connection)
    found = auth_info.look_at_daemon()
    assert f"does not answer at unix://{tmp_path}/s.sock" in found.pop("problem")
    assert found == {"processes": [], "drift": {}}


def test_the_children_of_each_process_are_its_own(start: Start, wait: Wait) -> None:
    forks = "command = /bin/sh -c 'sleep 1000 & sleep 1000; :'\nstartsecs = 0\nstopasgroup = true\n"
    running = start(f"[program:forks]\n{forks}[program:alone]\n{SLEEP}")
    pid = running.process("forks:forks").pid
    wait(lambda: len(proc.children([pid])[pid]) == 2)
    found = {one["name"]: one["children"] for one in auth_info.look_at_daemon()["processes"]}
    assert len(found["forks"]) == 2
    assert all(found["forks"])
    assert found["alone"] == []


def test_a_process_that_runs_has_its_weight_kind_and_limits(tmp_path: Path, wait: Wait) -> None:
    script = tmp_path / "memmon"
    script.write_text("sleep 1000; :\n")
    with subprocess.Popen(["/bin/sh", str(script), "-p", "worker_00=256MB"], start_new_session=True) as running:
        # The kernel has it a moment after it has begun the program.
        wait(lambda: proc.command_line(running.pid))
        found = auth_info.describe(process(running.pid), [os.getpid(), NO_PID], str(script))
        os.killpg(running.pid, signal.SIGKILL)
    assert (found["kind"], found["limits"]) == ("listener", {"worker_00": 256 * 1024**2})
    # The last of those below has ended meanwhile.
    assert (found["rss"] > 0, found["children"][0] > 0, found["children"][1]) == (True, True, 0)


def test_what_a_process_is_that_has_given_itself_a_title_is_told_by_its_configured_command(
    start: Start, tmp_path: Path, wait: Wait
) -> None:
    script = tmp_path / "celery"
    script.write_text("#!/bin/bash\nexec -a 'a title' sleep 1000\n")
    script.chmod(0o755)
    running = start(f"[program:worker_00]\ncommand = {script} -A myauth worker\nstartsecs = 0\n")
    wait(lambda: proc.command_line(running.process("worker_00:worker_00").pid)[:1] == ["a title"])
    assert [one["kind"] for one in auth_info.look_at_daemon()["processes"]] == ["worker"]


def test_a_process_that_does_not_run_is_described_all_the_same() -> None:
    said = process(0).as_dict()
    assert said["namespec"] == "myauth:worker_00"
    nothing: dict[str, Any] = {"began": None, "rss": 0, "children": [], "limits": {}, "watches": None}
    kinds = {"/venv/bin/celery worker": "worker", "/venv/bin/gunicorn myauth.wsgi": "other", "": "other"}
    for command, kind in kinds.items():
        assert auth_info.describe(process(0), [], command) == {**said, **nothing, "kind": kind}
    assert auth_info.describe(process(0), [], "/venv/bin/memmon -c -g a=1GB")["watches"]["groups"] == {"a": "1GB"}


def test_a_socket_is_told_with_who_may_connect(tmp_path: Path) -> None:
    path = str(tmp_path / "s.sock")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        os.chmod(path, 0o750)
        own = {"uid": os.getuid(), "gid": os.getgid()}
        assert auth_info.look_at_socket(path) == {"file": path, "mode": 0o750, **own}
    assert auth_info.look_at_socket(str(tmp_path / "nowhere.sock")) is None


RUN = "command = /bin/true\n"
OWN = f"""
[program:worker]
{RUN}numprocs = 2
process_name = %(program_name)s_%(process_num)02d
[program:by_hand]
{RUN}autostart = false
autorestart = true
[program:once]
{RUN}autorestart = false
[program:not_there]
command = /nowhere/celery
[group:myauth]
programs = worker, by_hand, once, not_there
[program:alone]
{RUN}
[eventlistener:memmon_worker_00]
{RUN}events = TICK_60
"""


@pytest.fixture
def effective(tmp_path: Path) -> dict[str, Any]:
    """Return what supervisor's parser makes of our own file and of somebody else's."""
    import supervisor.options  # noqa: F401

    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d/myauth.conf").write_text(OWN)
    (tmp_path / "conf.d/other.conf").write_text(f"[program:website]\n{RUN}")
    main = tmp_path / "supervisord.conf"
    main.write_text("[supervisord]\n[include]\nfiles = conf.d/*.conf\n")
    return supervisor_parser.effective(str(main))


def test_only_what_has_autorestart_true_is_started_again_however_it_ends(effective: dict[str, Any]) -> None:
    found = {process["name"]: process["restarts"] for group in effective["groups"] for process in group["processes"]}
    # `unexpected` is supervisor's default.
    assert (found["by_hand"], found["once"], found["alone"]) == (True, False, False)


def test_what_is_expected_is_what_our_file_has_run_all_the_time_and_can(
    effective: dict[str, Any], tmp_path: Path
) -> None:
    # supervisord reads it by one of the two names.
    ours = auth_info.own_groups(effective, str(tmp_path / "supervisor.conf"), str(tmp_path / "conf.d/myauth.conf"))
    assert {group["name"] for group in ours} == {"myauth", "alone", "memmon_worker_00"}
    assert sorted(auth_info.expected(ours)) == [
        "alone:alone",
        "memmon_worker_00:memmon_worker_00",
        "myauth:worker_00",
        "myauth:worker_01",
    ]


def test_nothing_is_expected_of_a_file_that_supervisord_does_not_read(
    effective: dict[str, Any], tmp_path: Path
) -> None:
    assert auth_info.own_groups(effective, str(tmp_path / "elsewhere.conf")) == []


def test_only_deaths_under_this_supervisord_are_of_a_program_that_does_not_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()

    def line(ago: float, said: str) -> str:
        return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(now - ago))},100 INFO {said}\n"

    died = "exited: worker_00 (exit status 2; not expected)"
    log = tmp_path / "supervisord.log"
    monkeypatch.setattr(auth_info, "LOG", str(log))
    process: dict[str, Any] = {"name": "worker_00", "start": now - 20}
    # The option that did not work was taken back by a restart since.
    log.write_text(line(90, died) * 4 + line(30, "supervisord started with pid 7"))
    auth_info.add_deaths([process])
    assert process["deaths"] == 0
    log.write_text(line(90, "supervisord started with pid 7") + line(40, died) * 4)
    auth_info.add_deaths([process])
    assert process["deaths"] == 4
