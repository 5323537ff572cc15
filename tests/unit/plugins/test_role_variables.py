# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Any role variables are refused with a sentence, or supervisor and memmon read back what they say."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import pytest
import yaml
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import differences, variables
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import refusals as lacking
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.declared import Declared, ineffective
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import project
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from superlance.memmon import memmon_from_args
from supervisor.datatypes import dict_of_key_value_pairs, name_to_uid
from supervisor.options import UnhosedConfigParser

from tests.unit.plugins.rendering import GUNICORN_CONF, complete, look, render

ROLE = Path(__file__).parents[3] / "roles/auth"
HOST = "auth1"

# What the role's sentences have in common: the host, then what it is about.
SENTENCE = re.compile(rf"{HOST}: .+\.\Z", re.DOTALL)
# Several variables together give two programs one name.
NAME_CLASH = re.compile(rf"{HOST}: a program's name is '[^']+': its \S+ is also one of \S+; rename one of them\.\Z")
UNITS = {"KB": 1024, "MB": 1024**2, "GB": 1024**3}


def names() -> st.SearchStrategy[str]:
    return st.sampled_from(["worker", "worker_services", "big", "a-b.c", "beat", "gunicorn", "memmon", "bot", "B_1"])


NASTY = [
    " ;",
    " #",
    ";",
    "%",
    "%%",
    "%(here)s",
    "%(ENV_HOME)s",
    "'",
    '"',
    "\\",
    " ",
    "=",
    ",",
    "\u00a0;",
    "é",
    "\n",
    "[x]",
    ":",
]
TEXTS = st.lists(st.one_of(st.sampled_from(NASTY), st.sampled_from("aZ0-_")), max_size=5).map("".join)
NUMBERS = st.one_of(st.integers(1, 12), st.sampled_from([100, "3", "007", 10**6]))
SIZES = st.one_of(
    st.just(""), st.builds("{}{}".format, st.integers(1, 4096), st.sampled_from(["KB", "MB", "GB", "mb"]))
)
POOLS = st.sampled_from(["threads", "prefork", "solo"])
LEVELS = st.sampled_from(["", "info", "debug"])
# As -e gives them, too.
FLAGS = st.sampled_from([True, True, False, "yes", "no"])
ARGUMENTS = st.lists(st.one_of(TEXTS, st.sampled_from(["-E", "--max-tasks-per-child=5"])), max_size=3)
NUMPROCS = st.sampled_from([1, 2, 3, "2", 11])
POOL_KEYS = {
    "concurrency": NUMBERS,
    "numprocs": NUMPROCS,
    "memory_limit": SIZES,
    "loglevel": LEVELS,
    "stopwaitsecs": NUMBERS,
    "pool": POOLS,
    "options": ARGUMENTS,
}
QUEUES = st.lists(st.sampled_from(["celery", "services", "a.b"]), min_size=1, max_size=2)
WORKERS = st.fixed_dictionaries({"name": names()}, optional={**POOL_KEYS, "queues": QUEUES, "enabled": FLAGS})
# supervisor's parser takes an option in any case, and 22 would do for each of these.
SETTINGS = st.dictionaries(
    st.sampled_from(["umask", "directory", "priority", "startsecs", "command", "Numprocs"]),
    st.one_of(TEXTS, st.just("22"), st.just("22")),
    max_size=2,
)
ENVIRONMENTS = st.dictionaries(st.sampled_from(["LANG", "A_1", "1A"]), TEXTS, max_size=2)
EXTRA = st.fixed_dictionaries(
    {"command": st.one_of(ARGUMENTS.map(lambda words: ["/bin/echo", *words]), TEXTS)},
    optional={
        "environment": ENVIRONMENTS,
        "memory_limit": SIZES,
        "memory_limit_cumulative": FLAGS,
        "stopwaitsecs": NUMBERS,
        "directory": TEXTS.filter(bool),
    },
)
# Users and groups that every system has.
USERS = st.sampled_from(["daemon", "nobody", "root"])

RIGHT: dict[str, st.SearchStrategy[Any]] = {
    **{f"auth_worker_{key}": values for key, values in POOL_KEYS.items()},
    "auth_workers": st.lists(WORKERS, max_size=3),
    "auth_extra_programs": st.dictionaries(names(), EXTRA, max_size=2),
    "auth_beat": FLAGS,
    "auth_beat_memory_limit": SIZES,
    "auth_beat_options": ARGUMENTS,
    "auth_gunicorn": FLAGS,
    "auth_memmon": FLAGS,
    "auth_memmon_event": st.sampled_from(["TICK_5", "TICK_60", "TICK_3600"]),
    "auth_memmon_email": st.sampled_from(["", "a@example.com", "o'b@example.com"]),
    "auth_memmon_sendmail": st.one_of(st.just(""), TEXTS),
    "auth_memmon_uptime": st.sampled_from(["", "2h", "90"]),
    "auth_memmon_name": TEXTS,
    "auth_crashmail_email": st.sampled_from(["", "b@example.com"]),
    "auth_httpok_url": st.sampled_from(["", "http://localhost:8000/a%20b?c=d;e"]),
    "auth_environment": ENVIRONMENTS,
    "auth_program_settings": st.dictionaries(st.sampled_from(["worker", "gunicorn", "bot"]), SETTINGS, max_size=2),
    "auth_gunicorn_workers": NUMBERS,
    "auth_gunicorn_timeout": st.one_of(NUMBERS, st.just(0)),
    "auth_gunicorn_bind": st.sampled_from(["127.0.0.1:8000", "[::1]:80", "unix:/run/a.sock"]),
    "auth_gunicorn_memory_limit": SIZES,
    "auth_gunicorn_stopsignal": st.sampled_from(["TERM", "INT", "QUIT"]),
    "auth_gunicorn_options": ARGUMENTS,
    "auth_gunicorn_standby": FLAGS,
    "auth_project": st.sampled_from(["myauth", "worker", "my.auth", "memmon"]),
    "auth_user": USERS,
    "auth_stdout_logfile_maxbytes": st.sampled_from(["0", "1KB", "50MB"]),
    "auth_stdout_logfile_backups": st.sampled_from([0, "3"]),
    "auth_memmon_user": USERS,
}
# What does not fit where it lands, most of the time.
WRONG = st.one_of(
    TEXTS,
    # ansible-core's own check of whole numbers ends with "cannot convert Infinity to integer", and names no variable.
    st.text(max_size=8).filter(lambda text: "inf" not in text.lower()),
    st.sampled_from(
        [None, -1, 0, 1.5, True, [], {}, ["a"], {"a": "b"}, "256MiB", "1e3", "-p", "a:b", "x" * 300, "none"]
    ),
)
KEYS = sorted([*RIGHT, "auth_project_dir", "auth_venv", "auth_supervisor_conf"])
# Up to eight of them; drawing a value for each costs more than all that is tested.
GIVEN = st.lists(st.one_of([st.tuples(st.just(name), values) for name, values in RIGHT.items()]), max_size=8).map(dict)
SPOILT = st.one_of(st.none(), st.none(), st.tuples(st.sampled_from(KEYS), WRONG))


@pytest.fixture(scope="session")
def project_dir(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("my-auth_1.2+x@y")
    (folder / "log").mkdir()
    return str(folder)


def decide(given_variables: dict[str, Any]) -> tuple[list[str], Declared | None, dict[str, Any]]:
    """Return the refusals, or what the role would go on with, as auth_plan does."""
    # Every refusal comes from here, before anything is written.
    info = look(given_variables)
    declared, refusals = variables.declare(given_variables, HOST, info["routed_queues"])
    refusals = refusals or lacking.refusals(declared, info, HOST)
    assert all(SENTENCE.match(sentence) for sentence in refusals), refusals
    return refusals, declared, info


def true(value: object) -> bool:
    return str(value).lower() in ("true", "yes", "on", "1")


def text(value: object) -> str:
    """Return what stands for text in the variables: a number or truth value counts as the word for it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def pools(asked: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return every pool of workers with all its keys, as defaults/main.yml describes them."""
    common = {key: asked[f"auth_worker_{key}"] for key in POOL_KEYS}
    found: dict[str, dict[str, Any]] = {
        "worker": {},
        "worker_services": {"queues": ["services"], "concurrency": 1, "numprocs": 1},
    }
    for pool in asked["auth_workers"]:
        found[pool["name"]] = {**found.get(pool["name"], {}), **pool}
    return {name: {**common, **pool} for name, pool in found.items() if true(pool.get("enabled", True))}


def wanted_commands(asked: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the arguments of each process, by its name."""
    celery = [f"{asked['auth_venv']}/bin/celery", "-A", asked["auth_project"]]
    found: dict[str, list[str]] = {}
    if true(asked["auth_beat"]):
        found["beat"] = [*celery, "beat", *map(str, asked["auth_beat_options"])]
    for name, pool in pools(asked).items():
        for number in range(int(pool["numprocs"])):
            process = f"{name}_{number:02d}"
            slots = 1 if pool["pool"] == "solo" else int(pool["concurrency"])
            found[process] = [
                *celery,
                "worker",
                f"--pool={pool['pool']}",
                f"--concurrency={slots}",
                "-n",
                f"{process}@%h",
            ]
            found[process] += ["-Q", ",".join(pool["queues"])] if pool.get("queues") else []
            found[process] += ["-l", pool["loglevel"]] if pool["loglevel"] else []
            found[process] += map(str, pool["options"])
    if true(asked["auth_gunicorn"]):
        found["gunicorn"] = [f"{asked['auth_venv']}/bin/gunicorn", f"{asked['auth_project']}.wsgi"]
        found["gunicorn"] += [
            f"--workers={int(asked['auth_gunicorn_workers'])}",
            "--timeout",
            str(int(asked["auth_gunicorn_timeout"])),
        ]
        found["gunicorn"] += [
            "--bind",
            asked["auth_gunicorn_bind"],
        ]
        # What gunicorn cannot share, or the admin configures otherwise, has no file of the role's.
        if true(asked["auth_gunicorn_standby"]) and not asked["auth_gunicorn_bind"].startswith("unix:"):
            found["gunicorn"] += ["--config", GUNICORN_CONF]
        found["gunicorn"] += [
            "--pid",
            f"{asked['auth_project_dir']}/gunicorn.pid",
        ]
        found["gunicorn"] += ["--no-control-socket", *map(str, asked["auth_gunicorn_options"])]
    for name, program in asked["auth_extra_programs"].items():
        command = program["command"]
        found[name] = shlex.split(command) if isinstance(command, str) else [str(word) for word in command]
    return found


def wanted_limits(asked: Mapping[str, Any]) -> dict[str, tuple[int, bool]]:
    """Return what memmon shall watch: bytes by process, and whether a process's children count."""
    limits: list[tuple[str, Any, bool]] = []
    if true(asked["auth_beat"]):
        limits.append(("beat", asked["auth_beat_memory_limit"], False))
    for name, pool in pools(asked).items():
        sizes = in_steps(pool["memory_limit"], int(pool["numprocs"]))
        limits += [(f"{name}_{number:02d}", size, pool["pool"] == "prefork") for number, size in enumerate(sizes)]
    if true(asked["auth_gunicorn"]):
        limits.append(("gunicorn", asked["auth_gunicorn_memory_limit"], True))
    for name, program in asked["auth_extra_programs"].items():
        limits.append((name, program.get("memory_limit"), true(program.get("memory_limit_cumulative", False))))
    if not true(asked["auth_memmon"]):
        return {}
    return {process: (in_bytes(size), cumulative) for process, size, cumulative in limits if size}


def in_bytes(size: Any) -> int:
    return size if isinstance(size, int) else int(size[:-2]) * UNITS[size[-2:].upper()]


def in_steps(size: str, count: int) -> list[int]:
    """Return the limits of a pool's processes, by what the documentation says of them."""
    if not size:
        return [0] * count
    whole, apart = in_bytes(size), min(0.05, 0.2 / max(1, count - 1))
    megabytes = (math.ceil(round(whole * (1 - apart * number) / 1024**2, 6)) for number in range(count))
    return [min(whole, each * 1024**2) for each in megabytes]


def read_limits(memmons: list[list[str]], asked: Mapping[str, Any]) -> dict[str, tuple[int, bool]]:
    """Return what memmon's own reader makes of each memmon's arguments."""
    found: dict[str, tuple[int, bool]] = {}
    for arguments in memmons:
        memmon = memmon_from_args(arguments)
        assert memmon, arguments
        assert not memmon.groups
        assert memmon.any is None
        assert memmon.email == (asked["auth_memmon_email"] or None)
        if memmon.email:
            name = text(asked["auth_memmon_name"])
            assert memmon.name in ([name] if name else memmon.programs)
            assert memmon.sendmail == (text(asked["auth_memmon_sendmail"]) or "/usr/sbin/sendmail -t -i")
        assert not set(found) & set(memmon.programs)
        found.update((process, (size, bool(memmon.cumulative))) for process, size in memmon.programs.items())
    return found


def check_listeners(commands: list[list[str]], asked: Mapping[str, Any]) -> None:
    """Compare the listeners' arguments with what was asked for."""
    found: dict[str, list[list[str]]] = {"memmon": [], "crashmail": [], "httpok": []}
    for program, *arguments in commands:
        found[program.removeprefix(f"{asked['auth_venv']}/bin/")].append(arguments)
    assert read_limits(found["memmon"], asked) == wanted_limits(asked)
    assert len(found["crashmail"]) == bool(asked["auth_crashmail_email"])
    for arguments in found["crashmail"]:
        sendmail = text(asked["auth_memmon_sendmail"])
        assert arguments == ["-m", asked["auth_crashmail_email"], *(["-s", sendmail] if sendmail else [])]
    assert len(found["httpok"]) == bool(asked["auth_httpok_url"] and true(asked["auth_gunicorn"]))
    for arguments in found["httpok"]:
        assert arguments[-1] == asked["auth_httpok_url"]


def check(asked: Mapping[str, Any], effective: dict[str, Any], content: str) -> None:
    """Compare what supervisor read with what was asked for."""
    groups = {group["name"]: group for group in effective["groups"]}
    assert len(groups) == len(effective["groups"])
    processes = {process["name"]: process for process in groups[asked["auth_project"]]["processes"]}
    wanted = wanted_commands(asked)
    assert {name: shlex.split(process["command"]) for name, process in processes.items()} == wanted
    for name, pool in pools(asked).items():
        for number in range(int(pool["numprocs"])):
            assert processes[f"{name}_{number:02d}"]["stopwaitsecs"] == int(pool["stopwaitsecs"])
    for name, program in asked["auth_extra_programs"].items():
        assert processes[name]["stopwaitsecs"] == int(program.get("stopwaitsecs", 10))
        assert processes[name]["directory"] == str(program.get("directory", asked["auth_project_dir"]))

    check_logs(process for group in groups.values() for process in group["processes"])
    user = project.user(asked["auth_user"])
    assert user
    assert {process["uid"] for process in processes.values()} <= {user["uid"]}
    reader = UnhosedConfigParser()
    reader.read_string(content)
    found = {name: dict(reader.items(name)) for name in reader.sections()}
    for name in {name.rpartition("_")[0] if f"program:{name}" not in found else name for name in processes}:
        own = asked["auth_extra_programs"].get(name, {}).get("environment", {})
        set_apart = asked["auth_program_settings"].get(name, {}).get("environment", {})
        expected = {**asked["auth_environment"], **own, **set_apart}
        assert read_environment(found[f"program:{name}"]) == expected
    check_settings(found, asked)

    listeners = [process for group in groups.values() if group["listener"] for process in group["processes"]]
    assert len(listeners) + 1 == len(groups)
    check_listeners([shlex.split(listener["command"]) for listener in listeners], asked)
    memmons = {name for name in found if name.startswith("eventlistener:memmon")}
    assert {found[name]["events"] for name in memmons} <= {asked["auth_memmon_event"]}
    if not listeners:
        return
    # supervisor takes a number as well.
    watcher = name_to_uid(asked["auth_memmon_user"])
    assert {listener["uid"] for listener in listeners} == {watcher}
    if watcher != 0:
        (socket,) = effective["sockets"]
        assert (socket["mode"], socket["uid"], socket["gid"]) == (differences.SOCKET_MODE, 0, user["gid"])


def check_logs(processes: Iterable[Mapping[str, Any]]) -> None:
    """See that no file has two writers."""
    writers = Counter(
        process[log]
        for process in processes
        for log in ("stdout_logfile", "stderr_logfile")
        if process[log] and not (log == "stderr_logfile" and process["redirect_stderr"])
    )
    assert writers
    assert set(writers.values()) == {1}


def check_settings(found: Mapping[str, Mapping[str, str]], asked: Mapping[str, Any]) -> None:
    """Compare further options with what is in the file, where supervisor's expansion only halves percent signs."""
    for program, options in asked["auth_program_settings"].items():
        for option, value in options.items():
            if option == "environment":
                continue
            assert found[f"program:{program}"][option.lower()].replace("%%", "%") == str(value)


def read_environment(options: Mapping[str, str]) -> dict[str, str]:
    """Return what supervisor's reader makes of an environment; its expansion only halves percent signs here."""
    return dict(dict_of_key_value_pairs(options.get("environment", "").replace("%%", "%")))


# Some are drawn twice: 3,500 gave 2,450 different inputs, of which 1,000 are accepted. These take longer than all other
# tests, so only with THOROUGH=1, as in `make test-all`, are there so many, and otherwise a seventh.
THOROUGH = bool(os.environ.get("THOROUGH"))
EXAMPLES = 3_500 if THOROUGH else 500
LEAST_INPUTS = 2_000 if THOROUGH else 250
LEAST_ACCEPTED = 500 if THOROUGH else 60
# Each file that a child reads makes the next one a little slower; this many take the least time in all.
BATCH = 50


class Accepted(NamedTuple):
    """An input that was not refused, the variables that it makes with the defaults, and the file."""

    set_here: dict[str, Any]
    asked: dict[str, Any]
    content: str


def test_variables_are_refused_or_read_back_as_given(
    role_defaults: dict[str, Any],
    parser: Any,
    project_dir: str,
) -> None:
    inputs: set[str] = set()
    accepted: dict[str, Accepted] = {}

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(some=GIVEN, spoilt=SPOILT)
    # Three that were found by chance.
    @example(some={"auth_gunicorn": False, "auth_workers": [{"name": "gunicorn", "pool": "prefork"}]}, spoilt=None)
    @example(some={}, spoilt=("auth_crashmail_email", "0@\x1b"))
    @example(some={}, spoilt=("auth_httpok_url", "http://a\x1b"))
    def refuse_or_render(some: dict[str, Any], spoilt: tuple[str, Any] | None) -> None:
        set_here = {**some, **dict([spoilt] if spoilt else [])}
        user = some.get("auth_user", "daemon")
        folders = {"auth_project_dir": project_dir, "auth_log_dir": f"{project_dir}/log"}
        asked = {**role_defaults, **folders, "auth_user": user, "auth_memmon_user": user, **set_here}
        name = json.dumps(asked, sort_keys=True)
        inputs.add(name)
        refusals, declared, info = decide(asked)
        if refusals:
            assert names_a_culprit(refusals, set_here), refusals
        else:
            assert declared
            content = complete(render(declared, info), asked, declared)
            accepted[name] = Accepted(set_here, asked, content)

    refuse_or_render()
    assert len(inputs) >= LEAST_INPUTS
    assert len(accepted) >= LEAST_ACCEPTED
    rendered = list(accepted.values())
    for batch in (rendered[begin : begin + BATCH] for begin in range(0, len(rendered), BATCH)):
        for one, answer in zip(batch, parser.read([one.content for one in batch]), strict=True):
            try:
                check_answer(one.asked, answer, one.content)
            except AssertionError as why:
                why.add_note(f"The variables that were set: {one.set_here}")
                raise


def check_answer(asked: Mapping[str, Any], answer: Mapping[str, Any], content: str) -> None:
    """See that supervisor's parser has read what was asked for, or refused what it alone can."""
    if "error" in answer:
        assert answer["error"].partition(" (file: ")[0] in left_to_the_parser(asked)
    else:
        check(asked, answer["result"], content)


def names_a_culprit(refusals: list[str], set_here: Mapping[str, Any]) -> bool:
    """Whether each sentence names one of the variables that were set, or the programs that they give one name."""
    return all(
        set(re.findall("auth_[a-z_]+", message)) & set(set_here) or NAME_CLASH.match(message) for message in refusals
    )


def left_to_the_parser(asked: Mapping[str, Any]) -> set[str]:
    """Return supervisor's sentences on what only its parser knows to be wrong, for supervisor_config to refuse."""
    octal, number = "{} can not be converted to an octal type", "invalid literal for int() with base 10: {!r}"
    sentences = {"umask": octal, "priority": number, "startsecs": number}
    found = {
        f"{sentences[option].format(value)} in section 'program:{program}'"
        for program, options in asked["auth_program_settings"].items()
        for option, value in options.items()
        if option in sentences
    }
    watcher = asked["auth_memmon_user"]
    if project.user(watcher) is None:
        listeners = [f"memmon_{process}" for process in wanted_limits(asked)] + ["crashmail", "httpok"]
        found |= {f"Invalid user name {watcher} in section 'eventlistener:{name}'" for name in listeners}
    # The sentence arrives in one line.
    return {" ".join(sentence.split()) for sentence in found}


def documented() -> list[Any]:
    """Return the variables of each example in the documentation that has some."""
    found = []
    for page in (ROLE.parents[1] / "README.md", *sorted((ROLE.parents[1] / "docs").glob("*.md"))):
        for token in MarkdownIt("commonmark").parse(page.read_text()):
            given = None
            # Other blocks without a language are commands and what they print.
            with contextlib.suppress(yaml.YAMLError):
                given = yaml.safe_load(token.content) if token.info == "yaml" or token.type == "code_block" else None
            if isinstance(given, dict) and any(name in RIGHT or name in KEYS for name in given):
                name = f"{page.stem}:{token.map[0] + 1 if token.map else 0}"
                found.append(pytest.param({key: given[key] for key in given if key.startswith("auth_")}, id=name))
    return found


def rendered(value: Any, known: Mapping[str, Any]) -> Any:
    """Return a variable's value as Ansible gives it to the role."""
    if isinstance(value, dict):
        return {key: rendered(one, known) for key, one in value.items()}
    if isinstance(value, list):
        return [rendered(one, known) for one in value]
    return jinja2.Template(value, undefined=jinja2.StrictUndefined).render(known) if isinstance(value, str) else value


@pytest.mark.parametrize("some", documented())
def test_examples_of_the_documentation_are_accepted_and_read_back(
    some: dict[str, Any],
    role_defaults: dict[str, Any],
    parser: Any,
    project_dir: str,
) -> None:
    # This machine has neither their user nor their folders.
    here = {"auth_project_dir": project_dir, "auth_log_dir": f"{project_dir}/log"}
    here |= {"auth_user": "daemon", "auth_memmon_user": "daemon"}
    secrets = dict.fromkeys(("vault_discord_bot_token", "vault_slack_token"), "a b;%c")
    known = {**role_defaults, **secrets, **some, **here}
    asked = {**role_defaults, **rendered(some, known), **here}
    assert set(some) <= set(role_defaults)
    refusals, declared, info = decide(asked)
    assert not refusals
    assert declared
    assert ineffective(declared) == []
    content = complete(render(declared, info), asked, declared)
    (answer,) = parser.read([content])
    check(asked, answer["result"], content)
