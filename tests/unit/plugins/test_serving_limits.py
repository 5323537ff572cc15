# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker that takes tasks during a drain and holds more than its memory limit."""

from __future__ import annotations

import os
import types
from typing import Any

import pytest
from ansible_collections.allianceauth.tuning.plugins.action import supervisor_programs as action
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import proc, serving, supervisord
from ansible_collections.allianceauth.tuning.plugins.modules import celery_standby, supervisor_programs

PROCESS = "myauth:worker_00"
SERVING = {PROCESS: {"memory_limit": 512 * 1024**2, "concurrency": 10}, "myauth:b_00": {"memory_limit": 0}}
HEAVY = {"pending": [{"name": "x:x", "state": "RUNNING"}], "heavy": {PROCESS: 600 * 1024**2}}
SAID = "the worker that takes tasks beside worker_00 holds 600 MB, more than its memory limit of 512MB, and goes on"


class Drain(action.ActionModule):
    """A drain with answers that stand before."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        args = {"serving": SERVING, "stopwaitsecs": {"x:x": 900}, "celery": {"venv": "/venv"}}
        task: Any = types.SimpleNamespace(args=args)
        self._task, self._vars = task, {"inventory_hostname": "auth1"}
        self.answers, self.calls = list(answers), list[tuple[str, dict[str, Any]]]()

    def _call(self, module: str = "supervisor_programs", **arguments: Any) -> dict[str, Any]:
        self.calls.append((module, arguments))
        return self.answers.pop(0)


@pytest.fixture
def _each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(action, "_WEIGH_SECONDS", 0)


@pytest.mark.usefixtures("_each_time")
def test_one_past_its_limit_gets_a_successor() -> None:
    drain = Drain(HEAVY, {"running": [PROCESS], "problem": ""}, {"pending": []})
    result = drain._stop({})
    (_first, successor, _last) = drain.calls
    assert successor[0] == "celery_standby"
    assert successor[1] == {
        "state": "replaced",
        "name": "myauth",
        "processes": [PROCESS],
        "connections": 10,
        "timeout": 60,
        "longest": 900,
        "venv": "/venv",
    }
    # The successor may come to hold too much as well; what has no limit is not weighed.
    assert [given["serving"] for module, given in drain.calls if module == "supervisor_programs"] == [
        {PROCESS: SERVING[PROCESS]}
    ] * 2
    assert result["replaced"] == {PROCESS: {"held": 600 * 1024**2, "limit": 512 * 1024**2}}
    assert "warnings" not in result


@pytest.mark.usefixtures("_each_time")
@pytest.mark.parametrize("answer", [{"problem": "there is no memory"}, {"failed": True, "msg": "there is no memory."}])
def test_without_a_successor_it_goes_on_and_the_run_too(answer: dict[str, Any]) -> None:
    drain = Drain(HEAVY, answer, {"pending": []})
    result = drain._stop({})
    assert not result.get("failed")
    assert result["replaced"] == {}
    (said,) = result["warnings"]
    assert said.startswith(f"auth1: {SAID}, for no other one could take its place: there is no memory. ")
    # It would not start a moment later either.
    assert drain.calls[-1][1]["serving"] == {}


@pytest.mark.usefixtures("_each_time")
def test_one_that_takes_no_tasks_yet_is_not_weighed() -> None:
    waits = {"pending": HEAVY["pending"]}
    drain = Drain({**waits, "waiting": {PROCESS: {}}}, {**waits, "waiting": {}}, {"pending": []})
    drain._task.args["waiting"] = {PROCESS: {"node": "a", "queues": ["celery"]}}
    drain._stop({})
    assert [PROCESS in given["serving"] for _module, given in drain.calls] == [False, False, True]


def test_none_is_weighed_more_often_than_memmon_looks() -> None:
    waits = {"pending": HEAVY["pending"]}
    drain = Drain(waits, waits, {"pending": []})
    drain._stop({})
    assert [given["serving"] for _module, given in drain.calls] == [{}] * 3


SHOWN = """Id=allianceauth-tuning-myauth-worker-worker_00-1764107412.service
MainPID={pid}
ActiveState=active

MainPID=1
Id=allianceauth-tuning-myauth-worker-b_00-1764107412.service
ActiveState=deactivating
"""


@pytest.mark.parametrize(("limit", "past"), [(1, True), (1024**4, False), (0, False)])
def test_a_worker_is_weighed_with_its_children(monkeypatch: pytest.MonkeyPatch, limit: int, past: bool) -> None:
    pid, child = os.getpid(), 7
    monkeypatch.setattr(proc, "children", lambda pids: {pid: [child] for pid in pids})
    monkeypatch.setattr(proc, "rss", {pid: 100, child: 20}.get)
    monkeypatch.setattr(serving, "_run", lambda *_: types.SimpleNamespace(stdout=SHOWN.format(pid=pid)))
    given = {name: {"memory_limit": limit} for name in (PROCESS, "myauth:b_00", "myauth:c_00")}
    # One that finishes already, or never began, is not replaced.
    assert supervisor_programs.heavy(given) == ({PROCESS: 120} if past else {})


class Ended(Exception):
    """The module has ended; its argument is the result."""


@pytest.mark.parametrize("trouble", [None, RuntimeError("it ended at once."), serving.ImpossibleError("no memory")])
def test_only_a_successor_that_works_ends_the_one_before_it(
    monkeypatch: pytest.MonkeyPatch, trouble: Exception | None
) -> None:
    def begin(_given: dict[str, Any]) -> tuple[list[serving.Worker], dict[str, Any]]:
        if trouble:
            raise trouble
        return [serving.Worker(PROCESS, "new.service", "new@auth1")], {}

    def end(**result: Any) -> None:
        raise Ended(result)

    params = {"state": "replaced", "name": "myauth", "processes": [PROCESS], "guard": {}, "brings": "code", "apart": ""}
    module = types.SimpleNamespace(params=params, check_mode=False, exit_json=end, fail_json=None)
    mine, other = (f"{serving.prefix('myauth')}{name}-1764107412.service" for name in ("worker_00", "worker_01"))
    stopped: list[str] = []
    monkeypatch.setattr(celery_standby, "AnsibleModule", lambda **_given: module)
    monkeypatch.setattr(supervisord, "find_supervisor", lambda _module: None)
    monkeypatch.setattr(celery_standby, "begin", begin)
    monkeypatch.setattr(serving, "units", lambda _name: [mine, other])
    monkeypatch.setattr(serving, "stop", stopped.extend)
    with pytest.raises(Ended) as ended:
        celery_standby.main()
    (result,) = ended.value.args
    assert result["problem"] == str(trouble or "").rstrip(".")
    assert stopped == ([] if trouble else [mine])
