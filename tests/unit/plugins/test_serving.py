# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Workers that take tasks while the supervised ones restart: their commands and environments."""

from __future__ import annotations

import contextlib
import os
import pwd
import socket
import subprocess
import time
import types
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import handover, stages, variables
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.decided import Serving
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import (
    celery_cli,
    guard,
    proc,
    serving,
    standby,
    supervisor_parser,
    supervisord,
)
from ansible_collections.allianceauth.tuning.plugins.modules import (
    celery_standby,
    gunicorn_standby,
    supervisor_programs,
)

from tests.unit.plugins.planning import INFO, declare

CELERY = ["/venv/bin/celery", "-A", "myauth", "worker", "--pool=threads"]


@pytest.mark.parametrize(
    "own", [["-n", "worker_00@auth1"], ["-nworker_00"], ["--hostname=worker_00@%h"], ["--hostname", "worker_00"], []]
)
def test_another_worker_has_the_same_command_and_a_node_name_of_its_own(own: list[str]) -> None:
    assert serving.command([*CELERY, *own, "-Q", "a,b"], "other@auth1") == [*CELERY, "-Q", "a,b", "-n", "other@auth1"]


QUEUES = [
    ([], ["celery", "slow"]),
    (["-Q", "a,b"], ["a", "b"]),
    (["-Qa", "--queues=b", "--queues", "c"], ["a", "b", "c"]),
    (["-X", "slow"], ["celery"]),
    (["-Q", "a,b", "--exclude-queues=b"], ["a"]),
]


@pytest.mark.parametrize(("own", "queues"), QUEUES)
def test_one_that_may_not_take_tasks_yet_begins_on_a_queue_of_its_own(own: list[str], queues: list[str]) -> None:
    private = ["-Q", "allianceauth-tuning", "-n", "other@auth1"]
    assert serving.command([*CELERY, *own, "-n", "worker_00"], "other@auth1", private=True) == [*CELERY, *private]
    # Those that it is to get later.
    assert serving.queues([*CELERY, *own], ["celery", "slow"]) == queues


def test_one_that_an_earlier_run_has_left_takes_tasks_until_its_successor_does() -> None:
    units = [f"{serving.prefix('myauth')}{name}-1764107412.service" for name in ("worker_01", "slow_00", "gone_00")]
    waiting: dict[str, Any] = {"myauth:worker_00": {"node": "a"}, "myauth:slow_00": {"node": "b"}}
    given = {"state": "present", "name": "myauth"}
    assert celery_standby.dispensable(given, units, waiting) == units[2:]
    assert {process: one["replaces"] for process, one in waiting.items()} == {
        "myauth:worker_00": units[:1],
        "myauth:slow_00": units[1:2],
    }
    # Nobody waits, so all of them end.
    assert celery_standby.dispensable(given, units, {}) == units


@pytest.mark.parametrize(
    ("taking", "told", "known_to_the_guard", "handed_over"),
    [
        ({"a", "b"}, {"a"}, False, False),
        # One that was told does not answer: only a run that is called off, or cut off, hands the queues over.
        ({"b"}, {"a", "b"}, True, False),
        (set(), {"a", "b"}, True, True),
    ],
)
def test_queues_are_handed_over_once_no_old_worker_may_take_a_task(
    monkeypatch: pytest.MonkeyPatch, taking: set[str], told: set[str], known_to_the_guard: bool, handed_over: bool
) -> None:
    noted: list[Any] = []
    monkeypatch.setattr(guard, "remember_waiting", lambda _module, waiting: noted.append(dict(waiting)))
    work: Any = types.SimpleNamespace(may_take_tasks=lambda _names: taking, stop_requests=dict.fromkeys(told))
    known: Any = types.SimpleNamespace(hand_over=lambda _waiting: {})
    module: Any = types.SimpleNamespace(params={"workers": ["a", "b"]})
    waiting = {"a": {"node": "new@auth1", "queues": ["celery"]}}
    result: dict[str, Any] = {"waiting": waiting, "handed_over": None}
    supervisor_programs.hand_over(work, known, module, result)
    assert (waiting in noted) is known_to_the_guard
    assert (result["waiting"] == {}) is (result["handed_over"] is not None) is handed_over


def test_only_the_workers_of_pools_that_still_finish_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    units = [f"{serving.prefix('myauth')}{name}-1764107412.service" for name in ("worker_00", "worker_services_00")]
    stopped: list[str] = []
    monkeypatch.setattr(serving, "stop", stopped.extend)
    monkeypatch.setattr(serving, "units", lambda _name: units)
    monkeypatch.setattr(celery_standby, "running_tasks", lambda *_: {})
    given = {"name": "myauth", "keep": ["myauth:worker_01"], "longest": 600}
    kept = celery_standby.end(given, units)["kept"]
    assert stopped == units[1:]
    assert kept.startswith("Another worker takes the tasks of worker until the next run that restarts ends it, or ")
    assert f"systemd 100 minutes after it began, or you do (sudo systemctl stop {units[0]})." in kept
    assert celery_standby.end({**given, "keep": []}, units)["kept"] == ""


@pytest.mark.parametrize("answers", [True, False])
def test_those_that_end_are_asked_before_what_they_run(monkeypatch: pytest.MonkeyPatch, answers: bool) -> None:
    units = [
        f"{serving.prefix('myauth')}{name}-1764107412.service"
        for name in ("worker_00", "slow_00", "gone_00", "kept_00")
    ]
    done: list[Any] = []

    def ask(what: str, nodes: list[str], seconds: float) -> Any:
        assert what == "active"
        assert seconds <= 5
        done.append(nodes)
        if not answers:
            raise celery_cli.CannotAskError("no")
        return {"worker_00-1764107412@auth1": [{"name": "a.b", "id": "1", "time_start": time.time() - 40}]}

    monkeypatch.setattr(socket, "gethostname", lambda: "auth1")
    monkeypatch.setattr(celery_cli.Application, "configured", lambda *_: types.SimpleNamespace(answers=ask))
    monkeypatch.setattr(serving, "units", lambda _name: units)
    # The others were told by an earlier run, or an earlier call of this one.
    monkeypatch.setattr(serving, "active", lambda _name: [units[0], units[3]])
    monkeypatch.setattr(serving, "stop", done.append)
    told = celery_standby.end({"name": "myauth", "keep": ["myauth:kept_00"], "longest": 600}, units)
    assert done == [["worker_00-1764107412@auth1"], units[:3]]
    tasks = {"myauth:worker_00": [{"name": "a.b", "id": "1", "age": 40}]}
    assert told["running_tasks"] == (tasks if answers else {})
    assert told["found"] == ["myauth:kept_00", "myauth:worker_00"]
    done.clear()
    monkeypatch.setattr(serving, "active", lambda _name: [])
    assert celery_standby.end({"name": "myauth", "keep": [], "longest": 600}, [])["running_tasks"] == {}
    assert done == [[]]


def test_one_that_was_told_to_finish_is_not_said_to_take_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "_UNITS_FOLDER", str(tmp_path))
    states = {f"{serving.prefix('myauth')}{name}.service": name for name in ("active", "deactivating")}
    for unit in states:
        (tmp_path / unit).touch()
    asked = types.SimpleNamespace
    monkeypatch.setattr(serving, "_run", lambda *command: asked(stdout=f"{states[command[-1]]}\n"))
    assert serving.active("myauth") == [f"{serving.prefix('myauth')}active.service"]
    assert serving.active("other") == []


class Memory:
    """A server on which gunicorn holds 300 MB, and a worker with threads 100 MB."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, available: int) -> None:
        pids = {"myauth:gunicorn": 1, "myauth:worker_00": 2}
        processes = [types.SimpleNamespace(namespec=name, pid=pid) for name, pid in pids.items()]
        monkeypatch.setattr(supervisord, "Daemon", lambda: types.SimpleNamespace(processes=lambda: processes))
        monkeypatch.setattr(proc, "command_line", lambda pid: {1: ["gunicorn"], 2: [*CELERY]}[pid])
        monkeypatch.setattr(proc, "rss", {1: 300 * 1024**2, 2: 100 * 1024**2}.get)
        monkeypatch.setattr(proc, "children", lambda pids: {pid: [] for pid in pids})
        monkeypatch.setattr(proc, "memory_available", lambda: available * 1024**2)
        monkeypatch.setattr(celery_standby, "missing_connections", lambda _given: "")
        monkeypatch.setattr(celery_standby, "wait", lambda *_: None)
        monkeypatch.setattr(standby, "start", lambda *_: "")

    @staticmethod
    def lets_the_site_be_there() -> bool:
        try:
            gunicorn_standby.begin([1], "", "", {"name": "myauth", "processes": ["myauth:gunicorn"], **WAIT})
        except standby.ImpossibleError:
            return False
        return True


WAIT = {"reserve": 0, "timeout": 1}
NINE = 9 * 100


@pytest.mark.parametrize(
    ("available", "site", "why"),
    [
        (NINE + 300, True, ""),
        # The site goes first: what it needs is not given to workers.
        (NINE + 299, True, f"there is no memory for {NINE + 300} MB more, {NINE + 299} MB are available"),
        (300, True, f"there is no memory for {NINE + 300} MB more, 300 MB are available"),
        (299, False, f"there is no memory for {NINE + 300} MB more, 299 MB are available"),
    ],
)
def test_a_worker_is_weighed_with_the_children_that_the_new_configuration_gives_it(
    monkeypatch: pytest.MonkeyPatch, available: int, site: bool, why: str
) -> None:
    """The pool goes from threads to prefork, with a child for each of eight tasks."""
    memory = Memory(monkeypatch, available)
    started: list[str] = []
    program = {"command": "celery -A myauth worker -P prefork --concurrency=8"}
    monkeypatch.setattr(supervisor_parser, "programs", lambda *_: {"myauth:worker_00": program})
    monkeypatch.setattr(serving, "start", lambda _name, process, *_: started.append(process))
    given = {"name": "myauth", "processes": ["myauth:worker_00"], "apart": "", "reserve": 300 * 1024**2, "longest": 1}
    with pytest.raises(serving.ImpossibleError, match=why) if why else contextlib.nullcontext():
        celery_standby.begin(given)
    assert started == ([] if why else ["myauth:worker_00"])
    assert memory.lets_the_site_be_there() is site


@pytest.mark.parametrize("option", ["--pidfile=/run/a.pid", "--statedb", "--detach", "-D", "-f"])
def test_what_two_workers_cannot_have_is_told(option: str) -> None:
    with pytest.raises(serving.ImpossibleError, match=f"two workers cannot have {option.partition('=')[0]}"):
        serving.command([*CELERY, option, "x"], "other@auth1")


def test_a_worker_is_a_unit_of_systemd_that_finishes_its_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def run(command: list[str], **_given: Any) -> Any:
        asked.extend(command)
        environment = next(word.partition("=")[2] for word in command if word.startswith("--property=EnvironmentFile="))
        (file,) = tmp_path.iterdir()
        assert (environment.partition("=")[2], file.stat().st_mode & 0o777) == (str(file), 0o600)
        return types.SimpleNamespace(returncode=0)

    monkeypatch.setattr(serving, "_RUN_FOLDER", str(tmp_path))
    monkeypatch.setattr(subprocess, "run", run)
    program = {
        "command": f"{' '.join(CELERY)} --max-tasks-per-child '$5'",
        "uid": os.getuid(),
        "directory": "/srv",
        "stopwaitsecs": 600,
        "umask": 0o27,
        "environment": {"A": "b"},
    }
    worker = serving.start("myauth", "myauth:worker_00", program, "auth1", 6000)
    options = [word for word in asked if word.startswith("--")]
    properties = {word.split("=", 2)[1]: word.split("=", 2)[2] for word in options if word.startswith("--property=")}
    assert asked[0] == "systemd-run"
    assert f"--unit={worker.unit}" in options
    assert properties.pop("EnvironmentFile").startswith(str(tmp_path))
    # At a reboot, Redis and the database stop after what needs them.
    needed = {"network.target", "redis-server.service", "valkey-server.service", "mariadb.service", "mysql.service"}
    assert set(properties.pop("After").split()) == needed
    assert properties == {
        "User": pwd.getpwuid(os.getuid()).pw_name,
        "WorkingDirectory": "/srv",
        "UMask": "0027",
        # TERM for the worker alone, whose children would die of it.
        "KillMode": "mixed",
        "TimeoutStopSec": "600",
        "RuntimeMaxSec": "6000",
    }
    # systemd makes one of two.
    assert asked[-4:] == ["--max-tasks-per-child", "$$5", "-n", worker.node]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("daemon", "own", "umask"), [("", "", 0o22), ("umask = 077\n", "", 0o77), ("umask = 077\n", "umask = 027\n", 0o27)]
)
def test_a_worker_has_the_umask_of_its_program(tmp_path: Path, daemon: str, own: str, umask: int) -> None:
    conf = tmp_path / "supervisord.conf"
    conf.write_text(f"[supervisord]\n{daemon}[program:worker]\ncommand = /bin/cat\n{own}")
    assert supervisor_parser.programs(str(conf), ["worker:worker"])["worker:worker"]["umask"] == umask


def test_the_workers_may_run_until_any_run_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"name": "myauth", "apart": "", "processes": ["myauth:worker_00"], "reserve": 0, "longest": 7200}
    most: list[int] = []

    def start(_name: str, process: str, _program: Any, _hostname: str, longest: int, _private: bool) -> Any:
        most.append(longest)
        return serving.Worker(process, "a.service", "a@auth1")

    monkeypatch.setattr(celery_standby, "weight", lambda *_: 0)
    monkeypatch.setattr(celery_standby, "missing_connections", lambda _given: "")
    monkeypatch.setattr(celery_standby, "wait", lambda *_: None)
    monkeypatch.setattr(supervisor_parser, "programs", lambda *_: {"myauth:worker_00": {"command": "celery worker"}})
    monkeypatch.setattr(serving, "start", start)
    celery_standby.begin(given)
    # Each of two drains may take that long until a worker has finished what it ran, and as long again to stop it.
    assert most[0] > 4 * 7200


@pytest.mark.parametrize("runs", [False, True])
def test_what_a_worker_said_last_is_told_without_its_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: bool
) -> None:
    # As the module does first of all; what the parser says in its child has to be read all the same.
    import supervisor.options  # noqa: F401

    conf = tmp_path / "supervisord.conf"
    conf.write_text(
        '[supervisord]\n[program:worker]\ncommand = /bin/cat\nenvironment = DB = "mysql://me:dunlin-77@db/x"\n'
    )
    monkeypatch.setattr(supervisord, "MAIN_CONF", str(conf))
    monkeypatch.setattr(celery_cli.Application, "configured", lambda *_: types.SimpleNamespace(answers=lambda *_: {}))
    monkeypatch.setattr(serving, "runs", lambda worker: runs)
    monkeypatch.setattr(serving, "last_words", lambda worker: "cannot connect to mysql://me:dunlin-77@db/x")
    worker = serving.Worker("myauth:worker_00", "a.service", "worker_00-1@auth1")
    with pytest.raises(RuntimeError, match=r"cannot connect to \(not shown\)$"):
        celery_standby.wait({"timeout": 0}, [worker])


def test_an_environment_is_written_as_systemd_reads_it() -> None:
    written = serving.environment_file({"A": "plain", "B": 'a "b" $c \\d `e`', "C": "two\nlines"})
    assert written == 'A="plain"\nB="a \\"b\\" \\$c \\\\d \\`e\\`"\nC="two\nlines"\n'


def test_a_worker_of_one_task_at_a_time_is_never_handed_over(defaults: dict[str, Any]) -> None:
    pools = [
        {"name": "single", "queues": ["a"], "concurrency": 1},
        {"name": "solo", "queues": ["b"], "pool": "solo"},
        {"name": "solos", "queues": ["b"], "pool": "solo", "numprocs": 2},
        {"name": "pair", "queues": ["c"], "concurrency": 1, "numprocs": 2},
        {"name": "kept", "queues": ["d"], "handover": False},
        {"name": "worker_services", "concurrency": 4},
        {"name": "off", "queues": ["e"], "enabled": False},
    ]
    declared, refusals = variables.declare({**defaults, "auth_workers": pools}, "auth1", ["services"])
    assert refusals == []
    assert [worker.name for worker in declared.workers if worker.can_hand_over] == ["worker", "pair"]
    declared, _refusals = variables.declare({**defaults, "auth_worker_handover": False}, "auth1")
    assert [worker.name for worker in declared.workers if worker.can_hand_over] == []


def test_one_of_each_pool_takes_tasks(defaults: dict[str, Any]) -> None:
    declared, _refusals = variables.declare({**defaults, "auth_worker_numprocs": 3}, "auth1")
    assert handover.of_variables(declared) == {"myauth:worker_00": Serving(512 * 1024**2, 10)}
    unwatched, _refusals = variables.declare({**defaults, "auth_memmon": False}, "auth1")
    assert handover.of_variables(unwatched) == {"myauth:worker_00": Serving(0, 10)}


@pytest.mark.parametrize(
    ("options", "most"), [([], 3), (["--threads=4"], 12), (["--threads", "2", "--keep-alive=5"], 6)]
)
def test_a_gunicorn_takes_a_connection_for_each_thread(defaults: dict[str, Any], options: list[str], most: int) -> None:
    declared = declare(defaults, auth_gunicorn_options=options)
    assert stages.drain(declared, INFO).site_connections == most


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"max_connections": 151, "threads_connected": 139}, "has 151 connections, of which 139 are taken, and"),
        ({"max_connections": 151, "threads_connected": 138}, ""),
        # Another database, and one that does not answer.
        ({}, ""),
        (celery_cli.CannotAskError("no"), ""),
        (celery_cli.CannotAskError("OperationalError: (1040, 'Too many connections')"), "takes no more connections"),
    ],
)
def test_no_worker_is_started_for_which_the_database_has_no_connections(
    monkeypatch: pytest.MonkeyPatch, found: Any, said: str
) -> None:
    def ask(*_given: Any) -> Any:
        if isinstance(found, Exception):
            raise found
        return found

    started: list[str] = []
    monkeypatch.setattr(celery_cli.Application, "configured", lambda *_: types.SimpleNamespace(ask=ask))
    monkeypatch.setattr(celery_standby, "weight", lambda *_: 0)
    monkeypatch.setattr(celery_standby, "wait", lambda *_: None)
    monkeypatch.setattr(supervisor_parser, "programs", lambda *_: {"myauth:worker_00": {}})
    monkeypatch.setattr(serving, "start", lambda _name, process, *_: started.append(process))
    params = {"name": "myauth", "project": "myauth", "processes": [], "apart": "", "reserve": 0, "longest": 1}
    given = {**params, "connections": 13}
    with pytest.raises(serving.ImpossibleError, match=said) if said else contextlib.nullcontext():
        celery_standby.begin(given)
    assert started == ([] if said else ["myauth:worker_00"])
