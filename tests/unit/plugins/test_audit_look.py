# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an audit sees on a server: projects in any layout, rights, logs, and no secret."""

from __future__ import annotations

import os
import time
import types
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.model import memmon
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import (
    audit_host,
    audit_logs,
    audit_program,
    audit_projects,
    outside,
    proc,
    supervisor_parser,
)
from ansible_collections.allianceauth.tuning.plugins.modules import auth_audit_info


def configured(name: str, command: str, directory: str, group: str = "myauth", **other: Any) -> dict[str, Any]:
    """Return a group of one process as supervisor's parser has it."""
    process = {"name": name, "command": command, "directory": directory, "uid": os.getuid(), **other}
    return {"name": group, "listener": False, "processes": [process]}


def seen(*groups: dict[str, Any], running: tuple[dict[str, Any], ...] = ()) -> list[dict[str, Any]]:
    return audit_projects.processes({"groups": list(groups)}, {"processes": list(running)})


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("/home/a/venv/auth/bin/celery -A myauth worker -c 4", "myauth"),
        ("/home/a/venv/auth/bin/celery --app=corp.celery:app beat", "corp"),
        ("/home/a/venv/auth/bin/celery --app corp worker", "corp"),
        ("/home/a/venv/auth/bin/celery -Acorp worker", "corp"),
        ("/home/a/venv/auth/bin/python3 /home/a/venv/auth/bin/celery -A myauth beat", "myauth"),
        ("/home/a/venv/auth/bin/gunicorn corp.wsgi --workers=3", "corp"),
        ("/home/a/venv/auth/bin/gunicorn --bind unix:/run/g.sock corp.wsgi:application", "corp"),
    ],
)
def test_a_project_is_found_by_what_its_programs_run(command: str, name: str) -> None:
    (project,) = audit_projects.discover(seen(configured("program", command, "/home/a/place")), {})
    assert (project["name"], project["venv"], project["directory"]) == (name, "/home/a/venv/auth", "/home/a/place")


def test_several_projects_on_one_server_are_each_found(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "myauth/settings").mkdir(parents=True)
        (tmp_path / name / "manage.py").touch()
    celery = "/opt/venv/bin/celery -A myauth worker"
    sections = {"/etc/supervisor/conf.d/b.conf": ["program:worker", "group:second"], "/etc/other.conf": ["program:bot"]}
    projects = audit_projects.discover(
        seen(
            configured("worker_00", celery, str(tmp_path / "one"), "first"),
            configured("worker_00", celery, str(tmp_path / "two"), "second"),
            configured("bot", "/usr/bin/bot", "/", "bot"),
        ),
        sections,
    )
    assert [(project["directory"], project["groups"]) for project in projects] == [
        (str(tmp_path / "one"), ["first"]),
        (str(tmp_path / "two"), ["second"]),
    ]
    assert [project["files"] for project in projects] == [[], ["/etc/supervisor/conf.d/b.conf"]]
    assert all(project["manage_py"] for project in projects)


def test_what_a_script_runs_is_told_by_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    real = ["/v/bin/python3", "/v/bin/celery", "-A", "myauth", "worker", "-Q", "celery,priority", "-c", "7"]
    monkeypatch.setattr(proc, "command_line", lambda pid: real)
    group = configured("worker", "/home/a/start_worker.sh", "/home/a/myauth")
    (process,) = seen(group, running=({"namespec": "myauth:worker", "pid": 7, "state": "RUNNING"},))
    assert (process["kind"], process["wrapped"], process["arguments"]) == ("worker", True, real)
    assert [project["name"] for project in audit_projects.discover([process], {})] == ["myauth"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_what_root_runs_out_of_anothers_venv_is_found(tmp_path: Path) -> None:
    program = tmp_path / "memmon"
    program.touch()
    tmp_path.chmod(0o755)
    by_root = {"namespec": "memmon:memmon", "uid": None, "arguments": [str(program), "-p", "worker_00=1GB"]}
    assert audit_host.run_by_root([by_root]) == []
    os.chown(program, 65534, 65534)
    (found,) = audit_host.run_by_root([by_root, {**by_root, "uid": 65534}])
    assert (found["process"], found["path"]) == ("memmon:memmon", str(program))


@pytest.mark.parametrize(
    ("task_routes", "queues"),
    [
        (None, set()),
        ({"discord.*": {"queue": "services"}, "a.b": "heavy", "a.c": {"priority": 3}}, {"services", "heavy"}),
        ([("a.*", {"queue": "heavy"}), {"b.*": {"queue": types.SimpleNamespace(name="mails")}}], {"heavy", "mails"}),
        (("project.routes.Router", len), set()),
    ],
    ids=["none", "a mapping", "a list", "functions"],
)
def test_queues_of_a_setting_count_for_apps_that_are_not_installed(task_routes: Any, queues: set[str]) -> None:
    assert audit_program.in_settings(task_routes) == queues


def test_secrets_that_all_can_read_are_named_and_not_told(tmp_path: Path) -> None:
    file = tmp_path / "bot.conf"
    file.write_text(
        "[inet_http_server]\nport = 9001\nusername = admin\npassword = sandpiper\n"
        "[program:bot]\ncommand = bot\nenvironment = BOT_TOKEN=dunlin-77,AA_USER=allianceserver,HOME=/home/bot\n"
    )
    file.chmod(0o644)
    # pytest's own folders are for their owner alone.
    for folder in file.parents:
        if folder.stat().st_uid == os.getuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    assert audit_host.readable_secrets([str(file)]) == {
        str(file): ["password in [inet_http_server]", "BOT_TOKEN in [program:bot]"]
    }
    file.chmod(0o640)
    assert audit_host.readable_secrets([str(file)]) == {}


@pytest.mark.parametrize(
    ("text", "seconds"), [("1min 30s", 90.0), ("11min", 660.0), ("500ms", 0.5), ("2h 3min", 7380.0), ("infinity", None)]
)
def test_systemds_spans_are_read(text: str, seconds: float | None) -> None:
    assert outside.span(text) == seconds


LOG = """\
2026-11-25 09:00:00,100 INFO waiting for worker_00 to stop
2026-11-25 09:00:20,100 INFO stopped: worker_00 (exit status 0)
2026-11-25 09:30:00,100 INFO spawned: 'worker_00' with pid 5
2026-11-25 10:00:00,100 INFO waiting for worker_00 to stop
2026-11-25 10:00:20,100 INFO stopped: worker_00 (exit status 0)
2026-11-25 10:00:21,100 INFO spawned: 'worker_00' with pid 6
2026-11-25 11:00:00,100 INFO exited: authbot (exit status 1; not expected)
2026-11-25 11:00:02,100 INFO exited: authbot (exit status 1; not expected)
2026-11-25 11:00:03,100 INFO exited: beat (exit status 0; expected)
"""


def test_a_node_that_says_that_it_cannot_counts_as_one_that_does_not_answer() -> None:
    fails = {"worker_00@auth1": {"error": "RuntimeError()"}}
    asked = types.SimpleNamespace(
        stats=lambda: fails,
        active_queues=lambda: fails,
        active=lambda: fails,
        reserved=lambda: {"worker_00@auth1": [{"id": "a"}]},
        scheduled=lambda: None,
    )
    control = types.SimpleNamespace(
        ping=lambda timeout: [{"worker_00@auth1": {"ok": "pong"}}], inspect=lambda **_: asked
    )
    assert audit_program.nodes(types.SimpleNamespace(control=control)) == {
        "worker_00@auth1": {
            "queues": [],
            "pool": {"max-concurrency": None, "implementation": None},
            "active": 0,
            "reserved": 1,
            "scheduled": 0,
        }
    }


def at(text: str) -> float:
    return time.mktime(time.strptime(f"2026-11-25 {text}", "%Y-%m-%d %H:%M:%S"))


def test_deaths_are_counted_from_supervisords_log() -> None:
    log = audit_logs.events(LOG)
    assert audit_logs.deaths(log, at("10:30:00")) == {"authbot": 2}
    assert audit_logs.deaths(log, at("11:00:01")) == {"authbot": 1}


def test_what_an_earlier_supervisord_has_seen_does_not_count() -> None:
    log = audit_logs.events(LOG.replace("INFO exited: beat", "INFO supervisord started with pid 9; exited: beat"))
    assert audit_logs.since_started(log) == log[-1:]
    assert audit_logs.since_started(log[:-1]) == log[:-1]


def test_memmons_restarts_get_their_times_from_supervisords_log() -> None:
    # Of its two, the first was before supervisord's log begins.
    said = 2 * "RSS of myauth:worker_00 is 300000000\nRestarting myauth:worker_00\n"
    # The stop at nine was a drain: half an hour lay between it and the start.
    assert audit_logs.restarts(audit_logs.events(LOG), said) == {"worker_00": [at("10:00:21")]}
    assert audit_logs.restarts(audit_logs.events(LOG), "Checking programs worker_00=1\n") == {}


def test_a_memmon_that_has_restarted_nothing_spares_reading_supervisords_log(tmp_path: Path) -> None:
    daemon, quiet, busy = (tmp_path / name for name in ("supervisord.log", "quiet.log", "busy.log"))
    daemon.write_text(LOG)
    quiet.write_text("Checking programs worker_00=1\n")
    busy.write_text("Restarting myauth:worker_00\n")
    nothing: dict[str, Any] = {"since": None, "restarts": {}}
    assert audit_logs.memmon_restarts(str(daemon), [str(quiet), f"{tmp_path}/gone"]) == nothing
    # All memmons share a log, which counts once.
    assert audit_logs.memmon_restarts(str(daemon), [str(quiet), str(busy), str(busy)]) == {
        "since": at("09:00:00"),
        "restarts": {"worker_00": [at("10:00:21")]},
    }


def test_the_longest_task_is_read_from_a_workers_log() -> None:
    text = (
        "[2026-11-25 10:00:00,000: INFO/MainProcess] Task a.b[0f9e1b2c-0000-4444-8888-aaaaaaaaaaaa] succeeded in 0.5s\n"
        "[2026-11-25 10:09:00,000: INFO/MainProcess] Task c.d[0f9e1b2c-0000-4444-8888-bbbbbbbb] succeeded in 541.25s\n"
    )
    assert audit_logs.longest_task(text) == {"name": "c.d", "seconds": 541.25}
    assert audit_logs.longest_task("nothing of the kind") is None


@pytest.mark.parametrize("kind", ["absent", "pipe", "folder"])
def test_what_is_no_log_is_read_as_nothing(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "log"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    assert audit_logs.end_of(str(path)) == ""


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("-p worker=256MB -p gunicorn=256MB", {"programs": {"worker": "256MB", "gunicorn": "256MB"}}),
        ("-c --program worker_00=1GB", {"programs": {"worker_00": "1GB"}, "children": True}),
        ("-cp worker_00=1GB -g myauth=2GB -a 3GB", {"groups": {"myauth": "2GB"}, "any": "3GB", "children": True}),
        ("-n server -p worker_00=1GB", {"name_lost": True}),
        ("-p worker_00=1GB -n server", {"name_lost": False}),
    ],
)
def test_memmons_command_is_read_as_memmon_reads_it(arguments: str, expected: dict[str, Any]) -> None:
    found = memmon.options(["/v/bin/python3", "/v/bin/memmon", *arguments.split()])
    assert found is not None
    assert {key: found[key] for key in expected} == expected


def test_another_program_is_no_memmon() -> None:
    assert memmon.options(["/v/bin/crashmail", "-m", "a@example.com"]) is None
    assert memmon.options(["/v/bin/memmon", "--no-such-option"]) is None


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            "environment = TOKEN=dunlin value x",
            "Unexpected end of key/value pairs in value (not shown) in section 'program:x'",
        ),
        ("environment = TOKEN='dunlin %(nope)s'", "Format string (not shown) for 'environment'"),
        ("TOKEN dunlin", "(not shown)"),
    ],
)
def test_a_file_that_is_refused_does_not_give_its_secrets_away(tmp_path: Path, lines: str, said: str) -> None:
    main = tmp_path / "supervisord.conf"
    main.write_text(f"[supervisord]\n[program:x]\ncommand = /bin/cat\n{lines}\n")
    with pytest.raises(supervisor_parser.InvalidError) as refused:
        supervisor_parser.effective(str(main))
    assert "dunlin" not in str(refused.value)
    # Versions of supervisor name the option with or without its section.
    assert said in str(refused.value).replace("program:x.environment", "environment")


def test_what_is_in_an_environment_is_not_told() -> None:
    found: dict[str, Any] = {
        "processes": [
            {"arguments": ["/v/bin/bot", "--token=dunlin-77"], "command": "", "spawnerr": "dunlin-77 is wrong"}
        ],
        "orphans": [{"command": "/v/bin/celery -A myauth worker --broker=redis://:dunlin-77@h/0"}],
    }
    auth_audit_info.without_secrets(found, ["dunlin-77"])
    assert "dunlin" not in str(found)
    assert found["processes"][0]["command"] == "/v/bin/bot --token=(not shown)"
