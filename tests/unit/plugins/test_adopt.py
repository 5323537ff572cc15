# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that was adopted is described: what the role writes then differs by what was announced, and nothing else."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import adopt
from ansible_collections.allianceauth.tuning.plugins.modules import auth_adopt_info
from hypothesis import HealthCheck, Phase, given, settings

from tests.unit.plugins import looks
from tests.unit.plugins.adopting import DAEMON, Site, differences
from tests.unit.plugins.test_audit_templates import generated
from tests.unit.plugins.test_round_trip import VARIABLES
from tests.unit.plugins.wheels import VERSIONS

CORES = os.cpu_count() or 1

# On purpose, for every version; each program has a log of its own.
LOGS = {(name, "stdout_logfile") for name in ("beat", "worker", "gunicorn")}
ALL = LOGS | {("worker", "-n"), ("gunicorn", "stopsignal"), ("gunicorn", "stopwaitsecs"), ("gunicorn", "-c")}
SERVICES = {("worker_services", item) for item in ("stdout_logfile", "-n")}
# What 2.x and 3.x leave to Celery, and all to gunicorn, is said now, and is the same.
SAID = {("worker", "-P"), ("worker", "-c"), ("gunicorn", "-b")}
MEMMON = {("memmon", "")}
# The gunicorn of these tests has a control socket, as that of 5.5 has.
SOCKET = {("gunicorn", "--pid"), ("gunicorn", "--no-control-socket")}

EXPECTED = {
    "2.15.1": ALL | SOCKET | {("worker", "name")},
    "3.8.1": ALL | SOCKET | {("worker", "name")},
    "4.6.4": ALL | SOCKET | MEMMON,
    "4.13.1": ALL | MEMMON,
    "5.0.1": ALL | MEMMON | SERVICES,
    "5.5.0": ALL | MEMMON | SERVICES,
}


@pytest.fixture
def site(defaults: dict[str, Any], tmp_path: Path) -> Site:
    return Site(tmp_path, defaults)


def listed(adopted: adopt.Adopted) -> set[tuple[str, str]]:
    """Return what was announced, in the words of `differences`."""
    words = {"process_name": "name", "--config": "-c", "--hostname": "-n"}
    found = {
        (str(change["section"]).partition(":")[2], words.get(change["item"], str(change["item"])))
        for change in adopted.left
    }
    # A memmon as a whole stands for what it is told.
    return {("memmon", "") if name.startswith("memmon") else (name, item) for name, item in found}


def seen(site: Site, adopted: adopt.Adopted) -> set[tuple[str, str]]:
    """Return how the file that is written for the variables differs, as supervisor's parser expands both."""
    before = site.expanded()
    site.put(auth1=site.render(site.written(adopted)))
    found = differences(before, site.expanded())
    return {("memmon", "") if name.startswith("memmon") else (name, item) for name, item in found}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_generated_file_differs_by_what_was_announced(version: str, site: Site) -> None:
    site.project.mkdir()
    site.put(myauth=generated(version, site.project))
    adopted = site.adopted()
    assert [change for change in adopted.left if not adopt.is_deliberate(change)] == []
    assert adopted.refused == []
    assert {(name, item) for name, item in listed(adopted) if item != "memory limit"} == EXPECTED[version]
    assert seen(site, adopted) - SAID == EXPECTED[version]


def by_hand(site: Site, more: str = "", **edits: str) -> str:
    """Return a file as somebody wrote it, in which ``edits`` are put into the places of these names."""
    places = {
        "worker": "--pool=threads --concurrency=8",
        "worker_options": "",
        "gunicorn": "--workers=3 --timeout 120 --bind 127.0.0.1:8000",
        "memmon": "-p worker_00=256MB",
        "programs": "beat,worker,gunicorn",
        "beat": "true",
        **edits,
    }
    user, log = getpass.getuser(), f"{site.project}/log"
    common = f"directory={site.project}\nuser={user}\nautostart=true\nautorestart=true\n"
    celery = f"{looks.VENV}/bin/celery -A myauth"

    def logs(name: str) -> str:
        return f"stdout_logfile={log}/{name}.log\nstderr_logfile={log}/{name}.log\n"

    return (
        f"[program:beat]\ncommand={celery} beat\n"
        f"{common.replace('autostart=true', 'autostart=' + places['beat'])}{logs('beat')}startsecs=10\npriority=998\n"
        f"[program:worker]\ncommand={celery} worker {places['worker']} -n %(program_name)s_%(process_num)02d\n{common}"
        f"{logs('worker')}process_name=%(program_name)s_%(process_num)02d\nstartsecs=10\nstopwaitsecs=600\n"
        f"killasgroup=true\npriority=998\n{places['worker_options']}"
        f"[program:gunicorn]\ncommand={looks.VENV}/bin/gunicorn myauth.wsgi {places['gunicorn']} "
        f"--pid {site.project}/gunicorn.pid --no-control-socket\n{common}{logs('gunicorn')}stopsignal=INT\n"
        f"[eventlistener:memmon]\ncommand={looks.VENV}/bin/memmon {places['memmon']}\nevents=TICK_60\n"
        f"{more}[group:myauth]\nprograms={places['programs']}\npriority=999\n"
    )


def program(site: Site, name: str, rest: str) -> str:
    return f"[program:{name}]\ndirectory={site.project}\nuser={getpass.getuser()}\nautorestart=true\n{rest}\n"


SECRET = 'hunter2 100%% {{ "x" }}'

# What somebody wrote, by what is new in it: edits, with the variables that adopt has to write and what is left beside
# what is on purpose for every such file.
VARIATIONS: dict[str, tuple[Callable[[Site], dict[str, str]], dict[str, Any], set[tuple[str, str]]]] = {
    "inline comments, key=value, tabs and other letters": (
        lambda site: {
            "worker_options": "numprocs=2\t; zwei für größere Last\nstartretries =\t7   # mehr\n",
            "memmon": "-p worker_00=256MB -p worker_01=256MB",
        },
        {"auth_worker_numprocs": 2, "auth_program_settings": {"worker": {"startretries": 7}}},
        set(),
    ),
    "continuation lines and CRLF": (
        lambda site: {"worker": "\r\n    -P prefork\r\n    -c3\r\n    --max-tasks-per-child 50\r\n    -l INFO\r\n   "},
        {
            "auth_worker_concurrency": 3,
            "auth_worker_pool": "prefork",
            # With one, the children would count.
            "auth_worker_memory_limit": "",
            "auth_worker_loglevel": "info",
            "auth_workers": [{"name": "worker", "options": ["--max-tasks-per-child", "50"]}],
        },
        # memmon weighed the small main process alone.
        {("worker", "memory limit")},
    ),
    "what supervisor expands": (
        lambda site: {
            "more": program(site, "bot", "command=%(ENV_HOME)s/bot --host %(host_node_name)s --rate 50%%"),
            "programs": "beat,worker,gunicorn,bot",
        },
        {
            "auth_extra_programs": {
                "bot": {"command": f"{os.environ['HOME']}/bot --host {os.uname().nodename} --rate 50%"}
            }
        },
        set(),
    ),
    "several groups": (
        lambda site: {
            "more": program(site, "bot", "command=/bin/sleep 1") + "[group:bots]\nprograms=bot\n",
        },
        {"auth_extra_programs": {"bot": {"command": "/bin/sleep 1"}}},
        {("bot", "group")},
    ),
    "a program outside of the group": (
        lambda site: {"more": program(site, "bot", "command=/bin/sleep 1\nenvironment=TOKEN=hunter2")},
        {"auth_extra_programs": {"bot": {"command": "/bin/sleep 1", "environment": {"TOKEN": "hunter2"}}}},
        {("bot", "group")},
    ),
    "a bot with a token and a limit": (
        lambda site: {
            "more": program(
                site, "bot", f"command=/bin/sleep 1\nenvironment=TOKEN='{SECRET}',LANG=C\nstopsignal=SIGINT"
            ),
            "programs": "beat,worker,gunicorn,bot",
            "memmon": "-p worker_00=256MB -p bot=300MB",
        },
        {
            "auth_extra_programs": {
                "bot": {
                    "command": "/bin/sleep 1",
                    "memory_limit": "300MB",
                    "stopsignal": "INT",
                    "environment": {"TOKEN": SECRET.replace("%%", "%"), "LANG": "C"},
                }
            }
        },
        set(),
    ),
    "a smaller log of memmon, and beat that runs elsewhere": (
        lambda site: {
            "memmon": "-p worker_00=256MB\nstderr_logfile_maxbytes=5MB",
            "beat": "false",
        },
        {"auth_beat": False},
        {("memmon", ""), ("beat", "")},
    ),
    "a second memmon": (
        lambda site: {
            "more": f"[eventlistener:memmon_c]\ncommand={looks.VENV}/bin/memmon -c -p gunicorn=900MB\nevents=TICK_60\n",
        },
        {"auth_gunicorn_memory_limit": "900MB"},
        set(),
    ),
    "no limit at all": (lambda site: {"memmon": ""}, {"auth_worker_memory_limit": ""}, set()),
    "a worker of an app's": (
        lambda site: {
            "more": program(
                site,
                "mails",
                f"command={looks.VENV}/bin/celery -A myauth worker -Q mails -P threads -c 2 "
                "-n %(program_name)s_%(process_num)02d\nprocess_name=%(program_name)s_%(process_num)02d\n"
                "numprocs=2\nstartsecs=10\nkillasgroup=true\npriority=998\nstopwaitsecs=30",
            ),
            "programs": "beat,worker,gunicorn,mails",
        },
        {
            "auth_workers": [
                {
                    "name": "mails",
                    "concurrency": 2,
                    "pool": "threads",
                    "queues": ["mails"],
                    "numprocs": 2,
                    "stopwaitsecs": 30,
                    "memory_limit": "",
                }
            ]
        },
        {("mails", "-n")},
    ),
    "a worker of an app's that another program starts": (
        lambda site: {
            "more": program(
                site,
                "mails",
                f"command=ionice -c3 {looks.VENV}/bin/celery -A myauth worker -Q mails "
                "-n %(program_name)s_%(process_num)02d",
            ),
            "programs": "beat,worker,gunicorn,mails",
        },
        {
            "auth_extra_programs": {
                "mails": {"command": f"ionice -c3 {looks.VENV}/bin/celery -A myauth worker -Q mails -n mails_00"}
            }
        },
        set(),
    ),
    "a site on another address": (
        lambda site: {"gunicorn": "-w5 --timeout=0 -b unix:/run/site.sock --preload"},
        {
            "auth_gunicorn_workers": 5,
            "auth_gunicorn_timeout": 0,
            "auth_gunicorn_bind": "unix:/run/site.sock",
            "auth_gunicorn_options": ["--preload"],
        },
        set(),
    ),
    "other letters in a command and an environment": (
        lambda site: {
            "more": program(site, "bot", "command=/bin/sleep 1 --ort 'Zürich am See'\nenvironment=NAME='Größe, 日本'"),
            "programs": "beat,worker,gunicorn,bot",
        },
        {
            "auth_extra_programs": {
                "bot": {
                    "command": ["/bin/sleep", "1", "--ort", "Zürich am See"],
                    "environment": {"NAME": "Größe, 日本"},
                }
            }
        },
        set(),
    ),
    "a script in the worker's place": (
        lambda site: {
            "more": program(site, "start", "command=/opt/start_worker.sh 'a b'"),
            "programs": "beat,worker,gunicorn,start",
        },
        {"auth_extra_programs": {"start": {"command": ["/opt/start_worker.sh", "a b"]}}},
        set(),
    ),
}

# Beside what is on purpose anyway: an own concurrency, and the places of the logs, which have their variables.
OWN = {"auth_worker_concurrency": 8}


@pytest.mark.parametrize(("edit", "expected", "more"), VARIATIONS.values(), ids=list(VARIATIONS))
def test_what_somebody_wrote_is_described(
    site: Site,
    edit: Callable[[Site], dict[str, str]],
    expected: dict[str, Any],
    more: set[tuple[str, str]],
) -> None:
    site.put()
    edits = edit(site)
    site.put(myauth=by_hand(site, **edits))
    adopted = site.adopted()
    assert (adopted.refused, [one for one in adopted.left if not adopt.is_deliberate(one)]) == ([], [])
    written = site.written(adopted)
    logs = {"stdout_logfile", "stderr_logfile"}
    for name in ("bot", "start", "mails"):
        # They have none of their own.
        for programs in (written.get("auth_extra_programs", {}), written.get("auth_program_settings", {})):
            programs[name] = {key: value for key, value in programs.get(name, {}).items() if key not in logs}
            if not programs[name]:
                del programs[name]
    assert {name: value for name, value in written.items() if value != {}} == {**OWN, **expected}
    said = listed(adopted)
    assert more <= said
    found = seen(site, adopted)
    assert {(name, item) for name, item in found if (name, item) not in SAID} <= said


def test_arguments_in_gunicorns_environment_are_described_by_the_variables_of_its_command(site: Site) -> None:
    site.put()
    given = "[supervisord]\nenvironment=GUNICORN_CMD_ARGS='-w5 --timeout 30 --preload'\n"
    site.put(myauth=by_hand(site, gunicorn="--timeout=0", more=given))
    adopted = site.adopted()
    assert (adopted.refused, [one for one in adopted.left if not adopt.is_deliberate(one)]) == ([], [])
    written = {name: value for name, value in site.written(adopted).items() if name.startswith("auth_gunicorn")}
    # Of what both give, the command's counts.
    assert written == {"auth_gunicorn_workers": 5, "auth_gunicorn_timeout": 0, "auth_gunicorn_options": ["--preload"]}
    assert "auth_environment" not in adopted.variables


def test_a_variable_without_a_place_in_the_order_comes_last() -> None:
    text, _secrets, _count = adopt.texts({"auth_new": 1, "auth_memmon_name": "a"}, (), "2026-11-29")
    assert text.endswith("auth_memmon_name: a\n\nauth_new: 1\n")


def test_a_file_with_carriage_returns_throughout_is_described_like_one_without(site: Site) -> None:
    site.put()
    text = by_hand(site, worker="\n    --pool=threads\n    --concurrency=7\n   ", worker_options="umask=027\n\n")
    site.put(myauth=text)
    plain = site.adopted()
    site.put(myauth=text.replace("\n", "\r\n"))
    assert "\r\n" in (site.folder / "conf.d/myauth.conf").read_bytes().decode()
    adopted = site.adopted()
    assert (
        site.written(adopted)
        == site.written(plain)
        == {
            "auth_worker_concurrency": 7,
            "auth_program_settings": {"worker": {"umask": "027"}},
        }
    )
    assert listed(adopted) == listed(plain)
    assert seen(site, adopted) - SAID == listed(adopted) - SAID - {("worker", "memory limit")}


def test_a_file_split_in_two_is_described_as_one(site: Site) -> None:
    site.put()
    text = by_hand(site)
    first, gunicorn = text.partition("[program:gunicorn]")[::2]
    gunicorn, rest = gunicorn.partition("[eventlistener:")[::2]
    apart = program(site, "other", "command=/bin/true")
    site.put(myauth=f"{first}[eventlistener:{rest}", web=f"{apart}[program:gunicorn]{gunicorn}")
    adopted = site.adopted()
    assert site.written(adopted) == OWN
    _project, configuration, _programs = auth_adopt_info.read(site.main_conf, DAEMON, "")
    web = f"{site.folder}/conf.d/web.conf"
    assert (configuration.elsewhere, configuration.apart) == ({web: ["program:gunicorn"]}, {})
    found = {"path": configuration.path, "elsewhere": configuration.elsewhere, "apart": {}}
    said = "\n".join(adopt.lines("auth1", adopted, found))
    assert f"[program:gunicorn] of this project stand in {web} on the server" in said
    # The advice, followed: one file, which says the same.
    before = site.expanded()
    site.put(myauth=f"{first}[eventlistener:{rest}[program:gunicorn]{gunicorn}", web=apart)
    assert differences(before, site.expanded()) == set()
    assert site.adopted().variables == adopted.variables


def test_what_another_file_has_as_well_is_not_listed(site: Site) -> None:
    site.put()
    socket, bot = "[inet_http_server]\nport=127.0.0.1:9001\n", program(site, "bot", "command=/bin/true")
    mine = by_hand(site)
    site.put(myauth=mine + socket)
    assert [change["section"] for change in site.adopted().left if change["chosen"]] == ["inet_http_server"]
    site.put(myauth=mine + socket + bot, more=socket + bot)
    adopted = site.adopted()
    # As in apply, which does not ask about it.
    assert [change["section"] for change in adopted.left if change["chosen"]] == []
    assert site.written(adopted) == OWN
    # Another port there is not the same.
    site.put(myauth=mine + socket, more=socket.replace("9001", "9002"))
    assert [change["section"] for change in site.adopted().left if change["chosen"]] == ["inet_http_server"]


def test_a_worker_in_a_file_of_its_own_goes_on_by_itself(site: Site) -> None:
    site.put()
    worker = program(site, "mails", f"command={looks.VENV}/bin/celery -A myauth worker -Q mails")
    site.put(myauth=by_hand(site), mails=worker)
    assert site.written(site.adopted()) == OWN
    _project, configuration, _programs = auth_adopt_info.read(site.main_conf, DAEMON, "")
    assert configuration.apart == {f"{site.folder}/conf.d/mails.conf": ["program:mails"]}


LOST: dict[str, tuple[Callable[[Site], dict[str, str]], str]] = {
    "a secret in a command": (
        lambda site: {
            "more": program(site, "bot", "command=/bin/bot %(ENV_TOKEN)s")
            + "[supervisord]\nenvironment=TOKEN=hunter2-of-all\n",
        },
        "[program:bot]",
    ),
    "two addresses": (lambda site: {"gunicorn": "-b 127.0.0.1:1 -b 127.0.0.1:2"}, "gunicorn --bind"),
    "a pool that cannot grow": (
        lambda site: {"worker": "-P threads -c 3 --autoscale=9,3"},
        "--autoscale needs the pool prefork",
    ),
    "several processes of a bot": (
        lambda site: {
            "more": program(site, "bot", "command=/bin/true\nnumprocs=2\nprocess_name=%(program_name)s_%(process_num)d")
        },
        "[program:bot]",
    ),
}


@pytest.mark.parametrize(("edit", "said"), LOST.values(), ids=list(LOST))
def test_what_no_variable_can_hold_is_listed(site: Site, edit: Callable[[Site], dict[str, str]], said: str) -> None:
    site.put()
    edits = edit(site)
    site.put(myauth=by_hand(site, **edits).replace("numprocs=1\n", ""))
    adopted = site.adopted()
    lines = "\n".join(adopt.lines("auth1", adopted, {"elsewhere": {}, "apart": {}}))
    assert said in lines.partition("No variable can hold this")[2]
    assert "hunter2" not in lines
    assert "hunter2" not in adopt.texts(adopted.variables, (), "2026-11-29")[0]


# To find the smallest example would take minutes.
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(wanted=VARIABLES)
def test_any_configuration_that_is_adopted_is_written_again(
    role_defaults: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, wanted: dict[str, Any]
) -> None:
    """Whatever the role may write, in a file that is nobody's: parse, adopt, render, parse gives the same."""
    site = Site(tmp_path_factory.mktemp("site"), role_defaults)
    site.put()
    (site.project / "myauth/celery.py").write_text("app.conf.task_routes = {'discord.*': {'queue': 'services'}}\n")
    # supervisor looks for the folder.
    text = site.render(wanted).replace("/mnt/", f"{site.folder}/logs/")
    site.put(myauth="[" + text.partition("\n[")[2])
    adopted = site.adopted()
    assert (adopted.refused, adopted.left) == ([], [])
    before = site.expanded()
    site.put(myauth=site.render(site.written(adopted)))
    assert differences(before, site.expanded()) == set()


def test_of_several_projects_one_is_to_be_named_and_no_host_is_promised_to_the_others() -> None:
    projects = [{"name": name, "groups": [name], "processes": []} for name in ("myauth", "second")]
    with pytest.raises(ValueError, match="myauth and second: say which one is to be this collection's") as told:
        auth_adopt_info.choose(projects, "")
    assert "ansible_host" not in str(told.value)
    assert "Programs of the others need other names" in str(told.value)
    assert auth_adopt_info.choose(projects, "second") is projects[1]
