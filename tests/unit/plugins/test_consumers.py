# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Workers that are told to take no more tasks, and to take tasks again; Celery is a fake of its remote control."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import (
    code,
    consumers,
    consumers_program,
    guard,
    guard_program,
    proc,
)

# The nodes and what they do stand in a file: by name, `queues`, `active` and `reserved` as ids of tasks, and `fails`,
# the commands that end with an exception there.
CELERY = """
import json, types
print("what a project prints when it is loaded")

def broadcast(command, destination, reply, timeout, limit, arguments):
    with open("nodes.json") as file:
        nodes = json.load(file)
    said = []
    for name in set(destination) & set(nodes):
        node = nodes[name]
        if command == "cancel_consumer":
            node["queues"].remove(arguments["queue"])
        if command == "add_consumer":
            node["queues"].append(arguments["queue"])
        if command in node.get("fails", []):
            said.append({name: {"error": "RuntimeError('dictionary changed size during iteration')"}})
        elif command in ("active", "reserved"):
            said.append({name: [{"id": id, "name": "a.task", "time_start": None} for id in node.get(command, [])]})
        elif command == "active_queues":
            said.append({name: [{"name": queue} for queue in node["queues"]]})
        elif command == "query_task":
            known = node.get("active", [])
            said.append({name: {id: ["active", {}] for id in arguments["ids"] if id in known}})
        else:
            said.append({name: {"ok": command}})
    with open("nodes.json", "w") as file:
        json.dump(nodes, file)
    return said or None

def find_app(name):
    assert name == "myauth"
    return types.SimpleNamespace(control=types.SimpleNamespace(broadcast=broadcast))
"""

WORKER = "myauth:worker_00"


class Site:
    """A server with Celery nodes."""

    def __init__(self, folder: Path) -> None:
        (folder / "celery/app").mkdir(parents=True)
        (folder / "celery/__init__.py").touch()
        (folder / "celery/app/__init__.py").touch()
        (folder / "celery/app/utils.py").write_text(CELERY)
        self.celery = {"python": sys.executable, "project": "myauth", "cwd": str(folder), "env": {}}
        self.path = folder / "nodes.json"
        self.venv = folder / "venv"
        self.packages = self.venv / "lib/python3.11/site-packages"
        self.installed("5.7.0")
        self.pids: dict[str, int] = {}
        self.remembered: list[dict[str, Any]] = []
        self.deleted: list[str] = []

    def installed(self, version: str, at: float = 0) -> None:
        """Have this Celery in the venv since ``at``."""
        for folder in self.packages.glob("celery-*.dist-info"):
            folder.rmdir()
        folder = self.packages / f"celery-{version}.dist-info"
        folder.mkdir(parents=True)
        os.utime(folder, (at, at))

    def has(self, **nodes: Mapping[str, Any]) -> None:
        """Have nodes; their host is auth1, or that of a name which says another."""
        self.path.write_text(
            json.dumps({name if "@" in name else f"{name}@auth1": node for name, node in nodes.items()})
        )

    def queues(self, node: str = "worker_00@auth1") -> list[str]:
        return sorted(json.loads(self.path.read_text())[node]["queues"])

    def remember(self, celery: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
        """Be a guard: what it has to know comes before anything is changed."""
        assert all(set(entry["queues"]) == set(self.queues(entry["node"])) for entry in found.values())
        self.remembered.append({"celery": dict(celery), "consumers": dict(found)})
        return dict(found)

    def workers(self, remember: consumers.Remember | None = None) -> consumers.Consumers:
        processes = [types.SimpleNamespace(namespec=name, pid=pid) for name, pid in self.pids.items()]
        daemon: Any = types.SimpleNamespace(processes=lambda: processes)
        application: Any = types.SimpleNamespace(
            talks=lambda: self.celery,
            venv=str(self.venv),
            project="myauth",
            ask=lambda source, arguments, seconds: self.deleted.append(arguments[1]),
        )
        return consumers.Consumers(lambda: application, daemon, "auth1", remember or self.remember)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(consumers_program, "_ACT_SECONDS", 0.2)
    return Site(tmp_path)


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    running = subprocess.Popen(["sleep", "1000"])
    yield running
    running.kill()
    running.wait()


def entry(pid: int, *queues: str) -> dict[str, Any]:
    return {"node": "worker_00@auth1", "queues": list(queues), "pid": pid, "start": proc.start_ticks(pid)}


def test_a_worker_takes_no_more_tasks_and_has_those_to_finish_that_it_has_begun(site: Site) -> None:
    site.pids[WORKER] = os.getpid()
    site.has(worker_00={"queues": ["celery", "fleet"], "active": ["a"], "reserved": ["b"]})
    workers = site.workers()
    assert workers.pause([WORKER]) == {WORKER: ["a", "b"]}
    assert site.queues() == []
    assert site.remembered == [{"celery": site.celery, "consumers": {WORKER: entry(os.getpid(), "celery", "fleet")}}]
    assert [task["id"] for task in workers.tasks["worker_00"]] == ["a"]
    workers.close()


def test_who_does_not_answer_or_may_be_another_servers_is_left_alone(site: Site) -> None:
    names = ["myauth:worker_00", "myauth:worker_01", "pid:7@7"]
    site.pids = dict.fromkeys(names, os.getpid())
    site.has(**{"celery@worker_00": {"queues": ["celery"], "active": ["a"]}, "worker_02": {"queues": ["celery"]}})
    workers = site.workers()
    assert workers.pause(names) == {}
    assert site.queues("celery@worker_00") == ["celery"]
    assert site.queues("worker_02@auth1") == ["celery"]
    # It is told all the same what that one runs.
    assert [task["id"] for task in workers.tasks["worker_00"]] == ["a"]
    workers.close()


def test_workers_on_a_queue_of_their_own_are_handed_the_real_ones(site: Site) -> None:
    site.has(new={"queues": ["allianceauth-tuning"]})
    waiting = {
        WORKER: {"node": "new@auth1", "queues": ["celery", "fleet"]},
        "myauth:slow_00": {"node": "silent@auth1", "queues": ["slow"]},
    }
    workers = site.workers()
    left = workers.hand_over(waiting)
    assert left == {"myauth:slow_00": waiting["myauth:slow_00"]}
    assert site.queues("new@auth1") == ["allianceauth-tuning", "celery", "fleet"]
    site.has(silent={"queues": ["allianceauth-tuning"]})
    assert workers.hand_over(left) == {}
    assert site.queues("silent@auth1") == ["allianceauth-tuning", "slow"]
    workers.delete_queue(["silent@auth1"])
    assert site.queues("silent@auth1") == ["slow"]
    assert site.deleted == ["allianceauth-tuning"]
    workers.close()


def test_who_took_tasks_since_an_earlier_run_is_told_to_finish_when_its_successor_takes_them(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(subprocess, "run", lambda command, **_how: commands.append(command))
    site.has(new={"queues": ["allianceauth-tuning"]})
    waiting = {WORKER: {"node": "new@auth1", "queues": ["celery"], "replaces": ["old.service"]}}
    # After a run that was called off, or cut off.
    assert consumers_program.give_back({"celery": site.celery, "waiting": waiting}) == ([], [])
    assert commands == [["systemctl", "stop", "--no-block", "old.service"]]
    assert "celery" in site.queues("new@auth1")


def test_nobody_is_handed_a_queue_while_the_broker_does_not_answer(site: Site, tmp_path: Path) -> None:
    (tmp_path / "celery/app/utils.py").write_text("raise SystemExit(1)")
    waiting = {WORKER: {"node": "new@auth1", "queues": ["celery"]}}
    workers = site.workers()
    assert workers.hand_over(waiting) == waiting
    workers.close()


@pytest.mark.parametrize("command", ["active", "active_queues"])
def test_a_node_that_says_that_it_cannot_counts_as_one_that_does_not_answer(site: Site, command: str) -> None:
    site.pids[WORKER] = os.getpid()
    site.has(worker_00={"queues": ["celery"], "active": ["a"], "fails": [command]})
    workers = site.workers()
    assert workers.pause([WORKER]) == {}
    assert site.queues() == ["celery"]
    workers.close()


def test_a_node_that_cannot_say_what_it_has_reserved_has_not_finished(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "_LOOK_SECONDS", 0)
    site.pids[WORKER] = os.getpid()
    site.has(worker_00={"queues": ["celery"], "active": ["a"], "fails": ["reserved", "query_task"]})
    workers = site.workers()
    # It gets its TERM at once.
    assert workers.pause([WORKER]) == {}
    assert workers.unfinished({WORKER: ["a"]}) == {WORKER}
    workers.close()


def test_nobody_is_told_to_take_no_more_tasks_where_nobody_could_give_them_back(site: Site) -> None:
    site.pids[WORKER] = os.getpid()
    site.has(worker_00={"queues": ["celery"]})
    workers = site.workers(remember=lambda celery, found: {})
    assert workers.pause([WORKER]) == {}
    assert site.queues() == ["celery"]
    workers.close()


@pytest.mark.parametrize("version", ["5.2.7", "5.6.2", "6.0.0", "5.7.0", "5.10.1"])
def test_only_a_celery_that_keeps_the_queues_that_it_is_given_back_is_told_to_take_no_more(
    site: Site, version: str
) -> None:
    site.pids[WORKER] = os.getpid()
    site.installed(version)
    site.has(worker_00={"queues": ["celery"], "active": ["a"]})
    workers = site.workers()
    keeps = version in ("6.0.0", "5.7.0", "5.10.1")
    assert workers.pause([WORKER]) == ({WORKER: ["a"]} if keeps else {})
    assert site.queues() == ([] if keeps else ["celery"])
    # What it runs is told with either.
    assert [task["id"] for task in workers.tasks["worker_00"]] == ["a"]
    workers.close()


def test_a_worker_that_began_before_its_celery_was_installed_may_have_an_older_one(site: Site) -> None:
    site.pids[WORKER] = os.getpid()
    site.installed("5.7.0", at=time.time() + 60)
    site.has(worker_00={"queues": ["celery"]})
    workers = site.workers()
    assert workers.pause([WORKER]) == {}
    assert site.queues() == ["celery"]
    workers.close()


def test_what_an_older_celery_has_left_behind_leaves_it_open_which_one_runs(site: Site) -> None:
    assert code.loaded(str(site.venv), "celery", time.time()) == (5, 7)
    (site.packages / "celery-5.6.2.dist-info").mkdir()
    assert code.loaded(str(site.venv), "celery", time.time()) == (5, 6)
    assert code.loaded(str(site.venv), "kombu", time.time()) is None


def test_a_project_that_does_not_load_keeps_nobody_from_being_told_to_stop(site: Site, tmp_path: Path) -> None:
    (tmp_path / "celery/app/utils.py").write_text("raise SystemExit(1)")
    workers = site.workers()
    assert workers.pause([WORKER]) == {}
    assert workers.unfinished({WORKER: ["a"]}) == {WORKER}
    workers.close()


def test_a_worker_has_finished_once_it_runs_none_of_its_tasks_whatever_it_has_begun_since(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "_LOOK_SECONDS", 0)
    waits = {WORKER: ["a"], "myauth:worker_01": []}
    site.has(worker_00={"queues": [], "active": ["a"]}, worker_01={"queues": []})
    workers = site.workers()
    assert workers.unfinished(waits) == {WORKER}
    # One that does not answer has finished nothing.
    site.has(worker_01={"queues": []})
    assert workers.unfinished(waits) == {WORKER}
    site.has(worker_00={"queues": [], "active": ["later"]})
    assert workers.unfinished(waits) == set()
    assert [task["id"] for task in workers.tasks["worker_00"]] == ["later"]
    workers.close()


def test_the_guard_gives_a_worker_its_queues_back_with_a_program_of_its_own(
    site: Site, process: subprocess.Popen[bytes]
) -> None:
    site.has(worker_00={"queues": []})
    state = {"celery": site.celery, "consumers": {WORKER: entry(process.pid, "celery", "fleet")}}
    done = subprocess.run(
        [sys.executable, "-I", consumers_program.__file__],
        input=json.dumps(state),
        capture_output=True,
        check=True,
        text=True,
    )
    assert json.loads(done.stdout) == {"said": [f"{WORKER} takes tasks again"], "finishing": []}
    assert site.queues() == ["celery", "fleet"]
    assert process.poll() is None


def test_a_worker_that_does_not_answer_is_told_to_finish(site: Site, process: subprocess.Popen[bytes]) -> None:
    site.has()
    state = {"celery": site.celery, "consumers": {WORKER: entry(process.pid, "celery")}}
    assert consumers_program.give_back(state) == ([], [WORKER])
    assert process.wait(60) == -signal.SIGTERM


def test_old_code_gets_no_queue_back_from_which_new_code_takes_tasks(
    site: Site, process: subprocess.Popen[bytes]
) -> None:
    site.has(worker_00={"queues": []}, new={"queues": ["allianceauth-tuning"]})
    state = {
        "celery": site.celery,
        "consumers": {WORKER: entry(process.pid, "celery")},
        "apart": "app.new is not both in the old code and in the new one",
        "waiting": {WORKER: {"node": "new@auth1", "queues": ["celery"]}},
    }
    done = subprocess.run(
        [sys.executable, "-I", consumers_program.__file__],
        input=json.dumps(state),
        capture_output=True,
        check=True,
        text=True,
    )
    words = "runs the code from before and was told to finish, after which supervisord starts it again"
    assert json.loads(done.stdout) == {"said": [f"{WORKER} {words}"], "finishing": [WORKER]}
    assert site.queues() == []
    # Who was to take its tasks takes them.
    assert site.queues("new@auth1") == ["allianceauth-tuning", "celery"]
    assert process.wait(60) == -signal.SIGTERM


def test_a_worker_that_has_ended_since_is_given_nothing(site: Site, process: subprocess.Popen[bytes]) -> None:
    site.has(worker_00={"queues": []})
    gone = {**entry(process.pid, "celery"), "start": 1}
    assert consumers_program.give_back({"celery": site.celery, "consumers": {WORKER: gone}}) == ([], [])
    assert consumers_program.give_back({}) == ([], [])
    assert site.queues() == []
    assert process.poll() is None


@pytest.fixture
def module(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Be a run that holds the lock and has set its guard."""
    monkeypatch.setattr(guard, "RUN_FOLDER", str(tmp_path))
    (tmp_path / "allianceauth.tuning.myauth.guard").mkdir()
    guard_program.save(guard.lock_path(), {"owner": "me"})
    guard_program.save(guard._state_path("myauth"), {"owner": "me"})
    given = {"name": "myauth", "owner": "me", "seconds": 120}
    return types.SimpleNamespace(params={"guard": given}, check_mode=False)


def test_a_call_whose_answer_was_lost_leaves_the_queues_with_the_guard(site: Site, module: Any) -> None:
    first = guard.remember_consumers(module, site.celery, {WORKER: entry(os.getpid(), "celery")})
    again = guard.remember_consumers(module, site.celery, {WORKER: entry(os.getpid())})
    assert first == again == {WORKER: entry(os.getpid(), "celery")}
    site.has(worker_00={"queues": []})
    assert consumers.give_back(module) == ([WORKER], [])
    assert site.queues() == ["celery"]
    # Once.
    site.has(worker_00={"queues": []})
    assert consumers.give_back(module) == ([], [])
    assert site.queues() == []


def test_the_guard_knows_that_old_and_new_code_must_stay_apart(
    site: Site, module: Any, process: subprocess.Popen[bytes]
) -> None:
    found = {WORKER: entry(process.pid, "celery")}
    guard.remember_consumers(module, site.celery, found, "app.new is not both")
    # Also if a later call finds nothing of the kind: the worker runs what it ran.
    guard.remember_consumers(module, site.celery, found)
    site.has(worker_00={"queues": []})
    assert consumers.give_back(module) == ([], [WORKER])
    assert site.queues() == []
    assert process.wait(60) == -signal.SIGTERM
    # It counts for those workers alone.
    guard.remember_consumers(module, site.celery, {WORKER: entry(os.getpid(), "celery")})
    assert consumers.give_back(module) == ([WORKER], [])


def test_without_a_guard_nothing_is_remembered(site: Site, module: Any) -> None:
    os.unlink(guard._state_path("myauth"))
    found = {WORKER: entry(os.getpid(), "celery")}
    assert guard.remember_consumers(module, site.celery, found) == {}
    module.params["guard"] = {}
    assert guard.remember_consumers(module, site.celery, found) == {}
    assert consumers.give_back(module) == ([], [])
