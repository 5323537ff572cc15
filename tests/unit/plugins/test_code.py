# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is refused of the code that is installed, what is only said, and when two kinds of workers share no queue."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import pwd
import socket
import types
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import report
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import (
    audit_logs,
    celery_cli,
    code,
    code_program,
    serving,
    supervisor_parser,
    supervisord,
)
from ansible_collections.allianceauth.tuning.plugins.modules import auth_code, celery_standby

NOTHING: dict[str, Any] = {
    "errors": [],
    "migrations": [],
    "unmet": [],
    "unasked": [],
    "lost": [],
    "silent": "",
    "gone": [],
    "new": [],
    "unseen": [],
    "apart": "",
    "problem": "",
}
# Of a worker with Celery 5.7; the body of a message may say anything.
UNREGISTERED = """\
[2026-11-30 15:00:12,345: ERROR/MainProcess] Received unregistered task of type 'app.gone'.
The message has been ignored and discarded.

Did you remember to import the module containing this task?
Or maybe you're using relative imports?

The full contents of the message body was:
b'[[], {"key": "Received unregistered task of type \'app.other\'."}, {"callbacks": null}]' (97b)

Traceback (most recent call last):
  File "/venv/lib/python3.11/site-packages/celery/worker/consumer/consumer.py", line 824, in on_task_received
    strategy = strategies[type_]
               ~~~~~~~~~~^^^^^^^
KeyError: 'app.gone'
"""
WAITS = {"task": "app.gone", "where": "in the queue celery", "count": 3}


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"migrations": ["app.0002_more"]}, "these migrations are not applied: app.0002_more; apply them"),
        ({"lost": [WAITS]}, "3 of app.gone (in the queue celery)"),
        ({"errors": ["a"], "unmet": ["b"], "unasked": ["f"], "unseen": ["c"], "problem": "d", "apart": "e"}, ""),
    ],
)
def test_what_cannot_be_undone_is_refused_and_a_variable_allows_it(found: dict[str, Any], words: str) -> None:
    given = {"unmigrated": False, "lose_tasks": False}
    said = auth_code.refusal(given, {**NOTHING, **found})
    assert words in said
    assert bool(said) == bool(words)
    assert auth_code.refusal({"unmigrated": True, "lose_tasks": True}, {**NOTHING, **found}) == ""


def test_what_a_server_may_run_with_is_a_warning() -> None:
    assert auth_code.warnings(NOTHING) == []
    found = {**NOTHING, "errors": ["an old Redis (A003)"], "unmet": [f"package {number}" for number in range(7)]}
    assert auth_code.warnings(found) == [
        "Django's check finds errors: an old Redis (A003)",
        "requirements of packages are not met: package 0; package 1; package 2; package 3; package 4; and 2 more",
    ]


def test_a_check_that_raises_is_a_warning_and_keeps_nothing_from_coming_into_service(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def raises() -> list[str]:
        raise RuntimeError("no table\nyet")

    monkeypatch.setattr(code_program, "load", lambda project: None)
    monkeypatch.setattr(code_program, "migrations", list)
    monkeypatch.setattr(code_program, "errors", raises)
    monkeypatch.setattr(code_program, "unmet", raises)
    found = code_program.answers("myauth", [], [])
    assert auth_code.warnings(found) == [
        "Django's check could not be asked (RuntimeError: no table yet)",
        "the requirements of packages could not be asked (RuntimeError: no table yet)",
    ]
    assert auth_code.refusal({"unmigrated": False, "lose_tasks": False}, found) == ""


@pytest.mark.parametrize("why", [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), RuntimeError("a child died")])
def test_a_full_disk_is_a_warning_and_undoes_nothing(why: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def keep(*_given: Any) -> None:
        raise why

    def end(**result: Any) -> None:
        raise SystemExit(json.dumps(result))

    said: list[str] = []
    user = pwd.getpwuid(os.getuid()).pw_name
    given = {"state": "kept", "name": "myauth", "venv": "/venv", "user": user}
    params = {**given, "broker": {}, "sources": [], "guard": {}}
    module = SimpleNamespace(params=params, check_mode=False, warn=said.append, exit_json=end)
    monkeypatch.setattr(code, "keep", keep)
    monkeypatch.setattr(auth_code, "AnsibleModule", lambda **_given: module)
    monkeypatch.setattr(supervisord, "find_supervisor", lambda _module: None)
    with pytest.raises(SystemExit, match='"changed": false'):
        auth_code.main()
    (sentence,) = said
    assert sentence.startswith(f"{socket.gethostname()}: the packages that are in service now could not be noted")
    assert str(why) in sentence


def test_workers_share_a_queue_only_if_both_have_the_same_tasks() -> None:
    nodes = ["worker_00@auth1", "worker_01@auth1"]
    alike = {node: {"app.a", "app.b"} for node in nodes}
    assert code_program.differences(alike, {"app.a", "app.b"}, nodes) == ""
    assert "app.b is not both" in code_program.differences(alike, {"app.a"}, nodes)
    assert "app.c is not both" in code_program.differences(alike, {"app.a", "app.b", "app.c"}, nodes)
    # Whoever does not answer may lack any.
    assert "worker_01@auth1 did not say" in code_program.differences({nodes[0]: {"app.a"}}, {"app.a"}, nodes)


def test_a_node_that_says_that_it_cannot_counts_as_one_that_does_not_answer() -> None:
    asked = types.SimpleNamespace(
        registered=lambda: {
            "worker_00@auth1": ["app.a", "app.b [rate_limit=1/s]"],
            "worker_01@auth1": {"error": "KeyError()"},
        }
    )
    app: Any = types.SimpleNamespace(
        control=types.SimpleNamespace(inspect=lambda **_options: asked), tasks={"app.a": None, "app.b": None}
    )
    nodes = ["worker_00@auth1", "worker_01@auth1"]
    said = "worker_01@auth1 did not say which tasks it has"
    # It may know tasks that the new code lacks and that wait: the run says that nobody could look for them.
    found = code_program.lost(app, nodes, [])
    nothing = {"lost": [], "gone": [], "unseen": [], "new": [], "silent": ""}
    assert found == {**nothing, "apart": said, "problem": said}


def test_what_is_restarted_alone_must_have_the_tasks_of_what_runs_on() -> None:
    known = {"worker_00@auth1": ["app.a", "app.old"], "services@auth1": ["app.a"]}
    asked = types.SimpleNamespace(registered=lambda: known, scheduled=dict, reserved=dict, active_queues=dict)
    connection = types.SimpleNamespace(transport=types.SimpleNamespace(driver_type="sql"))
    app: Any = types.SimpleNamespace(
        control=types.SimpleNamespace(inspect=lambda **_options: asked),
        tasks={"app.a": None, "app.new": None, "celery.chord": None},
        conf=types.SimpleNamespace(task_default_queue="celery"),
        connection_for_read=lambda **_options: contextlib.nullcontext(connection),
    )
    # Of the one that is restarted, what it knows and the new code does not; of the one that runs on, what it lacks.
    found = code_program.lost(app, ["worker_00@auth1"], ["services@auth1"])
    assert (found["gone"], found["new"]) == (["app.old"], ["app.new"])
    given = {"unmigrated": False, "lose_tasks": False, "queueing": []}
    found["migrations"] = []
    said = auth_code.refusal(given, found)
    assert "the workers that run on would discard tasks" in said
    assert "app.new; restart all programs, without auth_restart_only" in said
    # With beat and the site, all workers get the new code.
    found = {**code_program.lost(app, ["worker_00@auth1", "services@auth1"], []), "migrations": []}
    assert auth_code.refusal(given, found) == ""
    said = auth_code.refusal({**given, "queueing": ["myauth:beat"]}, found)
    assert said.startswith("myauth:beat would go on with the code of before")
    assert "discard them: app.old; restart all programs" in said
    assert auth_code.refusal({**given, "queueing": ["myauth:beat"], "lose_tasks": True}, found) == ""
    # Whoever does not answer may lack any: that is told.
    found = {**NOTHING, **code_program.lost(app, [], ["silent@auth1"])}
    assert (found["new"], found["problem"]) == ([], "")
    (said,) = auth_code.warnings(found)
    assert said.startswith("silent@auth1 did not say which tasks it has, and runs on with the code of before")


def test_no_worker_is_started_beside_one_that_lacks_a_task() -> None:
    with pytest.raises(serving.ImpossibleError, match="app.b is not both"):
        celery_standby.begin({"apart": "app.b is not both in the old code and in the new one", "queues": []})


def test_gunicorn_is_tried_with_the_environment_of_its_own_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gunicorn = tmp_path / "bin/gunicorn"
    gunicorn.parent.mkdir()
    gunicorn.write_text('#!/bin/sh\necho "LAB_PORT is not set: $1 $2"\nexit "${LAB_PORT:-1}"\n')
    gunicorn.chmod(0o755)
    main = tmp_path / "supervisord.conf"
    main.write_text(
        f"[supervisord]\n[program:gunicorn]\ncommand = {gunicorn} myauth.wsgi\nenvironment = LAB_PORT=0\n"
        f"[program:worker]\ncommand = {tmp_path}/bin/celery worker\nenvironment = LAB_PORT=1\n"
        "[group:myauth]\nprograms = gunicorn,worker\n"
    )
    monkeypatch.setattr(supervisord, "MAIN_CONF", str(main))
    user = pwd.getpwuid(os.getuid()).pw_name
    application = celery_cli.Application(str(tmp_path), "myauth", str(tmp_path), user, {"LAB_PORT": "1"})
    assert auth_code.gunicorn_problem(application, "myauth:gunicorn") == ""
    main.write_text(main.read_text().replace("LAB_PORT=0", "LAB_PORT=3"))
    assert "LAB_PORT is not set: myauth.wsgi --check-config" in auth_code.gunicorn_problem(
        application, "myauth:gunicorn"
    )


def test_what_new_workers_discard_is_counted_from_where_their_logs_ended_before(tmp_path: Path) -> None:
    log, rotated = tmp_path / "worker_00.log", tmp_path / "worker_01.log"
    main = tmp_path / "supervisord.conf"
    command = "command = /venv/bin/celery -A myauth worker\nredirect_stderr = true\nstdout_logfile ="
    main.write_text(
        f"[supervisord]\n[program:a]\n{command} {log}\n[program:b]\n{command} {rotated}\n"
        f"[program:bot]\ncommand = /bin/sleep 1\nstdout_logfile = {tmp_path}/bot.log\n"
        f"[program:other]\n{command} {tmp_path}/other.log\n[group:myauth]\nprograms = a,b,bot\n"
    )
    logs = supervisor_parser.worker_logs(str(main), "myauth")
    assert logs == [str(log), str(rotated)]
    log.write_text(UNREGISTERED)
    sizes = {**{path: audit_logs.size_of(path) for path in logs}, str(rotated): 10**6}
    assert audit_logs.discarded(logs, sizes) == {}
    log.write_text(UNREGISTERED * 3)
    rotated.write_text(UNREGISTERED + UNREGISTERED.replace("app.gone", "app.away"))
    found = audit_logs.discarded(logs, sizes)
    assert found == {"app.away": 1, "app.gone": 3}
    # What stood in a log that nobody has measured may be old.
    assert audit_logs.discarded(logs, {str(rotated): 10**6}) == {"app.away": 1, "app.gone": 1}
    # Workers that took tasks meanwhile have no log.
    assert audit_logs.discarded(logs, {}, UNREGISTERED) == {"app.gone": 1}
    plan = {"pools": [], "job": "restart"}
    (said,) = report.Report("auth1", plan, {"nodes": {"discarded": found}}, check_mode=False).warnings()
    assert "auth1: workers discarded tasks that their code does not have" in said
    assert ": 1 of app.away, 3 of app.gone. " in said


class Redis:
    """The lists of a Redis, by their keys."""

    def __init__(self, lists: dict[str, list[str]]) -> None:
        self.lists = lists

    def lrange(self, key: str, first: int, last: int) -> list[str]:
        return self.lists.get(key, [])[first : last + 1]


class Channel:
    """What of kombu's channel to Redis is used."""

    priority_steps = (0, 5)
    global_keyprefix = "site:"

    def __init__(self, lists: dict[str, list[str]]) -> None:
        self.client = Redis(lists)

    def _q_for_pri(self, queue: str, priority: int) -> str:
        return f"{queue}\x06\x16{priority}" if priority else queue


def test_the_lists_of_all_priorities_are_read_to_their_ends() -> None:
    many = [json.dumps({"headers": {"task": f"app.{number}"}}) for number in range(code_program._BLOCK + 1)]
    channel = Channel({"site:celery": many, "site:celery\x06\x165": [json.dumps({"headers": {"task": "app.urgent"}})]})
    names = list(code_program.messages(channel, "celery"))
    assert len(names) == len(many) + 1
    assert {"app.0", f"app.{code_program._BLOCK}", "app.urgent"} <= set(names)


def test_requirements_that_are_not_met_are_told_as_pip_tells_them(monkeypatch: pytest.MonkeyPatch) -> None:
    class Package:
        def __init__(self, name: str | None, version: str | None, *requires: str) -> None:
            self.metadata, self.version, self.requires = {"Name": name}, version, list(requires)

    packages = [
        Package(
            "aa-app", "1.0", "Alliance_Auth>=5.5", "missing", "optional; extra == 'more'", "old; python_version < '3'"
        ),
        # Left behind without METADATA, by which importlib.metadata knows neither.
        Package(None, None),
        Package("alliance-auth", None),
        Package("alliance-auth", "5.4.0"),
        Package("fine", "2.0", "alliance.auth<6"),
    ]
    monkeypatch.setattr("importlib.metadata.distributions", lambda: packages)
    assert code_program.unmet() == [
        "aa-app 1.0 needs Alliance_Auth>=5.5, and 5.4.0 is installed",
        "aa-app 1.0 needs missing, and it is not installed",
    ]
