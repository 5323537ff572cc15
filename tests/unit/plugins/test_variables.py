# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each wrong value is refused in a sentence with the host, the variable and the value."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
import supervisor.options
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.options import PROGRAM_OPTIONS
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import refusals, variables
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.declared import ineffective

WRONG: list[tuple[str, Any, str]] = [
    ("auth_worker_concurrency", "many", "auth_worker_concurrency is 'many': it has to be a whole number."),
    ("auth_worker_concurrency", 0, "auth_worker_concurrency is 0: it has to be 1 or more."),
    ("auth_worker_numprocs", True, "auth_worker_numprocs is True: it has to be a whole number."),
    ("auth_worker_pool", "fibres", "auth_worker_pool is 'fibres': it has to be one of "),
    ("auth_worker_loglevel", "loud", "auth_worker_loglevel is 'loud': it has to be one of nothing, debug, info"),
    ("auth_worker_memory_limit", "256MiB", "auth_worker_memory_limit is '256MiB': "),
    ("auth_worker_memory_limit", "256", "auth_worker_memory_limit is '256': "),
    ("auth_worker_options", "-E", "auth_worker_options is '-E': it has to be a list of arguments."),
    ("auth_worker_options", ["a\nb"], "auth_worker_options is ['a\\nb']: it holds the control character"),
    ("auth_worker_options", ["--autoscale=10,3"], "--autoscale needs the pool prefork: the pool threads cannot grow"),
    (
        "auth_workers",
        [{"name": "big", "pool": "gevent", "options": ["--autoscale", "10,3"]}],
        "--autoscale needs the pool prefork: the pool gevent cannot grow",
    ),
    *(
        (
            "auth_workers",
            [{"name": "big", "pool": pool, "options": ["--autoscale=10,3"]}],
            f"--autoscale needs the pool prefork: the pool {pool} cannot grow",
        )
        for pool in ("threads", "eventlet", "solo")
    ),
    (
        "auth_workers",
        [{"name": "big", "queue": ["a"]}],
        "auth_workers[0].queue is ['a']: no pool has such a key (did you mean queues?).",
    ),
    ("auth_drain_timeout_action", "wait", "auth_drain_timeout_action is 'wait': it has to be one of abort, kill."),
    ("auth_discard", "program:x", "auth_discard is 'program:x': it has to be a list of arguments."),
    ("auth_pip_environment", "A=b", "auth_pip_environment is "),
    (
        "auth_program_settings",
        {"worker": {"environment": "TOKEN=a"}},
        "auth_program_settings.worker.environment is not as it has to be: it has to be a mapping",
    ),
    ("auth_workers", [{"name": "big worker"}], "auth_workers[0].name is 'big worker': a name may have"),
    ("auth_workers", [{"name": "big%d"}], "auth_workers[0].name is 'big%d': a name may have"),
    (
        "auth_workers",
        [{"name": "big", "concurrency": -1}],
        "auth_workers[0].concurrency is -1: it has to be 1 or more.",
    ),
    ("auth_workers", [{"name": "big", "queues": ["a b"]}], "auth_workers[0].queues is ['a b']: a name may have"),
    ("auth_workers", [{"name": "beat"}], "its beat is also one of beat; rename one of them."),
    ("auth_workers", [{"name": "worker_00"}], "its worker_00 is also one of "),
    ("auth_beat", "perhaps", "auth_beat is 'perhaps': it has to be true or false."),
    ("auth_project", "my auth", "auth_project is 'my auth': a name may have"),
    ("auth_venv", "venv/auth", "auth_venv is 'venv/auth': it has to be an absolute path"),
    ("auth_gunicorn_bind", "localhost", "auth_gunicorn_bind is 'localhost': it has to be HOST:PORT or unix:PATH"),
    ("auth_gunicorn_bind", "127.0.0.1:65536", "auth_gunicorn_bind is '127.0.0.1:65536': it has to be HOST:PORT"),
    (
        "auth_memmon_event",
        "TICK_1",
        "auth_memmon_event is 'TICK_1': it has to be one of TICK_5, TICK_60, TICK_3600.",
    ),
    ("auth_memmon_email", "a@b, c@d", "auth_memmon_email is 'a@b, c@d': it has to be one mail address."),
    (
        "auth_extra_programs",
        {"bot": {}},
        "auth_extra_programs.bot is []: it has to be a mapping with at least a command.",
    ),
    ("auth_worker_options", ["-E", "-c7"], "-c would contradict concurrency, which gives it already."),
    ("auth_worker_options", ["--hostname=x"], "--hostname would contradict the process's name, which gives it"),
    ("auth_gunicorn_options", ["--bind", "[::]:80"], "--bind would contradict auth_gunicorn_bind, which gives it"),
    ("auth_httpok_url", "https://example.com/", "auth_httpok_url is 'https://example.com/': it has to be a URL that"),
    (
        "auth_program_settings",
        {"beat": {"stopwaitsecs": "soon"}},
        "auth_program_settings.beat.stopwaitsecs is 'soon': it has to be a whole number.",
    ),
    ("auth_extra_programs", {"bot": {"command": 'a "b'}}, "auth_extra_programs.bot.command is 'a \"b': "),
    ("auth_extra_programs", {"bot": {"command": "a", "numprocs": 2}}, "auth_extra_programs.bot.numprocs is 2: "),
    ("auth_program_settings", {"bot": {"umask": "022"}}, "auth_program_settings is 'bot': no such program"),
    ("auth_program_settings", {"worker": {"Command": "a"}}, "auth_program_settings.worker.Command is 'a': "),
    (
        "auth_program_settings",
        {"worker": {"umask": "022 ; x"}},
        "auth_program_settings.worker.umask is '022 ; x': it has ';'",
    ),
    (
        "auth_extra_programs",
        {"bot": {"command": "a", "memory_limt": "1GB"}},
        (
            "auth_extra_programs.bot.memory_limt is not as it has to be: supervisor has no such option of a program "
            "(did you mean memory_limit?)."
        ),
    ),
    (
        "auth_program_settings",
        {"worker": {"StopWaitSec": 30}},
        (
            "auth_program_settings.worker.StopWaitSec is not as it has to be: supervisor has no such option of a "
            "program (did you mean stopwaitsecs?)."
        ),
    ),
    (
        "auth_program_settings",
        {"worker": {"colour": "red"}},
        "auth_program_settings.worker.colour is not as it has to be: supervisor has no such option of a program.",
    ),
    ("auth_extra_programs", "bot=here", "auth_extra_programs is 'bot=here'"),
    ("auth_program_settings", "worker=here", "auth_program_settings is 'worker=here'"),
    ("auth_workers", "name=big", "auth_workers is 'name=big'"),
]


@pytest.mark.parametrize(("variable", "value", "sentence"), WRONG)
def test_a_wrong_value_is_named_with_its_host_and_variable(
    defaults: dict[str, Any], variable: str, value: Any, sentence: str
) -> None:
    _declared, refusals = variables.declare({**defaults, variable: value}, "auth1")
    (refusal,) = refusals
    assert refusal.startswith("auth1: ")
    assert sentence in refusal
    assert refusal.endswith(".")


def test_the_defaults_are_right(defaults: dict[str, Any]) -> None:
    declared, refusals = variables.declare(defaults, "auth1", ["services"])
    assert refusals == []
    assert [program.name for program in declared.programs] == ["beat", "worker", "worker_services", "gunicorn"]


def test_every_wrong_value_gets_a_sentence_of_its_own(defaults: dict[str, Any]) -> None:
    wrong = {"auth_worker_concurrency": "many", "auth_beat": "perhaps", "auth_memmon_email": "nobody"}
    _declared, refusals = variables.declare({**defaults, **wrong}, "auth1")
    assert {refusal.split()[1] for refusal in refusals} == set(wrong)


def test_a_secret_is_not_in_its_refusal(defaults: dict[str, Any]) -> None:
    for wrong in (
        {"auth_environment": {"TOKEN": "hunter2\n"}},
        {"auth_extra_programs": {"bot": {"command": "a", "environment": {"TOKEN": "hunter2\n"}}}},
    ):
        _declared, (refusal,) = variables.declare({**defaults, **wrong}, "auth1")
        assert "environment" in refusal
        assert "hunter2" not in refusal


def test_services_tasks_run_one_at_a_time_unless_told_otherwise(defaults: dict[str, Any]) -> None:
    asked = {**defaults, "auth_worker_concurrency": 20, "auth_worker_numprocs": 3}
    declared, _refusals = variables.declare(asked, "auth1", ["services"])
    services = declared.workers[1]
    assert (services.queues, services.concurrency, services.numprocs) == (("services",), 1, 1)
    asked["auth_workers"] = [{"name": "worker_services", "concurrency": 4}]
    declared, _refusals = variables.declare(asked, "auth1", ["services"])
    assert (declared.workers[1].queues, declared.workers[1].concurrency) == (("services",), 4)


def test_a_pool_can_be_left_out_and_others_take_what_they_do_not_say_from_the_worker(
    defaults: dict[str, Any],
) -> None:
    workers = [{"name": "worker", "enabled": False}, {"name": "big", "queues": ["big"], "memory_limit": "1GB"}]
    declared, refusals = variables.declare(
        {**defaults, "auth_worker_pool": "prefork", "auth_workers": workers}, "auth1"
    )
    assert refusals == []
    (big,) = declared.workers
    assert (big.name, big.pool, big.memory_limit, big.cumulative) == ("big", "prefork", 1024**3, True)


@pytest.mark.parametrize("key", ["memory_limit_cumulative", "memory_limit_tree"])
def test_a_limit_with_children_works_by_its_old_name_too(defaults: dict[str, Any], key: str) -> None:
    asked = {**defaults, "auth_extra_programs": {"bot": {"command": "bot", "memory_limit": "1GB", key: True}}}
    declared, refusals = variables.declare(asked, "auth1")
    assert refusals == []
    assert [program.cumulative for program in declared.extra] == [True]
    assert [text.partition(" is called ")[0] for text in variables.renamed(asked)] == (
        ["memory_limit_tree of bot in auth_extra_programs"] if key == "memory_limit_tree" else []
    )


def test_a_pool_that_is_left_out_by_name_is_switched_off(defaults: dict[str, Any]) -> None:
    pools = [{"name": "worker_services", "enabled": "no"}, {"name": "big", "queues": ["big"]}]
    asked = {**defaults, "auth_workers": pools}
    declared, refusals = variables.declare(asked, "auth1", ["services"])
    assert refusals == []
    assert [worker.name for worker in declared.workers] == ["worker", "big"]
    assert variables.switched_off(asked) == ["program:worker_services"]


SECRETIVE: list[dict[str, Any]] = [
    {"auth_environment": {"TOKEN": "s3cret ; x"}},
    {"auth_environment": "TOKEN=s3cret"},
    {"auth_extra_programs": {"bot": {"comand": "a", "environment": {"TOKEN": "s3cret"}}}},
    {"auth_extra_programs": {"bot": {"command": "a", "Environment": "TOKEN=s3cret"}}},
    {"auth_extra_programs": {"bot": {"command": "a", "enviroment": {"TOKEN": "s3cret"}}}},
    {"auth_extra_programs": {"bot": {"command": "a", "enviroment": "TOKEN=s3cret"}}},
    {"auth_extra_programs": [{"bot": {"command": "a", "environment": {"TOKEN": "s3cret"}}}]},
    {"auth_program_settings": {"worker": {"ENVIRONMENT": "TOKEN=s3cret"}}},
    {"auth_pip_extra_args": "--index-url https://name:s3cret@mirror.example/simple"},
    {"auth_pip_extra_args": ["--index-url", "https://name:s3cret@mirror.example/simple", ["--pre"]]},
    {"auth_pip_extra_args": ["--index-url", "https://name:s3cret@mirror.example/simple\n"]},
]


@pytest.mark.parametrize("changes", SECRETIVE)
def test_no_refusal_shows_what_may_be_a_secret(defaults: dict[str, Any], changes: dict[str, Any]) -> None:
    _declared, refusals = variables.declare({**defaults, **changes}, "auth1")
    assert refusals
    assert "s3cret" not in " ".join(refusals)


def test_every_option_that_supervisor_reads_of_a_program_is_known() -> None:
    source = inspect.getsource(supervisor.options.ServerOptions)
    source = source[source.index("def _processes_from_section") :]
    source = source[: source.index("def _parse_servernames")]
    read = set(re.findall(r"get\(section, ?'(\w+)'", source))
    read |= {f"{stream}_{part}" for stream in ("stdout", "stderr") for part in re.findall(r"'%s_(\w+)' % k", source)}
    assert read == PROGRAM_OPTIONS


def test_a_drain_waits_as_long_as_supervisord_will(defaults: dict[str, Any]) -> None:
    settings = {name: {"StopWaitSecs": "300"} for name in ("beat", "worker", "gunicorn")}
    bot = {"bot": {"command": "a", "STOPWAITSECS": 33}}
    asked = {**defaults, "auth_program_settings": settings, "auth_extra_programs": bot}
    declared, refusals = variables.declare(asked, "auth1")
    assert refusals == []
    assert [program.stopwaitsecs for program in declared.programs] == [300, 300, 300, 33]


def test_a_level_may_be_in_capitals(defaults: dict[str, Any]) -> None:
    declared, refusals = variables.declare({**defaults, "auth_worker_loglevel": "INFO"}, "auth1")
    assert refusals == []
    assert declared.workers[0].loglevel == "info"


def test_each_program_can_have_an_environment_of_its_own(defaults: dict[str, Any]) -> None:
    asked = {
        **defaults,
        "auth_environment": {"A": "all", "B": "all"},
        "auth_program_settings": {"worker": {"environment": {"B": "worker"}, "umask": "022"}},
        "auth_extra_programs": {"bot": {"command": "a", "environment": {"B": "bot"}}},
    }
    declared, refusals = variables.declare(asked, "auth1")
    assert refusals == []
    programs = {program.name: program for program in declared.programs}
    assert programs["worker"].environment == ("A", "B")
    assert programs["worker"].settings == {"umask": "022"}
    assert variables.environments(asked, list(programs)) == {
        "beat": 'A="all",B="all"',
        "worker": 'A="all",B="worker"',
        "gunicorn": 'A="all",B="all"',
        "bot": 'A="all",B="bot"',
    }


def test_an_argument_without_effect_is_said(defaults: dict[str, Any]) -> None:
    limit = ["--max-memory-per-child", "262144"]
    declared, _refusals = variables.declare({**defaults, "auth_worker_options": limit}, "auth1")
    (sentence,) = ineffective(declared)
    assert sentence.startswith(
        "worker has the argument --max-memory-per-child, which has no effect with the pool threads"
    )
    asked = {**defaults, "auth_worker_options": limit, "auth_worker_pool": "prefork"}
    assert ineffective(variables.declare(asked, "auth1")[0]) == []


def test_a_misspelt_variable_is_told_with_the_nearest_name() -> None:
    given = ["auth_worker_concurency", "auth_worker_numprocs", "auth_of_others", "auth_zzz", "other"]
    found = variables.unknown_names(given, ["auth_of_others"], "auth1")
    assert found == [
        (
            "auth1: auth_worker_concurency is no variable of this role (did you mean auth_worker_concurrency?); if it "
            "belongs to something else, name it in auth_other_variables."
        ),
        (
            "auth1: auth_zzz is no variable of this role; if it belongs to something else, name it in "
            "auth_other_variables."
        ),
    ]


def test_several_refusals_are_shown_one_a_line() -> None:
    shown: list[str] = []
    assert refusals.message(["auth1: a is wrong."], "auth1", shown.append) == "auth1: a is wrong."
    assert shown == []
    said = refusals.message(["auth1: a is wrong.", "auth1: b is wrong."], "auth1", shown.append)
    assert said.startswith("auth1: 2 things have to be set right first")
    assert shown == ["\nauth1: a is wrong.\nauth1: b is wrong.\n"]
