# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read role variables into typed values, and say of each wrong one what is wrong with it.

``meta/argument_specs.yml`` checks types and choices first; here is what it cannot
say: characters, sizes, ranges, and what two variables mean together. A value
given with ``-e name=value`` arrives as text, so numbers are read from text too.
"""

from __future__ import annotations

import difflib
import shlex
from dataclasses import replace
from typing import Any, Callable, Iterable, Mapping, Sequence, TypeVar

from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import quoting
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.options import (
    CUMULATIVE,
    KINDS,
    NOT_AMONG_SETTINGS,
    POOL_KEYS,
    PROGRAM_OPTIONS,
    refused_arguments,
)
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import values
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.declared import Declared, Gunicorn
from ansible_collections.allianceauth.tuning.plugins.module_utils.model import memmon, webhook
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.program import (
    DEFAULT_STOPWAITSECS,
    FORKING_POOLS,
    IMPLEMENTATIONS,
    ExtraProgram,
    Program,
    Worker,
)

# Every variable of the role, in the README's order, in which adopt writes them. Tests compare them with the role's
# defaults and its argument specification.
NAMES = (
    "auth_worker_concurrency",
    "auth_worker_numprocs",
    "auth_worker_memory_limit",
    "auth_worker_loglevel",
    "auth_worker_stopwaitsecs",
    "auth_drain_timeout_action",
    "auth_worker_pool",
    "auth_worker_options",
    "auth_workers",
    "auth_extra_programs",
    "auth_beat",
    "auth_beat_memory_limit",
    "auth_beat_options",
    "auth_gunicorn",
    "auth_memmon",
    "auth_memmon_event",
    "auth_memmon_email",
    "auth_memmon_sendmail",
    "auth_memmon_uptime",
    "auth_memmon_name",
    "auth_crashmail_email",
    "auth_httpok_url",
    "auth_notify_url",
    "auth_notify_format",
    "auth_environment",
    "auth_program_settings",
    "auth_gunicorn_workers",
    "auth_gunicorn_timeout",
    "auth_gunicorn_bind",
    "auth_gunicorn_memory_limit",
    "auth_gunicorn_stopsignal",
    "auth_gunicorn_options",
    "auth_worker_handover",
    "auth_systemd_drop_in",
    "auth_needrestart_override",
    "auth_gunicorn_standby",
    "auth_memory_overcommit",
    "auth_project",
    "auth_user",
    "auth_project_dir",
    "auth_venv",
    "auth_supervisor_conf",
    "auth_log_dir",
    "auth_stdout_logfile_maxbytes",
    "auth_stdout_logfile_backups",
    "auth_memmon_user",
    "auth_superlance_version",
    "auth_pip_extra_args",
    "auth_pip_environment",
    "auth_discard",
    "auth_other_variables",
    "auth_restart_only",
    "auth_restart_unmigrated",
    "auth_restart_lose_tasks",
    "auth_audit_dir",
    "auth_audit_strict",
    "auth_adopt_force",
    "auth_rollback_to",
    "auth_remove_superlance",
)

_LOGLEVELS = ("debug", "info", "warning", "error", "critical", "fatal")

# gunicorn ends a worker itself after its graceful_timeout of 30 s; supervisor has
# to wait longer than that, or it kills a request that gunicorn still lets finish.
_GUNICORN_STOPWAITSECS = 40

# Keys of an entry of auth_workers.
_KEYS_OF_A_POOL = ("name", "enabled", "queues", *POOL_KEYS)

# What CUMULATIVE was called before; it works until 1.0.
_CUMULATIVE_BEFORE = "memory_limit_tree"

# Keys of an entry of auth_extra_programs, and of one of auth_program_settings, that may be meant by another one.
_KEYS_OF_AN_EXTRA = PROGRAM_OPTIONS - {*NOT_AMONG_SETTINGS} | {"command", "environment", "memory_limit", CUMULATIVE}
_KEYS_OF_SETTINGS = PROGRAM_OPTIONS - {*NOT_AMONG_SETTINGS} | {"environment"}

# Options that cannot be given, with the values that they have.
_USUAL = {item.name: item.default for item in KINDS["extra"].options}

# What stands in for a value that was refused.
_NO_WORDS: list[str] = []
_NO_PAIRS: dict[str, str] = {}
_NO_MAPPING: Mapping[str, Any] = {}
_NO_MAPPINGS: list[Mapping[str, Any]] = []

# Beside environments.
_MAY_HOLD_CREDENTIALS = ("auth_notify_url", "auth_pip_extra_args")

# Variables that say how a run works and shape no program.
_OF_A_RUN: Mapping[str, Callable[[Any], Any]] = {
    "auth_drain_timeout_action": values.one_of(("abort", "kill")),
    "auth_notify_url": values.webhook,
    "auth_notify_format": values.one_of(webhook.FORMATS),
    "auth_superlance_version": values.text,
    "auth_pip_extra_args": values.arguments_of_pip,
    "auth_pip_environment": values.mapping,
    "auth_discard": values.arguments,
    "auth_other_variables": values.arguments,
    "auth_restart_only": values.text,
    "auth_restart_unmigrated": values.boolean,
    "auth_restart_lose_tasks": values.boolean,
    "auth_adopt_force": values.boolean,
    "auth_rollback_to": values.text,
    "auth_remove_superlance": values.boolean,
}

T = TypeVar("T")
P = TypeVar("P", bound=Program)


class _Reader:
    """Reads values of one mapping and collects a sentence for each that is wrong."""

    def __init__(self, host: str, refusals: list[str]) -> None:
        self.host = host
        self.refusals = refusals

    def refuse(self, variable: str, value: object, problem: str) -> None:
        # An environment may hold secrets, and a refusal is printed.
        secret = isinstance(value, Mapping) or "environment" in f"{variable} {value!r}".lower()
        secret = secret or variable in _MAY_HOLD_CREDENTIALS
        shown = "not as it has to be" if secret else repr(value)
        self.refusals.append(f"{self.host}: {variable} is {shown}: {problem}.")

    def read(self, variable: str, value: Any, parse: Callable[[Any], T], fallback: T) -> T:
        try:
            return parse(value)
        except ValueError as why:
            self.refuse(variable, value, str(why))
            return fallback


def declare(
    variables: Mapping[str, Any],
    host: str,
    routed_queues: Sequence[str] = (),
    left_to_file: Mapping[str, Any] | None = None,
) -> tuple[Declared, list[str]]:
    """Return what ``variables`` ask for and the sentences about what is wrong with them.

    ``variables`` are the role's, by name. ``routed_queues`` are the queues that the
    project's ``celery.py`` routes tasks to: Alliance Auth 5 has ``services``.
    ``left_to_file`` is what `gunicorn_file.left_to_it` returns.
    With any sentence in the second value the first must not be used.
    """
    reader = _Reader(host, [])

    def read(variable: str, parse: Callable[[Any], T], fallback: T) -> T:
        return reader.read(variable, variables[variable], parse, fallback)

    settings = _program_settings(reader, variables["auth_program_settings"])
    own_environments = _own_environments(reader, variables["auth_program_settings"])
    common = tuple(read("auth_environment", values.pairs, _NO_PAIRS))
    gunicorn = Gunicorn(
        workers=read("auth_gunicorn_workers", values.positive, 1),
        timeout=read("auth_gunicorn_timeout", values.not_negative, 0),
        bind=read("auth_gunicorn_bind", values.bind, ""),
        stopsignal=read("auth_gunicorn_stopsignal", values.one_of(("TERM", "INT", "QUIT")), ""),
        standby=read("auth_gunicorn_standby", values.boolean, True),
    )
    if left_to_file:
        gunicorn = _with_file(gunicorn, left_to_file)
    declared = Declared(
        project=read("auth_project", values.name, ""),
        user=read("auth_user", values.name, ""),
        project_dir=read("auth_project_dir", values.path, ""),
        venv=read("auth_venv", values.path, ""),
        supervisor_conf=read("auth_supervisor_conf", values.path, ""),
        log_dir=read("auth_log_dir", values.path, ""),
        drop_in=read("auth_systemd_drop_in", values.boolean, True),
        needrestart=read("auth_needrestart_override", values.boolean, True),
        log_maxbytes=read("auth_stdout_logfile_maxbytes", values.log_size, ""),
        log_backups=read("auth_stdout_logfile_backups", values.not_negative, 0),
        beat=_with_settings(
            reader,
            Program(
                "beat",
                memory_limit=read("auth_beat_memory_limit", values.size, 0),
                options=tuple(read("auth_beat_options", values.arguments, [])),
                environment=common,
            ),
            settings,
            own_environments,
        )
        if read("auth_beat", values.boolean, True)
        else None,
        workers=tuple(
            _with_settings(reader, replace(worker, environment=common), settings, own_environments)
            for worker in _workers(reader, variables, routed_queues)
        ),
        gunicorn=_with_settings(
            reader,
            Program(
                "gunicorn",
                memory_limit=read("auth_gunicorn_memory_limit", values.size, 0),
                cumulative=True,
                stopwaitsecs=_GUNICORN_STOPWAITSECS,
                options=tuple(read("auth_gunicorn_options", values.other_arguments(refused_arguments("gunicorn")), [])),
                environment=common,
            ),
            settings,
            own_environments,
        )
        if read("auth_gunicorn", values.boolean, True)
        else None,
        gunicorn_options=gunicorn,
        extra=tuple(
            replace(program, environment=tuple(dict.fromkeys(common + program.environment)))
            for program in _extra_programs(reader, variables["auth_extra_programs"])
        ),
        watches=read("auth_memmon", values.boolean, True),
        memmon_event=read("auth_memmon_event", values.one_of(("TICK_5", "TICK_60", "TICK_3600")), ""),
        mail=memmon.Mail(
            address=read("auth_memmon_email", values.email, ""),
            sendmail=read("auth_memmon_sendmail", values.text, ""),
            uptime=read("auth_memmon_uptime", values.uptime, ""),
            name=read("auth_memmon_name", values.text, ""),
        ),
        crashmail=read("auth_crashmail_email", values.email, ""),
        httpok=read("auth_httpok_url", values.url, ""),
        memmon_user=read("auth_memmon_user", values.name, ""),
        memory_overcommit=read("auth_memory_overcommit", values.boolean, False),
    )
    _check_gunicorn_arguments(reader, variables)
    for variable, parse in _OF_A_RUN.items():
        reader.read(variable, variables[variable], parse, None)
    for name in settings:
        reader.refuse("auth_program_settings", name, "no such program is in these variables")
    if not reader.refusals:
        # A refused name was replaced by a default, which may be the name of another program.
        _check_names(reader, declared)
    # A variable that several pools have in common is reported once and not for each.
    return declared, list(dict.fromkeys(reader.refusals))


def _program_settings(reader: _Reader, programs: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    found = {}
    for name, options in reader.read("auth_program_settings", programs, values.mapping, _NO_MAPPING).items():
        origin = f"auth_program_settings.{name}"
        if not isinstance(options, Mapping):
            reader.refuse(origin, options, "it has to be a mapping of options to values")
            continue
        others = {key: value for key, value in options.items() if key != "environment"}
        found[str(name)] = _settings(reader, origin, others, _KEYS_OF_SETTINGS)
    return found


def _own_environments(reader: _Reader, programs: Any) -> dict[str, tuple[str, ...]]:
    """Return the names of the variables that single programs have in their environments."""
    return {
        str(name): tuple(
            reader.read(f"auth_program_settings.{name}.environment", options["environment"], values.pairs, _NO_PAIRS)
        )
        for name, options in (programs.items() if isinstance(programs, Mapping) else ())
        if isinstance(options, Mapping) and "environment" in options
    }


def _check_gunicorn_arguments(reader: _Reader, variables: Mapping[str, Any]) -> None:
    """Refuse arguments in gunicorn's environment that a variable gives: the command overrides them."""
    own = variables["auth_program_settings"]
    own = own.get("gunicorn") if isinstance(own, Mapping) else None
    places = {"auth_environment": variables["auth_environment"]}
    if isinstance(own, Mapping):
        places["auth_program_settings.gunicorn.environment"] = own.get("environment")
    parse = values.other_arguments(refused_arguments("gunicorn"))
    for place, pairs in places.items():
        text = str(pairs.get("GUNICORN_CMD_ARGS", "")) if isinstance(pairs, Mapping) else ""
        reader.read(f"{place}.GUNICORN_CMD_ARGS", text, lambda given: parse(shlex.split(given)), _NO_WORDS)


def _with_settings(
    reader: _Reader, program: P, settings: dict[str, dict[str, str]], environments: Mapping[str, tuple[str, ...]]
) -> P:
    """Return the program with its further options of a section, which are taken out of ``settings``."""
    own = settings.pop(program.name, {})
    origin = f"auth_program_settings.{program.name}.stopwaitsecs"
    # A drain has to know what supervisord will do.
    stopwaitsecs = reader.read(origin, own.get("stopwaitsecs", program.stopwaitsecs), values.positive, 1)
    names = tuple(dict.fromkeys(program.environment + environments.get(program.name, ())))
    return replace(program, settings=own, stopwaitsecs=stopwaitsecs, environment=names)


def environments(variables: Mapping[str, Any], programs: Sequence[str]) -> dict[str, str]:
    """Return the ``environment`` option of each program that has one, secrets and all."""
    found = {}
    for program in programs:
        pairs = values.pairs(variables["auth_environment"])
        for variable in ("auth_program_settings", "auth_extra_programs"):
            pairs.update(values.pairs(variables[variable].get(program, {}).get("environment", {})))
        if pairs:
            found[program] = quoting.environment(pairs)
    return found


def _settings(reader: _Reader, origin: str, options: Mapping[str, Any], keys: Iterable[str]) -> dict[str, str]:
    """Return further options of a section; ``keys`` are all that may be given there, for who has misspelt one."""
    texts = {}
    for key, value in options.items():
        if _USUAL.get(str(key).lower()) == str(value):
            # What is copied from a section may say what holds anyway.
            continue
        if str(key).lower() in NOT_AMONG_SETTINGS or not values.NAME.match(str(key)):
            reader.refuse(f"{origin}.{key}", value, "it is not an option that can be given here")
            continue
        if str(key).lower() not in PROGRAM_OPTIONS:
            # Not its value: that may be an environment by another name.
            nearest = _nearest(str(key).lower(), keys)
            reader.refuse(f"{origin}.{key}", {}, f"supervisor has no such option of a program{nearest}")
            continue
        # supervisor's parser takes an option in any case.
        texts[str(key).lower()] = reader.read(f"{origin}.{key}", value, values.option, "")
    return texts


def _workers(reader: _Reader, variables: Mapping[str, Any], routed_queues: Sequence[str]) -> list[Worker]:
    common = {key: variables[f"auth_worker_{key}"] for key in POOL_KEYS}
    pools: dict[str, tuple[str, dict[str, Any]]] = {"worker": ("auth_worker", {})}
    if "services" in routed_queues:
        # One task at a time: Alliance Auth routes there what must not run twice at once.
        pools["worker_services"] = ("auth_worker", {"queues": ["services"], "concurrency": 1, "numprocs": 1})
    for index, given in enumerate(
        reader.read("auth_workers", variables["auth_workers"], values.mappings, _NO_MAPPINGS)
    ):
        name = str(given.get("name", ""))
        known = pools.get(name, ("", {}))[1]
        pools[name] = (f"auth_workers[{index}]", {**known, **given})
    found = []
    for name, (origin, pool) in pools.items():
        if reader.read(f"{origin}.enabled", pool.get("enabled", True), values.boolean, True):
            found.append(_worker(reader, origin, name, {**common, **pool}, pool))
    return found


def switched_off(variables: Mapping[str, Any]) -> list[str]:
    """Return the sections of the pools that the variables leave out by name."""
    return [
        f"program:{pool['name']}" for pool in variables["auth_workers"] if not values.boolean(pool.get("enabled", True))
    ]


def _worker(reader: _Reader, origin: str, name: str, pool: Mapping[str, Any], own: Mapping[str, Any]) -> Worker:
    def read(key: str, parse: Callable[[Any], T], fallback: T) -> T:
        variable = f"{origin}.{key}" if key in own and origin != "auth_worker" else f"auth_worker_{key}"
        return reader.read(variable, pool[key], parse, fallback)

    unknown = [str(key) for key in own if key not in _KEYS_OF_A_POOL]
    for key in unknown if origin != "auth_worker" else []:
        reader.refuse(f"{origin}.{key}", own[key], f"no pool has such a key{_nearest(key, _KEYS_OF_A_POOL)}")
    kind = read("pool", values.one_of(tuple(IMPLEMENTATIONS)), "threads")
    concurrency = read("concurrency", values.positive, 1)
    return Worker(
        name=reader.read(f"{origin}.name", name, values.name, "worker"),
        numprocs=read("numprocs", values.positive, 1),
        numbered=True,
        memory_limit=read("memory_limit", values.size, 0),
        cumulative=kind in FORKING_POOLS,
        stopwaitsecs=read("stopwaitsecs", values.positive, 1),
        # solo has one slot whatever it is told.
        concurrency=1 if kind == "solo" else concurrency,
        pool=kind,
        loglevel=read("loglevel", values.loglevel(_LOGLEVELS), ""),
        handover=read("handover", values.boolean, True),
        of_its_own=tuple(sorted(key for key in own if key in POOL_KEYS)),
        queues=tuple(reader.read(f"{origin}.queues", pool.get("queues") or [], values.queues, [])),
        options=tuple(read("options", values.worker_arguments(refused_arguments("worker"), kind), [])),
    )


def _with_file(gunicorn: Gunicorn, found: Mapping[str, Any]) -> Gunicorn:
    """Return gunicorn's arguments where its own configuration file gives some of them."""
    bind, workers = found.get("bind", gunicorn.bind), found.get("workers")
    return replace(
        gunicorn,
        bind=bind if isinstance(bind, str) else "",
        workers=workers if isinstance(workers, int) else gunicorn.workers,
        left_to_file=tuple(sorted(found)),
    )


def renamed(variables: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each key that has another name now; ``variables`` are those that `declare` takes."""
    return [
        f"{_CUMULATIVE_BEFORE} of {name} in auth_extra_programs is called {CUMULATIVE} now; "
        "the old name works until 1.0."
        for name, program in variables["auth_extra_programs"].items()
        if _CUMULATIVE_BEFORE in program
    ]


def unknown_names(given: Iterable[str], allowed: Iterable[str], host: str) -> list[str]:
    """Return a sentence for each variable that begins like the role's and is none; ``allowed`` are those of others."""
    others = set(allowed)
    return [
        f"{host}: {name} is no variable of this role{_nearest(name, NAMES)}; if it belongs to something else, name it "
        "in auth_other_variables."
        for name in sorted(given)
        if name.startswith("auth_") and name not in NAMES and name not in others
    ]


def _nearest(name: str, known: Iterable[str]) -> str:
    found = difflib.get_close_matches(name, sorted(known), 1)
    return f" (did you mean {found[0]}?)" if found else ""


def _extra_programs(reader: _Reader, programs: Mapping[str, Any]) -> list[ExtraProgram]:
    found = []
    for name, given in reader.read("auth_extra_programs", programs, values.mapping, _NO_MAPPING).items():
        origin = f"auth_extra_programs.{name}"
        if not isinstance(given, Mapping) or not given.get("command"):
            # Not what is in it: an environment may be, under whatever name.
            shown = list(map(str, given)) if isinstance(given, Mapping) else type(given).__name__
            reader.refuse(origin, shown, "it has to be a mapping with at least a command")
            continue
        reader.read(origin, name, values.name, "")
        settings = dict(given)
        command = reader.read(f"{origin}.command", settings.pop("command"), values.command, _NO_WORDS)
        environment = reader.read(f"{origin}.environment", settings.pop("environment", {}), values.pairs, _NO_PAIRS)
        limit = reader.read(f"{origin}.memory_limit", settings.pop("memory_limit", ""), values.size, 0)
        cumulative = reader.read(
            f"{origin}.{CUMULATIVE}",
            settings.pop(CUMULATIVE, settings.pop(_CUMULATIVE_BEFORE, False)),
            values.boolean,
            False,
        )
        texts = _settings(reader, origin, settings, _KEYS_OF_AN_EXTRA)
        wait = reader.read(
            f"{origin}.stopwaitsecs", texts.get("stopwaitsecs", DEFAULT_STOPWAITSECS), values.positive, 1
        )
        found.append(
            ExtraProgram(
                name=str(name),
                memory_limit=limit,
                cumulative=cumulative,
                stopwaitsecs=wait,
                command=tuple(command),
                environment=tuple(environment),
                settings=texts,
            )
        )
    return found


def _check_names(reader: _Reader, declared: Declared) -> None:
    owners: dict[str, str] = {}
    # Listeners and programs share supervisor's names, and memmon finds processes by theirs.
    named = [(program.name, {program.name, *program.process_names}) for program in declared.programs]
    for owner, names in named + [(listener, {listener}) for listener in declared.listener_names]:
        for name in sorted(names & set(owners)):
            reader.refuse("a program's name", owner, f"its {name} is also one of {owners[name]}; rename one of them")
        owners.update(dict.fromkeys(names, owner))
