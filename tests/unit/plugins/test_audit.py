# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an audit decides: each finding by its evidence, and nothing where nothing is wrong."""

from __future__ import annotations

import ast
import re
from typing import Any

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import memory
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.audit import audit, beat, worker
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.audit.finding import SEVERITIES

from tests.unit.plugins import looks
from tests.unit.plugins.audit_cases import CHANGES, DOCS, SOURCES, WITH_OTHERS, Change, asked, found, limits, named
from tests.unit.plugins.planning import INFO, declare


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    assert found(looks.good()) == []
    assert audit.report({"auth1": looks.good()}, {}, "now")["hosts"]["auth1"]["verdict"] == "good"


@pytest.mark.parametrize(("change", "severity", "rule", "evidence", "remedy"), CHANGES.values(), ids=list(CHANGES))
def test_one_change_makes_one_finding(
    change: Change, severity: str, rule: str, evidence: str, remedy: str, request: pytest.FixtureRequest
) -> None:
    look = looks.good()
    change(look)
    others: set[str] = WITH_OTHERS.get(request.node.callspec.id, set())
    (finding,) = [one for one in found(look) if one.rule not in others]
    assert (finding.severity, finding.rule) == (severity, rule)
    assert evidence in finding.evidence
    assert remedy in finding.remedy
    assert finding.why


def test_the_least_of_several_limits_is_what_a_process_has() -> None:
    look = looks.good()
    (listener,) = [one for one in look["limits"] if "worker_00" in one["programs"]]
    listener.update(programs={"worker_00": "500MB"}, groups={"myauth": "400MB"}, any="300MB")
    assert worker.limits(look)["myauth:worker_00"][0] == 300 * 1024**2
    listener["any"] = None
    assert worker.limits(look)["myauth:worker_00"][0] == 400 * 1024**2


@pytest.mark.parametrize(("limit", "held"), [("512MB", 600), ("110MB", 117), ("256MB", 256)])
def test_with_the_limit_that_is_advised_nothing_is_found(limit: str, held: int) -> None:
    look = looks.good()
    limits(look, programs={"worker_00": limit})
    named(look, "worker_00")["rss"] = held * looks.MEGABYTE
    (finding,) = found(look)
    assert finding.rule == "limit-below-use"
    (advised,) = re.findall(r"auth_worker_memory_limit: (\d+MB) or more", finding.remedy)
    limits(look, programs={"worker_00": advised})
    assert found(look) == []


def test_a_child_that_leaks_is_no_weight_at_rest_as_apply_has_it(defaults: dict[str, Any]) -> None:
    look = looks.good()
    listener, limit = looks.memmon("gunicorn", "550MB", children=True)
    look["processes"].append(listener)
    look["limits"].append(limit)
    gunicorn = named(look, "gunicorn")
    gunicorn["children"] = [95 * looks.MEGABYTE] * 2 + [300 * looks.MEGABYTE]
    (finding,) = found(look)
    assert finding.evidence == "the limit is 550 MB, and it holds 514 MB now, the lightest of its kind 309 MB"
    info = {**INFO, "orphans": [], "daemon": {**INFO["daemon"], "processes": look["processes"]}}
    (said,) = memory.warnings(declare(defaults, auth_gunicorn_memory_limit="550MB"), info)
    assert "less than twice the 309 MB" in said


@pytest.mark.parametrize(("used", "allowed"), [(500, 500), (121, 151), (4000, 4000), (5, 20)])
def test_with_the_connections_that_are_advised_nothing_is_found(used: int, allowed: int) -> None:
    look = looks.good()
    asked(look, database={"max_connections": allowed, "max_used_connections": used})
    (finding,) = found(look)
    (advised,) = re.findall(r"max_connections = (\d+)", finding.remedy)
    asked(look, database={"max_connections": int(advised), "max_used_connections": used})
    assert found(look) == []


@pytest.mark.parametrize("workers", ["three", "2.0", "", "="])
def test_a_gunicorn_with_a_number_that_is_none_ends_no_audit(workers: str) -> None:
    look = looks.good()
    asked(look, database={"max_connections": 20, "max_used_connections": 19, "threads_connected": 7})
    named(look, "gunicorn")["arguments"] = [*looks.GUNICORN[:2], "--workers", workers]
    (finding,) = found(look)
    assert "19 were used at most, 7 are open now, and the database allows 20" in finding.evidence


def test_a_silent_daemon_and_invalid_files_are_found() -> None:
    look = looks.good()
    look.update(daemon={"problem": "supervisord does not answer at unix:///s", "drift": {}}, invalid="bad [program:x]")
    look.update(processes=[], projects=[], limits=[])
    assert [one.rule for one in found(look)] == ["supervisord-silent", "configuration-invalid"]


def test_a_host_without_any_project_is_told() -> None:
    look = looks.good()
    look.update(processes=[], projects=[], limits=[])
    assert [one.rule for one in found(look)] == ["no-project"]


def test_a_guide_without_memmon_has_workers_without_limits() -> None:
    look = looks.good()
    look.update(limits=[], processes=[one for one in look["processes"] if one["kind"] != "listener"])
    (finding,) = found(look)
    assert finding.rule == "worker-without-limit"
    assert "supervisord runs no memmon at all" in finding.evidence


def test_a_beat_that_was_started_by_hand_runs() -> None:
    by_hand = looks.good()
    named(by_hand, "beat").update(autostart=False)
    assert found(by_hand) == []
    judged = beat.findings({"auth1": by_hand, "auth2": looks.good()})
    assert judged["auth1"][0].rule == "several-beats"
    # Where supervisord does not answer, the one that starts by itself counts.
    named(by_hand, "beat").update(state=None)
    assert [one.rule for one in beat.findings({"auth1": by_hand})["auth1"]] == ["no-beat"]


def test_workers_of_other_hosts_have_places_too() -> None:
    look = looks.good()
    asked(look, countdown={"tasks": 250, "seconds": 600})
    nodes = look["projects"][0]["asked"]["nodes"]
    nodes["worker_00@auth2"] = {**nodes["worker_00@auth1"]}
    nodes["worker_services_00@auth2"] = {**nodes["worker_services_00@auth1"]}
    (finding,) = [one for one in found(look) if one.rule == "waiting-places"]
    assert "2 worker processes have 200 places" in finding.evidence
    assert finding.remedy == "auth_worker_numprocs: 2"
    nodes["worker_01@auth2"] = {**nodes["worker_00@auth1"]}
    assert [one for one in found(look) if one.rule == "waiting-places"] == []


def test_two_hosts_on_one_broker_have_one_beat_and_no_node_twice() -> None:
    both = {"auth1": looks.good(), "auth2": looks.good()}
    judged = beat.findings(both)
    for host in both:
        assert [one.rule for one in judged[host]] == ["several-beats", "node-name-twice", "node-name-twice"]
        assert "myauth:beat on auth1, myauth:beat on auth2" in judged[host][0].evidence
    # The second has a name of its own, and beat runs on the first alone.
    both["auth2"]["hostname"] = "auth2"
    for process in both["auth2"]["processes"]:
        process["arguments"] = [word.replace("@auth1", "@auth2") for word in process["arguments"]]
    both["auth2"]["processes"] = [one for one in both["auth2"]["processes"] if one["kind"] != "beat"]
    assert beat.findings(both) == {"auth1": [], "auth2": []}
    # A host of its own broker has a beat of its own.
    both["auth2"]["projects"][0]["asked"]["broker"]["identity"] = "77f0/0"
    assert [one.rule for one in beat.findings(both)["auth2"]] == ["no-beat"]


def test_a_beat_that_was_left_behind_counts() -> None:
    look = looks.good()
    orphan = {"pid": 77, "kind": "beat", "command": "celery -A myauth beat", "venv": looks.VENV, "project": "myauth"}
    look["orphans"].append(orphan)
    assert {one.rule for one in found(look)} == {"orphan", "several-beats"}
    # Of two projects in one venv it has only its own twice, and may be any's if it does not say.
    second = {**look["projects"][0], "name": "second", "directory": "/srv/second", "processes": ["second:beat"]}
    look["projects"].append(second)
    look["processes"].append(looks.process("beat", "beat", [], namespec="second:beat", group="second"))
    for project, twice in (("myauth", {"myauth"}), ("second", {"second"}), ("", {"myauth", "second"})):
        orphan["project"] = project
        assert {one.project for one in beat.findings({"auth1": look})["auth1"] if one.rule == "several-beats"} == twice
    orphan["venv"] = "/srv/other"
    assert [one.rule for one in beat.findings({"auth1": look})["auth1"] if one.rule == "several-beats"] == []


def test_a_worker_on_another_host_consumes_a_queue_as_well() -> None:
    look = looks.good()
    look["projects"][0]["asked"]["queues"]["mails"] = {"before": 0, "after": 0, "tasks": ["mails.tasks.send"]}
    look["projects"][0]["asked"]["nodes"]["worker_mails_00@auth2"] = {
        "queues": ["mails"],
        "scheduled": 0,
        "active": 0,
    }
    assert found(look) == []


def test_beat_may_be_on_a_host_that_was_not_looked_at() -> None:
    look = looks.good()
    named(look, "beat").update(state="STOPPED")
    look["projects"][0]["asked"]["nodes"]["worker_00@auth2"] = {"queues": ["celery"], "scheduled": 0, "active": 0}
    (finding,) = found(look)
    assert (finding.severity, finding.rule) == ("low", "no-beat")
    assert "worker_00@auth2 use the same broker on a host that was not looked at" in finding.evidence


def test_without_a_limit_of_countdown_tasks_there_are_no_places_to_run_out() -> None:
    look = looks.good()
    asked(look, countdown={"tasks": 900, "seconds": 600}, eta_limit=None)
    assert found(look) == []


@pytest.mark.parametrize(("tasks", "needed"), [(0, 1), (99, 1), (100, 2), (300, 4), (1000, 11)])
def test_one_process_more_than_the_tasks_fill_is_needed(tasks: int, needed: int) -> None:
    look = looks.good()
    asked(look, countdown={"tasks": tasks, "seconds": 600})
    places = audit.report({"auth1": look}, {}, "now")["hosts"]["auth1"]["projects"][0]["places"]
    assert places["processes_needed"] == needed


@pytest.mark.parametrize(
    ("arguments", "pool", "tasks", "queues", "node"),
    [
        (["worker", "-P", "threads", "-c", "12", "-l", "INFO"], "threads", 12, (), "celery@auth1"),
        (["worker", "--pool", "gevent", "--concurrency", "80", "-Q", "a, b"], "gevent", 80, ("a", "b"), "celery@auth1"),
        (["worker", "-c7", "-Qa", "-n", "w@%h"], "prefork", 7, ("a",), "w@auth1"),
        (["worker"], "prefork", 4, (), "celery@auth1"),
        (["worker", "--autoscale=10,3"], "prefork", 10, (), "celery@auth1"),
        (["worker", "--pool=solo", "-c", "9", "--hostname=worker_00"], "solo", 1, (), "celery@worker_00"),
    ],
)
def test_a_workers_command_is_read_as_celery_reads_it(
    arguments: list[str], pool: str, tasks: int, queues: tuple[str, ...], node: str
) -> None:
    look = looks.good()
    look["processes"] = [looks.process("worker_00", "worker", [*looks.CELERY, *arguments])]
    (one,) = worker.workers(look)
    assert (one.pool, one.tasks(look["cores"]), one.queues, one.node) == (pool, tasks, queues, node)


def test_strict_counts_what_is_as_bad_or_worse_and_hosts_that_nobody_saw() -> None:
    look = looks.good()
    look["unit"]["stop_seconds"] = 90.0
    named(look, "gunicorn")["stopsignal"] = "INT"
    whole = audit.report({"auth1": look}, {"auth2": "unreachable"}, "now")
    assert audit.at_or_above(whole, "high") == {"auth2": 1}
    assert audit.at_or_above(whole, "medium") == {"auth1": 1, "auth2": 1}
    assert audit.at_or_above(whole, "low") == {"auth1": 2, "auth2": 1}


def words(node: ast.expr) -> set[str]:
    """Return what an argument may be: a word, or one of two."""
    if isinstance(node, ast.IfExp):
        return words(node.body) | words(node.orelse)
    return {str(ast.literal_eval(node))}


def rules(source: str) -> list[tuple[str, set[str]]]:
    """Return the rule of each Finding that a file makes, with the severities that it may have."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    made = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Finding"]
    return [(ast.literal_eval(call.args[1]), words(call.args[0])) for call in made]


def test_every_rule_is_in_the_documentation_with_its_severities() -> None:
    made: dict[str, set[str]] = {}
    for file in SOURCES.glob("*.py"):
        for rule, severities in rules(file.read_text()):
            made.setdefault(rule, set()).update(severities)
    table = DOCS.read_text().partition("## Findings")[2].partition("## ")[0]
    documented = dict(re.findall(r"^\| `([a-z-]+)` \| ([a-z, ]+) \|", table, re.MULTILINE))
    # The worst first.
    assert documented == {rule: ", ".join(one for one in SEVERITIES if one in found) for rule, found in made.items()}
