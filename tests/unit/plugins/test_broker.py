# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The broker that a run has noted: it is there or not, and it has one beat, over all hosts of a run."""

from __future__ import annotations

import os
import socket
import threading
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.plugins.action import ActionBase
from ansible_collections.allianceauth.tuning.plugins.action import auth_lock, auth_report
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import plan, report, variables
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import audit_program, broker, code, proof

from tests.unit.plugins.planning import INFO, STEPS, WANTED


def checked(identity: str) -> dict[str, Any]:
    """Return what is known of a host that changes something."""
    decided = {"plan": {"job": "apply", "actions": {"restart": ["why"]}}}
    return {"__auth_decided": decided, "__auth_checked": {"beat_broker": identity}}


def looked(identity: str, *processes: str, actions: Any = ()) -> dict[str, Any]:
    """Return what is known of a host that was looked at alone."""
    expected = {"processes": list(processes)}
    decided = {"job": "apply", "actions": {step: ["why"] for step in actions}, "expected": expected}
    info = {"broker": {"identity": identity} if identity else {}}
    return {"__auth_checked": {}, "__auth_decided": {"plan": decided}, "__auth_info": info}


@pytest.mark.parametrize(
    ("ours", "other", "is_refused"),
    [
        (checked("run/0"), checked("run/0"), True),
        (checked("run/0"), checked("run/1"), False),
        (checked("run/0"), checked(""), False),
        (checked(""), checked(""), False),
        (checked("run/0"), looked("run/0", "myauth:worker_00", "myauth:beat"), True),
        (checked("run/0"), looked("run/0", "myauth:worker_00"), False),
        (checked("run/0"), looked("", "myauth:beat"), False),
        # It is to be looked into yet.
        (checked("run/0"), looked("run/0", "myauth:beat", actions=["restart"]), False),
        (checked("run/0"), {}, False),
    ],
)
def test_a_second_beat_on_one_broker_is_refused_before_anything_is_touched(
    ours: dict[str, Any], other: dict[str, Any], is_refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    action = auth_lock.ActionModule.__new__(auth_lock.ActionModule)
    action._task = types.SimpleNamespace(args={})  # type: ignore[assignment]
    monkeypatch.setattr(ActionBase, "run", lambda *_given: {})
    taken: dict[str, Any] = {"changed": True}
    monkeypatch.setattr(action, "_execute_module", lambda **_given: taken)
    hosts = {"auth1": ours, "auth2": other}
    known = {**ours, "inventory_hostname": "auth1", "hostvars": hosts, "ansible_play_hosts_all": list(hosts)}
    answer = action.run(task_vars=known)
    if not is_refused:
        assert answer == taken
        return
    assert answer["failed"]
    assert answer["msg"].startswith("auth1: auth_beat is true here and for auth2, on one and the same broker, ")


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Any]:
    """Serve one answer at a socket."""
    path, served = str(tmp_path / "redis.sock"), types.SimpleNamespace(answer=b"")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()

        def serve() -> None:
            connection, _address = listening.accept()
            with connection:
                assert connection.recv(99) == b"INFO server\r\n"
                connection.sendall(served.answer)

        threading.Thread(target=serve, daemon=True).start()
        served.path = path
        yield served


def noted(address: str, changed: float = 1.0) -> dict[str, Any]:
    sources = [{"path": "/myauth/settings/local.py", "time": 1.0}]
    kept = {"broker": {"address": address, "identity": "aa/0", "sources": sources}}
    return {"kept": kept, "sources": [{**sources[0], "time": changed}]}


@pytest.mark.parametrize(
    ("answer", "identity"),
    [(b"$30\r\n# Server\r\nrun_id:bb\r\n\r\n", "bb/0"), (b"-NOAUTH Authentication required.\r\n", "aa/0")],
)
def test_a_broker_that_answers_says_which_one_it_is(redis: Any, answer: bytes, identity: str) -> None:
    redis.answer = answer
    found = broker.look(noted(redis.path), os.getuid())
    assert found == {"address": redis.path, "identity": identity, "problem": ""}


def test_a_broker_that_is_not_there_is_warned_of_where_there_is_nothing_to_do(defaults: dict[str, Any]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        found = broker.look(noted(address), os.getuid())
    assert found == {"address": address, "identity": "aa/0", "problem": "Connection refused"}
    # Its settings may name another by now, also a file that was put back.
    for changed in (0.5, 3.0):
        assert broker.look(noted(address, changed=changed), os.getuid()) == {}
    declared, refusals = variables.declare(defaults, "auth1")
    assert refusals == []
    said = plan.apply(declared, {**INFO, "broker": found}, WANTED, STEPS).warnings
    assert [f"Redis at {address}" in one and "does not answer (Connection refused)" in one for one in said] == [True]


def test_a_restart_that_has_not_asked_for_the_broker_notes_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof, "FOLDER", str(tmp_path))
    found = {"address": "127.0.0.1:6379", "identity": "aa/0", "sources": []}
    for given in (found, {}):
        code.keep("myauth", "", os.getuid(), given)
        assert code.look("", str(tmp_path), "myauth", os.getuid())["kept"]["broker"] == given


def test_a_broker_that_says_nothing_is_told_in_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(broker, "_SECONDS", 1)
    path = str(tmp_path / "silent.sock")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        assert broker.look(noted(path), os.getuid())["problem"] == "no answer within 1 s"
        # As long as a name server may take.
        monkeypatch.setattr(broker, "_ALL_SECONDS", 1)
        monkeypatch.setattr(broker, "_SECONDS", 60)
        assert broker.look(noted(path), os.getuid())["problem"] == "no answer within 1 s"


def test_a_broker_that_hangs_up_is_told_in_words(redis: Any) -> None:
    redis.answer = b""
    assert broker.look(noted(redis.path), os.getuid())["problem"] == "it closes the connection"


def test_a_second_beat_on_a_host_that_is_looked_at_later_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    late = looked("run/0", "myauth:beat")
    action = auth_report.ActionModule.__new__(auth_report.ActionModule)
    plan = {"job": "apply", "actions": {}}
    action._task = types.SimpleNamespace(args={}, check_mode=False)  # type: ignore[assignment]
    monkeypatch.setattr(ActionBase, "run", lambda *_given: {})
    monkeypatch.setattr(action, "validate_argument_spec", lambda **_given: (None, {"plan": plan, "results": {}}))
    told = types.SimpleNamespace(lines=list, changes=list, warnings=list)
    monkeypatch.setattr(report, "Report", lambda *_given: told)
    hosts = {"auth1": checked("run/0"), "auth2": late}
    known = {**late, "inventory_hostname": "auth2", "hostvars": hosts, "ansible_play_hosts_all": list(hosts)}
    (said,) = action.run(task_vars=known)["warnings"]
    assert said.startswith("auth2: auth_beat is true here and for auth1, on one and the same broker, ")


@pytest.mark.parametrize(
    ("driver", "ssl", "given", "address"),
    [
        ("redis", False, {"host": "127.0.0.1", "port": 6379, "password": "kittiwake"}, "127.0.0.1:6379"),
        ("redis", False, {"path": "/run/redis.sock"}, "/run/redis.sock"),
        ("redis", {"ssl_cert_reqs": None}, {"host": "a", "port": 1}, ""),
        ("amqp", False, {}, ""),
    ],
)
def test_the_address_of_a_broker_has_no_password(driver: str, ssl: Any, given: dict[str, Any], address: str) -> None:
    pool = types.SimpleNamespace(connection_kwargs=given)
    channel = types.SimpleNamespace(client=types.SimpleNamespace(connection_pool=pool))
    transport = types.SimpleNamespace(driver_type=driver)
    connection = types.SimpleNamespace(transport=transport, ssl=ssl, default_channel=channel)
    assert audit_program.address(connection) == address
