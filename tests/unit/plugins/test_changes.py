# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody has chosen on a server is shown before it changes, and the answer that is offered keeps it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import gunicorn.config
import pytest
import yaml
from ansible.utils.unsafe_proxy import wrap_var
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import description, managed_file, manual_changes
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.change import PLACEHOLDER
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.options import GUNICORN_FLAGS
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import consent, variables

from tests.unit.plugins.changing import (
    BEAT_STARTS,
    BOT,
    CELERY,
    CHOSEN,
    CORES,
    HOST,
    IN_THE_GROUP,
    LOST,
    MEMBERAUDIT,
    OF_THE_WORKER,
    SECRET,
    VENV,
    WORKER,
    WORKERS_PROCESSES,
    Server,
    edited,
)


@pytest.mark.parametrize("version", ["2.15.1", "3.8.1", "4.6.4", "4.13.1", "5.0.1", "5.5.0"])
def test_a_stock_server_of_any_version_is_tuned_without_a_question(
    defaults: dict[str, Any], stock: dict[str, str], version: str
) -> None:
    server = Server(defaults)
    assert server.unasked(stock[version], version) == []
    said = "\n".join(consent.summary(server.changes(stock[version], version)))
    assert "worker --concurrency: " in said
    assert "gunicorn stopsignal: INT -> TERM (TERM lets requests finish, which INT aborts)" in said


@pytest.mark.parametrize(("edits", "shown"), CHOSEN.values(), ids=list(CHOSEN))
def test_what_somebody_has_chosen_is_shown_before_it_changes(
    defaults: dict[str, Any], stock: dict[str, str], edits: dict[str, str], shown: list[str]
) -> None:
    old = edited(stock["5.5.0"], edits)
    asked = Server(defaults).unasked(old)
    assert sorted(consent.line(change) for change in asked) == sorted(shown)
    assert SECRET not in str(asked)


@pytest.mark.parametrize("edits", [edits for edits, _shown in CHOSEN.values()], ids=list(CHOSEN))
def test_the_lines_that_are_offered_keep_all_of_it(
    defaults: dict[str, Any], stock: dict[str, str], edits: dict[str, str]
) -> None:
    old = edited(stock["5.5.0"], edits)
    server = Server(defaults)
    # As a module's answer comes: with texts of ansible-core's own class, in 2.16.
    asked = wrap_var(server.unasked(old))
    pasted = yaml.safe_load("\n".join(consent.block(asked, server.explicit)).replace(PLACEHOLDER, SECRET))
    answered = Server(defaults, pasted)
    assert answered.unasked(old) == []
    still = {(change["section"], change["item"]) for change in answered.changes(old) if not change["reason"]}
    assert not still & {(change["section"], change["item"]) for change in asked}
    if SECRET in old:
        assert SECRET in answered.file()


@pytest.mark.parametrize(
    ("edits", "line", "reason"),
    [
        (
            {"--concurrency=5": "-c 5 --concurrency 8"},
            "worker --concurrency: 5, 8 -> 10",
            "auth_worker_concurrency is '5, 8': it has to be a whole number",
        ),
        ({"-p worker=256MB": "-p worker=700000000"}, "worker memory limit", "memory_limit is '700000000'"),
        ({"--timeout 120": "--timeout 120 --bind fd://3"}, "gunicorn --bind", "auth_gunicorn_bind"),
    ],
    ids=["an argument twice", "a limit in bytes", "a descriptor"],
)
def test_what_the_role_would_refuse_is_not_offered(
    defaults: dict[str, Any], stock: dict[str, str], edits: dict[str, str], line: str, reason: str
) -> None:
    server = Server(defaults)
    asked = server.unasked(edited(stock["5.5.0"], {**edits, "numprocs = 1\n": "numprocs = 3\n"}))

    def problems(tree: Mapping[str, Any]) -> list[str]:
        return variables.declare(consent.added(server.values, tree), HOST)[1]

    found = consent.sayable(asked, server.explicit, problems)
    (refused,) = [change for change in found if not change["keeps"]]
    assert consent.line(refused).startswith(line)
    assert reason in refused["hint"]
    # The others are.
    pasted = yaml.safe_load("\n".join(consent.block([one for one in found if one["keeps"]], server.explicit)))
    assert pasted["auth_worker_numprocs"] == 3
    assert problems(pasted) == []


def test_an_environment_of_memmons_is_asked_about(defaults: dict[str, Any], stock: dict[str, str]) -> None:
    old = edited(stock["5.5.0"], {"events = TICK_60": f"events = TICK_60\nenvironment = SMTP_PASSWORD={SECRET}"})
    (asked,) = Server(defaults).unasked(old)
    assert consent.line(asked) == (
        "memmon environment SMTP_PASSWORD: a value that is not shown -> none (only a listener of another name, in a "
        "file of its own in conf.d, can have it)"
    )


def test_what_a_program_leaves_to_supervisor_stays_so(defaults: dict[str, Any], stock: dict[str, str]) -> None:
    programs = {"programs=beat": "programs=once,more,beat"}
    more = f"\n[program:once]\ncommand = /bin/once\n[program:more]\ncommand = {CELERY} -A myauth worker -Q more\n"
    old = edited(stock["5.5.0"], programs) + more
    asked = Server(defaults).unasked(old)
    pasted = yaml.safe_load("\n".join(consent.block(asked, Server(defaults).explicit)))
    assert pasted["auth_extra_programs"]["once"] == {
        "command": "/bin/once",
        "autorestart": "unexpected",
        "user": "root",
        "directory": "/",
    }
    answered = Server(defaults, pasted)
    lines = [consent.line(one) for one in answered.changes(old) if one["section"] in ("program:once", "program:more")]
    # A worker of the role's is in the project's folder, and its user's.
    assert [
        line for line in lines if re.match(r"(once|more) (autorestart|startsecs|priority|killasgroup):", line)
    ] == []
    assert [line for line in lines if re.match(r"once (user|directory):", line)] == []


def test_a_program_of_another_file_does_not_leave_the_group_unseen(
    defaults: dict[str, Any], stock: dict[str, str]
) -> None:
    old = edited(stock["5.5.0"], {"programs=beat": "programs=authbot,beat"})
    server = Server(defaults)
    elsewhere = {"program:authbot": {"command": "/bin/bot"}}
    found = manual_changes.changes(old, server.file(), (), CORES, elsewhere=elsewhere)
    (asked,) = [one for one in found if one.chosen and one.section == "group:myauth"]
    assert consent.line(asked.as_dict()) == (
        "myauth program authbot: in it -> none (it stands in another file: move its section into this one)"
    )


def test_a_process_that_gets_a_limit_is_told(defaults: dict[str, Any], stock: dict[str, str]) -> None:
    edits = {WORKERS_PROCESSES: WORKERS_PROCESSES.replace("1", "2"), "-p worker=256MB": "-p worker_00=600MB"}
    given = {"auth_worker_numprocs": 2, "auth_worker_memory_limit": "600MB"}
    lines = list(map(consent.line, Server(defaults, given).changes(edited(stock["5.5.0"], edits))))
    why = "each process of the pool has it from now on, not only some"
    assert f"worker memory limit: 600MB -> 600MB in steps downwards ({why})" in lines


def test_one_name_keeps_another_value_in_each_program(defaults: dict[str, Any], stock: dict[str, str]) -> None:
    values = {"worker": f"{SECRET} workers", "gunicorn": f"{SECRET} site"}
    written = {name: f"environment = NEW_RELIC_APP_NAME='{value}'\n" for name, value in values.items()}
    old = edited(
        stock["5.5.0"],
        {
            OF_THE_WORKER: written["worker"] + OF_THE_WORKER,
            "stopsignal = INT": f"{written['gunicorn']}stopsignal = INT",
        },
    )
    server = Server(defaults)
    asked = server.unasked(old)
    assert sorted(consent.line(change) for change in asked) == [
        (
            f"{program} environment NEW_RELIC_APP_NAME: a value that is not shown -> none "
            f"(auth_program_settings.{program}.environment.NEW_RELIC_APP_NAME)"
        )
        for program in sorted(values)
    ]
    assert SECRET not in str(asked)
    pasted = yaml.safe_load("\n".join(consent.block(asked, server.explicit)))
    for program, settings in pasted["auth_program_settings"].items():
        assert settings["environment"] == {"NEW_RELIC_APP_NAME": PLACEHOLDER}
        settings["environment"]["NEW_RELIC_APP_NAME"] = values[program]
    answered = Server(defaults, pasted)
    assert not [change for change in answered.changes(old) if "environment" in str(change["item"])]


def test_a_secret_that_was_not_put_in_is_refused(defaults: dict[str, Any]) -> None:
    settings = {"worker": {"environment": {"SLACK": PLACEHOLDER}}}
    _declared, refusals = variables.declare({**defaults, "auth_program_settings": settings}, HOST)
    assert refusals
    assert "SLACK still has the words that stand for its value" in refusals[0]


@pytest.mark.parametrize(("edits", "said", "name"), LOST.values(), ids=list(LOST))
def test_what_no_variable_keeps_is_shown_with_what_does_and_goes_if_it_is_named(
    defaults: dict[str, Any], stock: dict[str, str], edits: dict[str, str], said: str, name: str
) -> None:
    old = edited(stock["5.5.0"], edits)
    server = Server(defaults)
    (change,) = server.unasked(old)
    assert consent.line(change).startswith(said)
    lines = consent.question(
        HOST, "/etc/supervisor/conf.d/myauth.conf", [change], server.explicit, "host_vars/auth1.yml"
    )
    assert yaml.safe_load("\n".join(lines[lines.index("  auth_discard:") :])) == {"auth_discard": [name]}
    assert server.unasked(old, discard=(name,)) == []


def test_the_application_is_no_argument_and_goes_on_as_another_program(
    defaults: dict[str, Any], stock: dict[str, str]
) -> None:
    project = "%(ENV_AA_PROJECT_NAME)s.wsgi"
    asgi = "myauth.asgi:application -k uvicorn.workers.UvicornWorker"
    old = edited(stock["5.5.0"], {project: asgi})
    asked = Server(defaults).unasked(old)
    assert [change["keeps"] for change in asked if change["item"] == "application"] == [()]
    offered = [change["keeps"] for change in asked if change["item"] != "application"]
    assert offered == [((("auth_gunicorn_options",), ["-k", "uvicorn.workers.UvicornWorker"]),)]
    # As it is advised.
    site = {"command": f"{VENV}/bin/gunicorn {asgi}", "stopsignal": "INT"}
    followed = Server(defaults, {"auth_gunicorn": False, "auth_extra_programs": {"site": site}})
    assert followed.unasked(old) == []
    assert Server(defaults).unasked(edited(stock["5.5.0"], {project: f"{project}:application"})) == []


MEMMON = re.compile(r"\[eventlistener:memmon\].*?(?=\[group:)", re.DOTALL)


def test_a_memmon_that_somebody_took_out_comes_back_only_if_that_is_asked_for(
    defaults: dict[str, Any], stock: dict[str, str]
) -> None:
    for version in ("4.6.4", "5.5.0"):
        old = MEMMON.sub("", stock[version])
        assert "[eventlistener" not in old
        said = [consent.line(change) for change in Server(defaults).unasked(old, version)]
        assert said[0] == "worker memory limit: none -> 512MB (auth_worker_memory_limit)"
        assert len(said) == (2 if version == "5.5.0" else 1)
        for given in ({"auth_memmon": True}, {"auth_memmon": False}, {"auth_worker_memory_limit": "1GB"}):
            left = Server(defaults, given).unasked(old, version)
            assert [change for change in left if change["section"] == "program:worker"] == []
        offered = yaml.safe_load(
            "\n".join(consent.block(Server(defaults).unasked(old, version), consent.Variables({}, ())))
        )
        kept = Server(defaults, offered)
        assert kept.unasked(old, version) == []
        assert "eventlistener" not in kept.file(version)
    # The newest of the earlier templates, which have none, also with threads and several processes.
    threads = {" worker\n": " worker --pool=threads --concurrency=5\n", "numprocs=1\n": NUMBERED}
    for edits in ({}, threads):
        asked = Server(defaults).unasked(edited(stock["3.8.1"], edits), "3.8.1")
        assert [change for change in asked if change["item"] == "memory limit"] == []


NUMBERED = "numprocs=2\nprocess_name=%(program_name)s_%(process_num)02d\n"


def test_an_option_that_supervisor_passes_over_is_told_and_not_offered(
    defaults: dict[str, Any], stock: dict[str, str]
) -> None:
    misspelt = "stopwaitsec = 30\n"
    bot = BOT.replace("numprocs = 1\n", misspelt)
    old = edited(stock["5.5.0"], {OF_THE_WORKER: misspelt + OF_THE_WORKER, IN_THE_GROUP: bot + IN_THE_GROUP})
    server = Server(defaults)
    (asked,) = server.unasked(old)
    assert asked["section"] == "program:authbot"
    assert "stopwaitsec" not in "\n".join(consent.block([asked], server.explicit))
    said = "worker stopwaitsec: 30 -> none (supervisor has no such option of a program, and passes over it)"
    assert said in consent.summary(server.changes(old))


HTTPOK = (
    f"[eventlistener:httpok]\ncommand = {CELERY[:-6]}httpok -e -t 120 -m admin@example.com --code=302 -p gunicorn "
    "http://127.0.0.1:8000/\nevents = TICK_3600\nstderr_logfile_maxbytes = 1MB\n"
)
CRASHMAIL = (
    f"[eventlistener:crashmail]\ncommand = {CELERY[:-6]}crashmail -a -m me@example.com -o Site\n"
    "events = PROCESS_STATE_EXITED\n"
)


def test_what_a_listener_has_beside_its_variable_is_asked_about_once_that_is_set(
    defaults: dict[str, Any], stock: dict[str, str]
) -> None:
    old = edited(stock["5.5.0"], {IN_THE_GROUP: HTTPOK + CRASHMAIL + IN_THE_GROUP})
    given = {"auth_httpok_url": "http://127.0.0.1:8000/", "auth_crashmail_email": "me@example.com"}
    server = Server(defaults, given)
    asked = server.unasked(old)
    where = "(only a listener of another name, in a file of its own in conf.d, can have it"
    assert sorted(consent.line(change).partition(where)[0].rstrip() for change in asked) == [
        "crashmail -o: Site -> none",
        "httpok --code: 302 -> none",
        "httpok -e: given -> none",
        "httpok -m: admin@example.com -> none",
        "httpok -t: 120 -> 45",
        "httpok events: TICK_3600 -> TICK_60",
    ]
    names = [str(change["names"][0]) for change in asked]
    assert server.unasked(old, discard=tuple(names)) == []
    # It was asked for.
    later = Server(defaults, {**given, "auth_memmon_event": "TICK_60"})
    assert [change for change in later.unasked(old) if change["item"] == "events"] == []
    # What the role has written itself is none of that.
    assert server.unasked(edited(server.file(), {"--timeout 120": "--timeout 90"}))[0]["section"] == "program:gunicorn"


def test_a_program_that_did_not_start_by_itself_goes_for_that_reason(
    defaults: dict[str, Any], stock: dict[str, str]
) -> None:
    old = edited(stock["5.5.0"], {BEAT_STARTS: BEAT_STARTS.replace("autostart = true", "autostart = false", 1)})
    said = consent.summary(Server(defaults, {"auth_beat": False}).changes(old))
    assert "[program:beat]: a program -> none (it did not start by itself, and needs no section to go on so)" in said


def test_what_was_set_is_done_and_shown(defaults: dict[str, Any], stock: dict[str, str]) -> None:
    old = edited(stock["5.5.0"], {"--concurrency=5": "--concurrency=8"})
    # Also where it is the default.
    for value in (10, 15):
        server = Server(defaults, {"auth_worker_concurrency": value})
        assert server.unasked(old) == []
        assert f"worker --concurrency: 8 -> {value} (auth_worker_concurrency)" in consent.summary(server.changes(old))


def test_memmon_that_is_asked_for_asks_for_no_other_limit(defaults: dict[str, Any], stock: dict[str, str]) -> None:
    old = edited(stock["5.5.0"], {"-p worker=256MB": "-p worker=700MB"})
    assert len(Server(defaults, {"auth_memmon": True}).unasked(old)) == 1
    assert Server(defaults, {"auth_memmon": False}).unasked(old) == []


def test_a_limit_that_counts_a_bots_children_is_not_given_to_the_bot_alone_unasked(
    defaults: dict[str, Any], stock: dict[str, str]
) -> None:
    watched = "[eventlistener:memmon_b]\ncommand = /venv/bin/memmon -c -p authbot=1GB\nevents = TICK_60\n"
    old = edited(stock["5.5.0"], {IN_THE_GROUP: BOT + watched + IN_THE_GROUP})
    bot = {
        "command": "/home/allianceserver/venv/auth/bin/python manage.py run_authbot",
        "memory_limit": "1GB",
        "stopsignal": "INT",
        "environment": {"TOKEN": SECRET},
    }

    def asked(**more: Any) -> list[str]:
        server = Server(defaults, {"auth_extra_programs": {"authbot": {**bot, **more}}})
        limits = [change for change in server.unasked(old) if change["item"] == "memory limit"]
        lines = "\n".join(consent.block(limits, server.explicit))
        return [*map(consent.line, limits), *(line for line in lines.splitlines() if "cumulative" in line)]

    line, offered = asked()
    assert line.startswith("authbot memory limit: 1GB with its children -> 1GB (auth_extra_programs.authbot")
    assert offered.strip() == "memory_limit_cumulative: true"
    assert asked(memory_limit_cumulative=True) == []
    assert asked(memory_limit_cumulative=False) == []


def test_a_pool_of_an_apps_that_was_named_with_its_queue_alone_is_asked_about(
    defaults: dict[str, Any], stock: dict[str, str]
) -> None:
    old = edited(stock["5.5.0"], {IN_THE_GROUP: MEMBERAUDIT + IN_THE_GROUP})
    given = {"auth_worker_concurrency": 15, "auth_workers": [{"name": "worker_memberaudit", "queues": ["memberaudit"]}]}
    said = [consent.line(change) for change in Server(defaults, given).unasked(old)]
    assert "worker_memberaudit --concurrency: 3 -> 15 (concurrency of worker_memberaudit in auth_workers)" in said
    assert any("worker_memberaudit stdout_logfile: /var/log/worker_memberaudit.log -> " in line for line in said)


class Tagged(str):
    """Text with something attached to it, as ansible-core hands values on."""

    __slots__ = ()


def test_the_offered_pools_are_all_of_them(defaults: dict[str, Any], stock: dict[str, str]) -> None:
    old = edited(stock["5.5.0"], {IN_THE_GROUP: MEMBERAUDIT + IN_THE_GROUP, "--timeout 120": "--timeout 90"})
    pools = [{"name": Tagged("worker_memberaudit"), "queues": ["memberaudit"]}, {"name": "b", "queues": ["b"]}]
    given = {"auth_workers": pools}
    server = Server(defaults, given)
    offered = yaml.safe_load("\n".join(consent.block(server.unasked(old), server.explicit)))
    assert offered["auth_workers"] == [
        {"name": "worker_memberaudit", "queues": ["memberaudit"], "concurrency": 3},
        {"name": "b", "queues": ["b"]},
    ]
    assert Server(defaults, {**given, **offered}).unasked(old) == []


def test_an_edit_of_the_roles_own_file_is_shown_and_its_own_values_are_not(defaults: dict[str, Any]) -> None:
    before = Server(defaults, {"auth_worker_concurrency": 15, "auth_gunicorn_workers": 5}).file()
    # As the variables were taken out again.
    assert managed_file.is_unchanged(before)
    assert Server(defaults).unasked(before) == []
    by_hand = edited(before, {"--concurrency=15": "--concurrency=8"})
    said = [consent.line(change) for change in Server(defaults).unasked(by_hand)]
    assert "worker --concurrency: 8 -> 10 (auth_worker_concurrency)" in said


def test_a_copied_default_of_supervisors_is_no_obstacle(defaults: dict[str, Any]) -> None:
    bot = {"command": "/bin/true", "numprocs": 1, "process_name": "%(program_name)s", "numprocs_start": "0"}
    declared, refusals = variables.declare({**defaults, "auth_extra_programs": {"bot": bot}}, HOST)
    assert refusals == []
    assert declared.extra[0].settings == {}


def test_a_kept_program_is_shown_again_if_another_default_would_change_it(
    defaults: dict[str, Any], stock: dict[str, str]
) -> None:
    old = edited(stock["5.5.0"], {IN_THE_GROUP: BOT.replace("SIGINT", "QUIT") + IN_THE_GROUP})
    server = Server(defaults, {"auth_extra_programs": {"authbot": {"command": "/bin/true"}}})
    said = [consent.line(change) for change in server.unasked(old)]
    assert said == [
        "authbot stopsignal: QUIT -> TERM (the default) (auth_extra_programs.authbot.stopsignal)",
        "authbot environment TOKEN: a value that is not shown -> none (auth_extra_programs.authbot.environment.TOKEN)",
    ]


# All but the last two are what supervisor takes: it expands before it reads.
SECRETIVE = {
    "HOME=%(ENV_HOME)s,TOKEN=aGk+hunter2=": ["HOME", "TOKEN"],
    "HOME=%(ENV_HOME)s,DSN='redis://a?password=b&hunter2=c'": ["DSN", "HOME"],
    "DSN='a,hunter2=b'": ["DSN"],
    "DSN=a,hunter2===,B=1": ["B", "DSN"],
    "DSN='a,hunter2=b": ["DSN"],
}


@pytest.mark.parametrize(("text", "names"), SECRETIVE.items())
def test_nothing_of_a_secret_is_taken_for_a_name(
    defaults: dict[str, Any], stock: dict[str, str], text: str, names: list[str]
) -> None:
    old = edited(stock["5.5.0"], {OF_THE_WORKER: f"environment = {text}\n" + OF_THE_WORKER})
    asked = Server(defaults).unasked(old)
    assert sorted(change["item"] for change in asked) == [f"environment {name}" for name in names]
    assert SECRET not in str(asked)


def test_the_seal_holds_for_environments_too_and_they_are_not_shown(defaults: dict[str, Any]) -> None:
    text = Server(defaults, {"auth_environment": {"TOKEN": SECRET}}).file()
    assert f'environment = TOKEN="{SECRET}"' in text
    assert managed_file.is_unchanged(text)
    assert not managed_file.is_unchanged(text.replace(SECRET, "hunter3"))
    shown = managed_file.shown(text)
    assert SECRET not in shown
    assert "user = allianceserver" in shown


@pytest.mark.parametrize("text", ["", "[program:a]\ncommand = a\n", "; sha1 of what follows: 0\n"])
def test_another_file_is_not_sealed(text: str) -> None:
    assert not managed_file.is_unchanged(text)


@pytest.mark.parametrize("before", ["{venv}/python -m celery", "{venv}/python3.11 {venv}/celery", "celery"])
def test_the_same_celery_in_other_words_is_compared_by_its_arguments(
    defaults: dict[str, Any], stock: dict[str, str], before: str
) -> None:
    command = before.format(venv=CELERY.removesuffix("/celery"))
    in_words = f"{command} -A myauth worker --pool=threads --concurrency=7\n"
    old = edited(stock["5.5.0"], {WORKER: in_words})
    server = Server(defaults)
    assert [consent.line(change) for change in server.unasked(old)] == [
        "worker --concurrency: 7 -> 10 (auth_worker_concurrency)"
    ]
    assert (
        f"worker command: {command} -> {CELERY} (the role starts the one of the virtual environment itself, by its "
        "full name)"
    ) in consent.summary(server.changes(old))


def test_python_of_another_venv_is_asked_about(defaults: dict[str, Any], stock: dict[str, str]) -> None:
    other = "/srv/venv/bin/python -m celery -A myauth worker --pool=threads --concurrency=5\n"
    asked = Server(defaults).unasked(edited(stock["5.5.0"], {WORKER: other}))
    assert [consent.line(change) for change in asked] == [
        f"worker command: /srv/venv/bin/python -m celery -> {CELERY} (auth_venv)"
    ]
    assert asked[0]["keeps"] == ((("auth_venv",), "/srv/venv"),)


def test_a_command_with_an_open_quote_is_read_as_far_as_it_goes() -> None:
    described = description.describe("[program:a]\ncommand = a 'b\n")
    assert described.programs["a"].words == ("a", "'b")


def test_what_gunicorn_inherits_from_supervisord_is_an_argument_too_and_its_own_environment_is_not_shown(
    defaults: dict[str, Any], stock: dict[str, str]
) -> None:
    def said(old: str, arguments: str) -> list[str]:
        found = manual_changes.changes(old, server.file(), (), known={"ENV_GUNICORN_CMD_ARGS": arguments})
        return [f"{one.item}: {one.now} -> {one.then}" for one in found if one.chosen and "gunicorn" in one.section]

    server, bare = Server(defaults, {}), edited(stock["5.5.0"], {"    --workers=3\n": ""})
    # The command that the role writes overrides the one, and hands on the other.
    assert said(bare, "--workers=5 --preload") == ["--workers: 5 -> 3"]
    secret = edited(
        bare, {"stopsignal = INT": f"environment = GUNICORN_CMD_ARGS='-w5 --env=A={SECRET}'\nstopsignal=INT"}
    )
    (hidden,) = [line for line in said(secret, "") if "GUNICORN" in line]
    assert hidden == "environment GUNICORN_CMD_ARGS: a value that is not shown -> none"


def test_what_gunicorns_own_file_gives_is_what_counts_now(defaults: dict[str, Any], stock: dict[str, str]) -> None:
    def said(gives: dict[str, Any], **given: Any) -> tuple[list[str], list[str]]:
        server = Server(defaults, given)
        found = [
            change
            for change in server.changes(bare, gunicorns_file=gives)
            if change["item"] in ("--bind", "--workers", "--timeout")
        ]
        return [consent.line(change) for change in found], [
            str(change["item"]) for change in consent.unasked(found, server.explicit)
        ]

    bare = edited(stock["5.5.0"], {"    --workers=3\n    --timeout 120\n": ""})
    file = {"bind": "127.0.0.1:8080", "workers": 9, "timeout": 60}
    moved = "gunicorn --bind: 127.0.0.1:8080 -> 127.0.0.1:8000 (change it in your web server too; auth_gunicorn_bind)"
    set_all = {"auth_gunicorn_bind": "127.0.0.1:8000", "auth_gunicorn_workers": 9, "auth_gunicorn_timeout": 120}
    assert said(file, **set_all) == (["gunicorn --timeout: 60 -> 120 (auth_gunicorn_timeout)", moved], [])
    # Where the file does not stay, and nobody has said what is to be instead.
    assert said({"bind": "127.0.0.1:8080", "workers": 3, "timeout": 120}) == ([moved], ["--bind"])
    lines, asked = said({"bind": None, "workers": 3, "timeout": 120})
    assert lines[0].startswith("gunicorn --bind: what gunicorn's own file gives -> 127.0.0.1:8000 (change it in your")
    assert asked == ["--bind"]
    assert said({"bind": None, "workers": 3, "timeout": 120}, auth_gunicorn_bind="127.0.0.1:8000") == (lines, [])


@pytest.mark.parametrize("place", ["auth_environment", "auth_program_settings.gunicorn.environment"])
def test_arguments_in_the_environment_that_a_variable_gives_are_refused(defaults: dict[str, Any], place: str) -> None:
    def refusals(text: str) -> list[str]:
        given: dict[str, Any] = {"GUNICORN_CMD_ARGS": text}
        for key in reversed(place.split(".")[1:]):
            given = {key: given}
        return variables.declare({**defaults, place.partition(".")[0]: given}, "auth1")[1]

    assert refusals("--preload -c mine.py") == []
    for text, option, variable in (
        ("--preload --workers=5", "--workers", "auth_gunicorn_workers"),
        ("-b :8001", "-b", "auth_gunicorn_bind"),
        ("-t30", "-t", "auth_gunicorn_timeout"),
    ):
        (sentence,) = refusals(text)
        assert sentence.startswith(
            f"auth1: {place}.GUNICORN_CMD_ARGS is not as it has to be: {option} would contradict "
        )
        assert f"{variable}, which gives it already" in sentence


def test_every_argument_of_gunicorn_without_a_value_is_known() -> None:
    settings = [one for one in gunicorn.config.KNOWN_SETTINGS if one.cli]
    flags = {word for one in settings if one.action in ("store_true", "store_false") for word in one.cli}
    valued = {word for one in settings if one.action == "store" or one.action is None for word in one.cli}
    assert flags <= GUNICORN_FLAGS
    assert not valued & (GUNICORN_FLAGS - {"--proxy-protocol"})
