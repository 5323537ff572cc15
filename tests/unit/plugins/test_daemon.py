# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a real supervisord says of itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import xmlrpc.client
import xmlrpc.server
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import (
    guard_program,
    supervisor_parser,
    supervisord,
)
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import supervisord as rpc
from supervisor.xmlrpc import Faults, RPCError

SLEEP = "command = /bin/sleep 1000\nstartsecs = 0\n"

Start = Callable[[str], Any]


def test_it_names_every_process_by_group_and_name(supervisord: Start) -> None:
    found = supervisord(
        f"[program:worker]\n{SLEEP}numprocs = 2\nprocess_name = %(program_name)s_%(process_num)02d\n"
        "[group:myauth]\nprograms = worker\n"
    )
    assert [process.namespec for process in found.daemon.processes()] == ["myauth:worker_00", "myauth:worker_01"]
    assert found.daemon.pid() == int((found.folder / "pid").read_text())


def test_drift_tells_what_is_on_disk_and_not_in_effect_and_applies_nothing(supervisord: Start) -> None:
    found = supervisord(f"[program:a]\n{SLEEP}[program:b]\n{SLEEP}")
    assert found.daemon.drift() == {"added": [], "changed": [], "removed": []}
    main = found.folder / "supervisord.conf"
    text = (
        main.read_text().replace("[program:a]", "[program:new]").replace("[program:b]\n", "[program:b]\npriority = 1\n")
    )
    main.write_text(text)
    for _time in range(2):
        assert found.daemon.drift() == {"added": ["new"], "changed": ["b"], "removed": ["a"]}
    assert {process.name for process in found.daemon.processes()} == {"a", "b"}


def test_drift_of_an_invalid_file_is_a_fault(supervisord: Start) -> None:
    found = supervisord(f"[program:a]\n{SLEEP}")
    with (found.folder / "supervisord.conf").open("a") as main:
        main.write("[program:bad]\n")
    with pytest.raises(xmlrpc.client.Fault, match="CANT_REREAD"):
        found.daemon.drift()


def test_a_daemon_that_is_not_there_is_told_by_its_address(tmp_path: Path) -> None:
    main = tmp_path / "supervisord.conf"
    main.write_text(f"[supervisorctl]\nserverurl = unix://{tmp_path}/s.sock\n")
    with pytest.raises(supervisord.NotAnsweringError, match=f"does not answer at unix://{tmp_path}/s.sock"):
        supervisord.Daemon(str(main)).pid()


def test_a_main_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(supervisord.NotAnsweringError, match=r"does not say how to reach supervisord: .*nowhere\.conf"):
        supervisord.Daemon(str(tmp_path / "nowhere.conf"))


@pytest.fixture
def refusing(tmp_path: Path) -> Iterator[Callable[[int, str], supervisord.Daemon]]:
    """Connect to what answers every call with a fault, which a real supervisord does only now and then."""
    faults: list[RPCError] = []

    class Supervisord:
        def _dispatch(self, method: str, arguments: tuple[Any, ...]) -> None:
            raise xmlrpc.client.Fault(faults[-1].code, faults[-1].text)

    with xmlrpc.server.SimpleXMLRPCServer(("127.0.0.1", 0), logRequests=False) as answering:
        answering.register_instance(Supervisord())
        thread = threading.Thread(target=answering.serve_forever)
        thread.start()
        main = tmp_path / "supervisord.conf"
        main.write_text(f"[supervisorctl]\nserverurl = http://127.0.0.1:{answering.server_address[1]}\n")
        connection = supervisord.Daemon(str(main))

        def refuse(code: int, detail: str) -> supervisord.Daemon:
            faults.append(RPCError(code, detail))
            return connection

        yield refuse
        answering.shutdown()
        thread.join()


@pytest.mark.parametrize("code", [Faults.SPAWN_ERROR, Faults.ABNORMAL_TERMINATION, Faults.ALREADY_STARTED])
def test_a_program_that_dies_before_the_answer_is_left_to_its_state(refusing: Any, code: int) -> None:
    refusing(code, "myauth:worker_00").start("myauth:worker_00")


@pytest.mark.parametrize(
    ("code", "detail", "said"),
    [
        (Faults.NO_FILE, "can't find command '/venv/bin/celery'", "can't find command '/venv/bin/celery'."),
        (Faults.NOT_EXECUTABLE, "command at '/x' is a directory", "command at '/x' is a directory."),
        (Faults.FAILED, "a:b is in an unknown process state", "a:b is in an unknown process state."),
        (Faults.BAD_NAME, "a:b", "its configuration lacks that program."),
    ],
)
def test_what_cannot_be_started_is_told_in_a_sentence(refusing: Any, code: int, detail: str, said: str) -> None:
    with pytest.raises(supervisord.RefusedError) as refused:
        refusing(code, detail).start("a:b")
    assert str(refused.value) == f"supervisord gave up starting a:b: {said}"


@pytest.mark.parametrize("method", [supervisord.Daemon.stop, supervisord.Daemon.terminate])
def test_what_has_ended_meanwhile_needs_no_stop(refusing: Any, method: Callable[..., None]) -> None:
    method(refusing(Faults.NOT_RUNNING, "a:b"), "a:b")
    method(refusing(Faults.BAD_NAME, "a:b"), "a:b")
    method(refusing(Faults.FAILED, "attempted to kill b with sig SIGTERM but it wasn't running"), "a:b")
    method(refusing(Faults.FAILED, "attempted to send b sig SIGTERM but it wasn't running"), "a:b")


@pytest.mark.parametrize("method", [supervisord.Daemon.stop, supervisord.Daemon.terminate])
def test_what_cannot_be_stopped_is_told_in_a_sentence(refusing: Any, method: Callable[..., None]) -> None:
    with pytest.raises(supervisord.RefusedError, match=r"^supervisord did not stop a:b: unknown problem killing b\.$"):
        method(refusing(Faults.FAILED, "unknown problem killing b"), "a:b")


def test_a_supervisord_that_is_just_being_stopped_counts_as_not_answering(refusing: Any) -> None:
    connection = refusing(Faults.SHUTDOWN_STATE, None)
    for look in (connection.processes, connection.pid, connection.drift, lambda: connection.start("a:b")):
        with pytest.raises(supervisord.NotAnsweringError, match="is just being stopped or restarted"):
            look()


def test_a_supervisord_that_has_been_stopped_is_not_waited_for_without_end(
    supervisord: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The test has as much time as it takes; a user has not.
    monkeypatch.setattr(guard_program, "_RPC_SECONDS", 1)
    found = supervisord(f"[program:a]\n{SLEEP}")
    os.kill(found.daemon.pid(), signal.SIGSTOP)
    try:
        with pytest.raises(rpc.NotAnsweringError, match=r"does not answer at unix:///.*/s\.sock: timed out"):
            found.daemon.processes()
    finally:
        os.kill(int((found.folder / "pid").read_text()), signal.SIGCONT)
    assert [process.name for process in found.daemon.processes()] == ["a"]


PLAIN = "[supervisord]\n[supervisorctl]\n; how it is reached\nserverurl = {url} ; by root\n{more}"


@pytest.mark.parametrize(
    ("url", "more"),
    [
        ("unix:///run//s.sock", ""),
        ("http://127.0.0.1:9001", "username = admin\npassword = a;b#c"),
        ("http://127.0.0.1:9001", "username = admin\npassword = x ; not this"),
        ("unix:///run/s.sock", "Password: %(ENV_HOME)s%%"),
        ("unix://%(here)s/s.sock", ""),
        ("unix://~/s.sock", ""),
    ],
)
def test_how_it_is_reached_is_read_as_supervisorctl_reads_it(tmp_path: Path, url: str, more: str) -> None:
    main = tmp_path / "supervisord.conf"
    main.write_text(PLAIN.format(url=url, more=more))
    theirs = supervisor_parser._outcome(lambda: supervisor_parser._realize_client(str(main)))
    assert supervisor_parser.client(str(main)) == theirs
    assert bool(supervisor_parser._plain_client(str(main))) == ("%" not in url + more and "~" not in url)


def test_a_daemon_is_asked_without_the_import_of_supervisors_parser(supervisord: Start) -> None:
    found = supervisord(f"[program:a]\n{SLEEP}")
    main = str(found.folder / "supervisord.conf")
    ask = f"import sys; from {rpc.__name__} import Daemon; print(Daemon({main!r}).pid(), 'supervisor' in sys.modules)"
    path = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    said = subprocess.run([sys.executable, "-c", ask], env=path, capture_output=True, text=True, check=True)
    assert said.stdout.split() == [str(found.daemon.pid()), "False"]
