# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody added by hand is not dropped unasked."""

from __future__ import annotations

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import managed_file, manual_changes

NEW = """\
[supervisord]
environment = AA_USER = "auth"
[program:worker]
command = celery worker -n a -Q celery,heavy
user = auth
[program:gunicorn]
command = gunicorn --bind 127.0.0.1:8000 -w 3 --config roles.py
[program:kept]
command = kept
[eventlistener:memmon_worker_00]
command = memmon -p worker_00=256MB -m me@example.com
[group:myauth]
programs = worker,gunicorn,kept
"""

# What Alliance Auth's template has (4.13 to 5.5), and the guide.
STOCK = (
    "[eventlistener:memmon]\ncommand = memmon -p worker=256MB -p worker_services_00=256MB -p gunicorn=256MB\n"
    "directory = /home\nevents = TICK_60\n"
)


def memmon(arguments: str) -> str:
    return NEW + f"[eventlistener:memmon]\ncommand = memmon {arguments}\n"


ADDED = {
    "a bot": (NEW + "[program:authbot]\ncommand = bot\n", "program:authbot", "auth_extra_programs.authbot"),
    "a bot's option": (
        NEW.replace("= kept\n[", "= kept\numask = 022\n["),
        "program:kept.umask",
        "auth_extra_programs.kept.umask",
    ),
    "a bot's variable": (
        NEW.replace("= kept\n[", "= kept\nenvironment = TOKEN='hunter2'\n["),
        "program:kept.TOKEN",
        "auth_extra_programs.kept.environment",
    ),
    "a variable of all": (
        NEW.replace('= "auth"', '= "auth", TOKEN="hunter2"'),
        "supervisord.TOKEN",
        "auth_environment",
    ),
    "an option of the daemon": (
        NEW.replace("[supervisord]\n", "[supervisord]\nminfds = 2048\n"),
        "supervisord.minfds",
        "a file of its own in conf.d with that option of [supervisord]",
    ),
    "an option": (
        NEW.replace("user =", "umask = 022\nuser ="),
        "program:worker.umask",
        "auth_program_settings.worker.umask",
    ),
    "an argument": (
        NEW.replace("-n a", "-n a --autoscale=3"),
        "program:worker --autoscale",
        "options of worker in auth_workers",
    ),
    "a log level": (NEW.replace("-n a", "-n a -l info"), "program:worker -l", "auth_worker_loglevel"),
    "a log level in full": (
        NEW.replace("-n a", "-n a --loglevel=info"),
        "program:worker --loglevel",
        "auth_worker_loglevel",
    ),
    "other queues": (
        NEW.replace("-Q celery,heavy", "--queues=celery,light"),
        "program:worker --queues",
        "queues of worker in auth_workers",
    ),
    "another file for gunicorn": (
        NEW.replace("--config roles.py", "-c mine.py"),
        "program:gunicorn --config",
        "auth_gunicorn_options",
    ),
    "another address": (
        NEW.replace("--bind 127.0.0.1:8000", "-b 127.0.0.1:8001"),
        "program:gunicorn -b",
        "auth_gunicorn_bind",
    ),
    "one of two addresses": (
        NEW.replace("--bind", "-b 10.0.0.1:80 --bind"),
        "program:gunicorn --bind",
        "-b 10.0.0.1:80 in [program:gunicorn]: keep it with auth_gunicorn_bind",
    ),
    "an address as gunicorn takes it and the role does not": (
        NEW.replace("--bind 127.0.0.1:8000", "-b :8001"),
        "program:gunicorn -b",
        "-b 0.0.0.0:8001 in [program:gunicorn]: keep it with auth_gunicorn_bind",
    ),
    "an environment that is all an expansion": (
        NEW.replace("user =", "environment = %(ENV_MORE)s\nuser ="),
        "program:worker.environment",
        "environment in [program:worker]: keep it with auth_environment",
    ),
    "a second memmon": (
        NEW + "[eventlistener:memmon_bots]\ncommand = memmon -p authbot=1GB\n",
        "eventlistener:memmon_bots -p authbot",
        "auth_extra_programs.authbot.memory_limit",
    ),
    "a listener that is called memmon and is none": (
        NEW + "[eventlistener:memmon]\ncommand = /opt/watch\nevents = TICK_60\n",
        "eventlistener:memmon",
        "a file of its own in conf.d for [eventlistener:memmon]",
    ),
    "the limit of a program that has none": (
        memmon("-p kept=256MB"),
        "eventlistener:memmon -p",
        "auth_extra_programs.kept.memory_limit",
    ),
    "a bot's limit": (
        memmon("-p authbot=256MB"),
        "eventlistener:memmon -p",
        "auth_extra_programs.authbot.memory_limit",
    ),
    "a limit for all": (memmon("-a 1GB"), "eventlistener:memmon -a", "a limit for each program (memory_limit)"),
    "a name in the mail": (
        memmon("-p worker=256MB -m you@example.com -n Prod"),
        "eventlistener:memmon -n",
        "auth_memmon_name",
    ),
    "an option of memmon": (
        NEW + STOCK + "buffer_size = 100\n",
        "eventlistener:memmon.buffer_size",
        "a listener of another name",
    ),
    "a group": (NEW + "[group:bots]\nprograms = a\n", "group:bots", "[group:bots]"),
}


@pytest.mark.parametrize(("old", "name", "keeper"), ADDED.values(), ids=list(ADDED))
def test_what_would_be_gone_is_named_with_what_keeps_it(old: str, name: str, keeper: str) -> None:
    (sentence,) = manual_changes.missing_changes(old, NEW, [])
    assert keeper in sentence
    assert "hunter2" not in sentence
    assert manual_changes.missing_changes(old, NEW, [name]) == []


NO_LOSS = {
    "another value": NEW.replace("user = auth", "user = other").replace("-n a", "--hostname b"),
    "the same queues": NEW.replace("-Q celery,heavy", "--queues heavy,celery"),
    "the same address": NEW.replace("--bind 127.0.0.1:8000", "--bind=127.0.0.1:8000"),
    "supervisor's own default": NEW.replace("user =", "numprocs = 1\nprocess_name = %(program_name)s\nuser ="),
    "what is switched off": NEW + "[program:beat]\ncommand = beat\n",
    "the template's memmon": NEW + STOCK,
    "the template's own spelling of it": NEW + STOCK.replace("= memmon", "= %(ENV_AA_COMMAND_MEMMON)s"),
    "the template's memmon without superlance": NEW + STOCK.replace("= memmon", "= None"),
    "a name for mails that nobody gets": memmon("-p worker=256MB -n Prod -s mailer"),
    "a mail that the new memmons send too": memmon("-p worker=256MB --email you@example.com"),
    "the template's environment": NEW.replace('= "auth"', '= "auth", AA_PROJECT_NAME="myauth"'),
    "a memmon of the role's": NEW + "[eventlistener:memmon_worker_01]\ncommand = memmon -p worker_01=256MB\n",
    "a command with an open quote": NEW.replace("= kept", "= kept 'a"),
}


@pytest.mark.parametrize("old", NO_LOSS.values(), ids=list(NO_LOSS))
def test_what_the_new_file_has_in_its_own_way_is_no_loss(old: str) -> None:
    assert manual_changes.missing_changes(old, NEW, []) == []


def test_what_the_role_wrote_is_no_loss_until_somebody_changes_it() -> None:
    old = managed_file.complete(NEW + "[program:bot]\ncommand = a\n", {})
    assert manual_changes.missing_changes(old, NEW, []) == []
    assert manual_changes.missing_changes(old.replace("command = a", "command = b"), NEW, []) != []


def test_the_seal_holds_for_environments_too_and_they_are_not_shown() -> None:
    sections = NEW.replace("user =", "environment = <environment of worker>\nuser =")
    text = managed_file.complete(sections, {"worker": 'TOKEN="hunter2"'})
    assert 'environment = TOKEN="hunter2"' in text
    assert managed_file.is_unchanged(text)
    assert not managed_file.is_unchanged(text.replace("hunter2", "hunter3"))
    shown = managed_file.shown(text)
    assert "hunter2" not in shown
    assert "user = auth" in shown


@pytest.mark.parametrize("text", ["", NEW, "; sha1 of what follows: 0\n"])
def test_another_file_is_not_sealed(text: str) -> None:
    assert not managed_file.is_unchanged(text)


def test_a_variable_of_all_programs_need_not_be_the_daemons() -> None:
    old = "[supervisord]\nenvironment = TOKEN='hunter2'\n[program:a]\ncommand = a\n[program:b]\ncommand = b\n"
    new = old.replace("environment = TOKEN='hunter2'\n", "environment = AA_USER='auth'\n")
    assert len(manual_changes.missing_changes(old, new, [])) == 1
    for program in "ab":
        new = new.replace(f"command = {program}\n", f"command = {program}\nenvironment = TOKEN='hunter2'\n")
    assert manual_changes.missing_changes(old, new, []) == []


def test_a_limit_for_all_is_kept_by_a_limit_for_each() -> None:
    old = "[program:a]\ncommand = a\n[eventlistener:memmon]\ncommand = memmon -a 1GB -g myauth=2GB\n"
    new = "[program:a]\ncommand = a\n[eventlistener:memmon_{}]\ncommand = memmon -p {}=1GB\n"
    assert manual_changes.missing_changes(old, new.format("a", "a"), []) == []
    assert len(manual_changes.missing_changes(old, new.format("b", "b"), [])) == 2


# All but the last two are what supervisor takes: it expands before it reads.
SECRETIVE = {
    "HOME=%(ENV_HOME)s,TOKEN=aGk+hunter2=": ["HOME", "TOKEN"],
    "HOME=%(ENV_HOME)s,DSN='redis://a?password=b&hunter2=c'": ["DSN", "HOME"],
    "DSN='a,hunter2=b'": ["DSN"],
    "DSN=a,hunter2===,B=1": ["B", "DSN"],
    "DSN='a,hunter2=b": ["DSN"],
}


@pytest.mark.parametrize(("text", "names"), SECRETIVE.items())
def test_nothing_of_a_value_is_taken_for_a_name(text: str, names: list[str]) -> None:
    old = NEW.replace("user =", f"environment = {text}\nuser =")
    assert manual_changes.missing_changes(old, NEW, []) == [
        f"the environment variable {name} in [program:worker]: keep it with auth_environment" for name in names
    ]


def test_an_address_is_kept_as_the_role_takes_it() -> None:
    old = NEW.replace("--bind 127.0.0.1:8000", "-b :8001")
    assert manual_changes.missing_changes(old, NEW.replace("127.0.0.1:8000", "0.0.0.0:8001"), []) == []


def test_one_limit_that_is_discarded_takes_no_other_with_it() -> None:
    (sentence,) = manual_changes.missing_changes(memmon("-p a=1GB -p b=1GB"), NEW, ["eventlistener:memmon -p a"])
    assert sentence.startswith("-p b=1GB in")


def test_a_celery_worker_among_the_extra_programs_is_one_of_those() -> None:
    new = NEW.replace("= kept\n[", "= celery -A other worker\n[")
    (sentence,) = manual_changes.missing_changes(new.replace("other worker\n", "other worker\numask = 022\n"), new, [])
    assert "auth_extra_programs.kept.umask" in sentence
