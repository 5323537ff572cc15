# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server as its admin has had it for years: audit, adopt, apply. Nobody types YAML, nothing changes unannounced."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from shared import play, playbook, server
from shared.audits import Audit, audit

TOKENS = ("cormorant-71be", "gannet-5d20")
PORT = 8001

# What the role changes on purpose, each with the piece of its reason that tells it from the others.
ANNOUNCED = {
    "--hostname": "nodes have the host in their names",
    "gunicorn stopsignal: INT -> TERM": "lets requests finish",
    "gunicorn stopwaitsecs": "longer than the 30 s",
    "gunicorn --config": "a second gunicorn can share its address",
    "authbot group: none -> myauth": "in one group",
    "worker memory limit: 256MB -> 512MB": "an example in Alliance Auth's template",
    "memmon user": "memmon need not be root",
    "[eventlistener:memmon]: one memmon -> memmon_worker_00": "a memmon of its own",
}


def settings(host: Any) -> dict[str, dict[str, Any]]:
    """Return what supervisor's own parser makes of the configuration, for each process, by its name.

    Without the environment that Alliance Auth's template gives to the daemon, and so to all. A second name for the one
    log of a program, and the same as its redirection, come to the same.
    """
    script = (
        "import json, supervisor.options as o; s = o.ServerOptions();"
        "s.realize(['-c', '/etc/supervisor/supervisord.conf'], doc='');"
        "print(json.dumps({p.name: dict({a: str(getattr(p, a)) for a in p.req_param_names + p.optional_param_names},"
        " group=g.name, "
        "environment={k: v for k, v in p.environment.items() if k[:3] != 'AA_'})"
        " for g in s.process_group_configs for p in g.process_configs}))"
    )
    found: dict[str, dict[str, Any]] = yaml.safe_load(server.run(host, f'python3 -W ignore -c "{script}"'))
    for process in found.values():
        if process["redirect_stderr"] == "True" or process["stderr_logfile"] == process["stdout_logfile"]:
            process.update(redirect_stderr="True", stderr_logfile="")
    return found


@pytest.fixture(scope="module")
def before(host: Any) -> dict[str, Any]:
    """Return what is on the server before anybody looks at it."""
    return {"traces": server.traces(host), "settings": settings(host)}


@pytest.fixture(scope="module")
def audited(host: Any, before: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Audit:
    return audit(host, tmp_path_factory.mktemp("audit"))


@pytest.fixture(scope="module")
def folder(host: Any) -> Iterator[Path]:
    path = playbook.SERVERS / "host_vars" / server.name(host)
    yield path
    for file in path.glob("*") if path.is_dir() else []:
        file.unlink()


@pytest.fixture(scope="module")
def adopted(audited: Audit, folder: Path) -> playbook.Run:
    # As somebody does who wants to know it all.
    return play.run("adopt", "-vvv")


@pytest.fixture(scope="module")
def checked(adopted: playbook.Run) -> playbook.Run:
    return playbook.apply("--check", "--diff")


@pytest.fixture(scope="module")
def applied(checked: playbook.Run) -> playbook.Run:
    return playbook.apply()


def test_the_audit_finds_the_memmon_that_watches_nothing_and_the_queue_without_tasks(audited: Audit) -> None:
    assert audited.run.status == 0
    assert {("high", "limit-without-process"), ("low", "queue-without-tasks")} <= audited.found


def test_adopt_describes_the_server_and_touches_nothing_there(
    host: Any, before: dict[str, Any], adopted: playbook.Run, folder: Path
) -> None:
    assert adopted.status == 0
    assert server.differences(before["traces"], server.traces(host)) == {}
    text = (folder / "auth.yml").read_text()
    found = yaml.safe_load(text)
    assert found["auth_worker_concurrency"] == 8
    assert (found["auth_gunicorn_workers"], found["auth_gunicorn_timeout"]) == (5, 60)
    assert found["auth_gunicorn_bind"] == "127.0.0.1:8001"
    # The scenario's group_vars say otherwise, for all servers.
    assert found["auth_memmon_event"] == "TICK_60"
    assert "Your inventory has other values for auth_memmon_event" in adopted.output
    pools = {pool["name"]: pool for pool in found["auth_workers"]}
    # The other pools have neither.
    assert (pools["worker"]["loglevel"], pools["worker"]["stopwaitsecs"]) == ("info", 900)
    assert pools["worker_heavy"]["queues"] == ["heavy"]
    assert (pools["worker_heavy"]["pool"], pools["worker_heavy"]["concurrency"]) == ("prefork", 2)
    assert found["auth_extra_programs"]["authbot"]["stdout_logfile"] == "/srv/logs/authbot.log"
    assert "# Tasks at once in each worker process." in text


def test_secrets_are_in_a_file_for_oneself_and_are_not_shown(adopted: playbook.Run, folder: Path) -> None:
    secrets = folder / "auth_secrets.yml"
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o600
    found = yaml.safe_load(secrets.read_text())
    assert sorted(found.values()) == ["cormorant-71be 100%", "gannet-5d20"]
    assert f"ansible-vault encrypt {secrets}" in adopted.output
    for token in TOKENS:
        assert token not in adopted.output
        assert token not in (folder / "auth.yml").read_text()


def test_a_second_run_replaces_nothing_unless_it_is_told_to(adopted: playbook.Run, folder: Path) -> None:
    before = (folder / "auth.yml").read_text()
    run = play.run("adopt")
    assert run.status != 0
    assert "is there already, and was not replaced; -e auth_adopt_force=true" in run.sentence
    # The advice, followed: it describes the same server.
    assert play.run("adopt", auth_adopt_force=True).status == 0
    assert yaml.safe_load((folder / "auth.yml").read_text()) == yaml.safe_load(before)


def lines_after(run: playbook.Run, heading: str) -> set[str]:
    """Return the indented lines below a heading, without reasons: apply names a variable where adopt says why."""
    block = re.match(r"(?:  .*\n)*", run.output.partition(heading)[2])
    return {re.sub(r" \([^()]*\)$", "", line.strip()) for line in block[0].splitlines()} if block else set()


def announced(run: playbook.Run) -> set[str]:
    """Return the changes that adopt says apply makes on purpose."""
    return lines_after(run, "apply changes on purpose:\n")


def test_apply_would_change_what_was_announced_and_nothing_else(adopted: playbook.Run, checked: playbook.Run) -> None:
    assert checked.status == 0
    shown = lines_after(checked, "what differs in meaning:\n")
    assert shown == announced(adopted)
    assert len(shown) == len(ANNOUNCED)
    for item, reason in ANNOUNCED.items():
        assert any(item in line and reason in line for line in adopted.output.splitlines()), item
    assert "No variable can hold this" not in adopted.output


def test_what_was_applied_differs_by_that_alone(host: Any, before: dict[str, Any], applied: playbook.Run) -> None:
    assert applied.status == 0
    assert "the pool worker_heavy takes tasks from heavy, to which neither" in " ".join(applied.output.split())
    now, then = before["settings"], settings(host)
    assert {name for name in {*now, *then} if not name.startswith("memmon")} == {*now} - {"memmon"}
    differing = {
        (name, item) for name in {*now} - {"memmon"} for item in now[name] if now[name][item] != then[name][item]
    }
    commands = {(name, "command") for name in now if name.startswith(("worker", "gunicorn", "beat", "authbot"))}
    assert differing - commands == {("gunicorn", "stopsignal"), ("gunicorn", "stopwaitsecs"), ("authbot", "group")}
    for name, item in commands:
        words = [process[name][item].split() for process in (now, then)]
        gone, new = (set(words[0]) - set(words[1])), (set(words[1]) - set(words[0]))
        added = {word for word in new if word.endswith("@%h") or "gunicorn.py" in word or word == "--config"}
        # Otherwise they are spelled in the role's way.
        assert {word.lower().lstrip("-") for word in gone if word != name} <= {"info", "prefork", "p", "c", "2"}, gone
        assert new - added <= {"info", "--pool=prefork", "--concurrency=2"}, new
    assert server.states(host).keys() >= {"myauth:worker_00", "myauth:worker_heavy_00", "myauth:authbot"}
    assert set(server.states(host).values()) == {"RUNNING"}
    assert server.run(host, server.get("/account/login/", PORT)) == "200\n"


def test_there_is_nothing_left_to_do(applied: playbook.Run) -> None:
    again = playbook.apply()
    assert again.status == 0
    assert set(again.changed.values()) == {0}
