# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read role variables into typed values, and say of each wrong one what is wrong with it.

``meta/argument_specs.yml`` checks types and choices first; here is what it cannot
say: characters, sizes, ranges, and what two variables mean together. A value
given with ``-e name=value`` arrives as text, so numbers are read from text too.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace
from typing import Any, Callable, Mapping, Sequence, TypeVar

from ansible_collections.allianceauth.tuning.plugins.module_utils import memmon, quoting
from ansible_collections.allianceauth.tuning.plugins.module_utils.programs import (
    FORKING_POOLS,
    IMPLEMENTATIONS,
    ExtraProgram,
    Program,
    Worker,
)

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\Z")
_PATH = re.compile(r"/[A-Za-z0-9_.@+/-]*\Z")
_TCP = re.compile(r"(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:]+\]):[0-9]{1,5}\Z")
_LOGLEVELS = ("debug", "info", "warning", "error", "critical", "fatal")

# gunicorn ends a worker itself after its graceful_timeout of 30 s; supervisor has
# to wait longer than that, or it kills a request that gunicorn still lets finish.
_GUNICORN_STOPWAITSECS = 40

_POOL_KEYS = ("concurrency", "numprocs", "pool", "loglevel", "memory_limit", "stopwaitsecs", "options")

# Options of a section that have a variable or a key of their own.
_OWN_SETTINGS = ("command", "environment", "numprocs", "process_name", "numprocs_start")

# What stands in for a value that was refused.
_NO_WORDS: list[str] = []
_NO_PAIRS: dict[str, str] = {}
_NO_MAPPING: Mapping[str, Any] = {}
_NO_MAPPINGS: list[Mapping[str, Any]] = []

T = TypeVar("T")


@dataclass(frozen=True)
class Gunicorn:
    """gunicorn's arguments; ``timeout`` is in seconds."""

    workers: int
    timeout: int
    bind: str
    stopsignal: str
    standby: bool


@dataclass(frozen=True)
class Declared:
    """What the variables ask for: programs in the order of their sections."""

    project: str
    user: str
    project_dir: str
    venv: str
    supervisor_conf: str
    log_dir: str
    beat: Program | None
    workers: tuple[Worker, ...]
    gunicorn: Program | None
    gunicorn_options: Gunicorn
    extra: tuple[ExtraProgram, ...]
    watches: bool
    memmon_event: str
    memmon_user: str
    mail: memmon.Mail
    crashmail: str
    httpok: str
    memory_overcommit: bool

    @property
    def programs(self) -> list[Program]:
        """Every program of the group."""
        fixed = [self.beat, *self.workers, self.gunicorn, *self.extra]
        return [program for program in fixed if program is not None]

    @property
    def listeners(self) -> list[memmon.Listener]:
        """The memmons, none if memmon is switched off."""
        return memmon.listeners(self.programs) if self.watches else []


class _Reader:
    """Reads values of one mapping and collects a sentence for each that is wrong."""

    def __init__(self, host: str, refusals: list[str]) -> None:
        self.host = host
        self.refusals = refusals

    def refuse(self, variable: str, value: object, problem: str) -> None:
        # An environment may hold secrets, and a refusal is printed.
        shown = "not as it has to be" if variable.endswith("environment") else repr(value)
        self.refusals.append(f"{self.host}: {variable} is {shown}: {problem}.")

    def read(self, variable: str, value: Any, parse: Callable[[Any], T], fallback: T) -> T:
        try:
            return parse(value)
        except ValueError as why:
            self.refuse(variable, value, str(why))
            return fallback


def declare(variables: Mapping[str, Any], host: str, routed_queues: Sequence[str] = ()) -> tuple[Declared, list[str]]:
    """Return what ``variables`` ask for and the sentences about what is wrong with them.

    ``variables`` are the role's, by name. ``routed_queues`` are the queues that the
    project's ``celery.py`` routes tasks to: Alliance Auth 5 has ``services``.
    With any sentence in the second value the first must not be used.
    """
    reader = _Reader(host, [])

    def read(variable: str, parse: Callable[[Any], T], fallback: T) -> T:
        return reader.read(variable, variables[variable], parse, fallback)

    settings = _program_settings(reader, variables["auth_program_settings"])
    common = tuple(read("auth_environment", _pairs, _NO_PAIRS))
    gunicorn = Gunicorn(
        workers=read("auth_gunicorn_workers", _positive, 1),
        timeout=read("auth_gunicorn_timeout", _not_negative, 0),
        bind=read("auth_gunicorn_bind", _bind, ""),
        stopsignal=read("auth_gunicorn_stopsignal", _one_of(("TERM", "INT", "QUIT")), ""),
        standby=read("auth_gunicorn_standby", _boolean, True),
    )
    declared = Declared(
        project=read("auth_project", _name, ""),
        user=read("auth_user", _name, ""),
        project_dir=read("auth_project_dir", _path, ""),
        venv=read("auth_venv", _path, ""),
        supervisor_conf=read("auth_supervisor_conf", _path, ""),
        log_dir=read("auth_log_dir", _path, ""),
        beat=Program(
            "beat",
            memory_limit=read("auth_beat_memory_limit", _size, ""),
            options=tuple(read("auth_beat_options", _arguments, [])),
            settings=settings.pop("beat", {}),
            environment=common,
        )
        if read("auth_beat", _boolean, True)
        else None,
        workers=tuple(
            replace(worker, environment=common, settings=settings.pop(worker.name, {}))
            for worker in _workers(reader, variables, routed_queues)
        ),
        gunicorn=Program(
            "gunicorn",
            memory_limit=read("auth_gunicorn_memory_limit", _size, ""),
            tree=True,
            stopwaitsecs=_GUNICORN_STOPWAITSECS,
            options=tuple(read("auth_gunicorn_options", _arguments, [])),
            settings=settings.pop("gunicorn", {}),
            environment=common,
        )
        if read("auth_gunicorn", _boolean, True)
        else None,
        gunicorn_options=gunicorn,
        extra=tuple(
            replace(program, environment=tuple(dict.fromkeys(common + program.environment)))
            for program in _extra_programs(reader, variables["auth_extra_programs"])
        ),
        watches=read("auth_memmon", _boolean, True),
        memmon_event=read("auth_memmon_event", _one_of(("TICK_5", "TICK_60", "TICK_3600")), ""),
        mail=memmon.Mail(
            address=read("auth_memmon_email", _email, ""),
            sendmail=read("auth_memmon_sendmail", _text, ""),
            uptime=read("auth_memmon_uptime", _uptime, ""),
            name=read("auth_memmon_name", _text, ""),
        ),
        crashmail=read("auth_crashmail_email", _email, ""),
        httpok=read("auth_httpok_url", _url, ""),
        memmon_user=read("auth_memmon_user", _name, ""),
        memory_overcommit=read("auth_memory_overcommit", _boolean, False),
    )
    for name in settings:
        reader.refuse("auth_program_settings", name, "no such program is in these variables")
    if not reader.refusals:
        # A name that was refused has left a fallback, which may be another's.
        _check_names(reader, declared)
    # What several pools take from one variable is wrong once.
    return declared, list(dict.fromkeys(reader.refusals))


def _program_settings(reader: _Reader, programs: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    found = {}
    for name, options in reader.read("auth_program_settings", programs, _mapping, _NO_MAPPING).items():
        origin = f"auth_program_settings.{name}"
        if not isinstance(options, Mapping):
            reader.refuse(origin, options, "it has to be a mapping of options to values")
            continue
        found[str(name)] = _settings(reader, origin, options)
    return found


def environments(variables: Mapping[str, Any], programs: Sequence[str]) -> dict[str, str]:
    """Return the ``environment`` option of each program that has one, secrets and all."""
    found = {}
    for program in programs:
        own = variables["auth_extra_programs"].get(program, {}).get("environment", {})
        pairs = {**_pairs(variables["auth_environment"]), **_pairs(own)}
        if pairs:
            found[program] = quoting.environment(pairs)
    return found


def _settings(reader: _Reader, origin: str, options: Mapping[str, Any]) -> dict[str, str]:
    texts = {}
    for key, value in options.items():
        # supervisor's parser takes an option in any case.
        if str(key).lower() in _OWN_SETTINGS or not _NAME.match(str(key)):
            reader.refuse(f"{origin}.{key}", value, "it is not an option that can be given here")
        texts[str(key)] = reader.read(f"{origin}.{key}", value, _option, "")
    return texts


def _workers(reader: _Reader, variables: Mapping[str, Any], routed_queues: Sequence[str]) -> list[Worker]:
    common = {key: variables[f"auth_worker_{key}"] for key in _POOL_KEYS}
    pools: dict[str, tuple[str, dict[str, Any]]] = {"worker": ("auth_worker", {})}
    if "services" in routed_queues:
        # One task at a time: Alliance Auth routes there what must not run twice at once.
        pools["worker_services"] = ("auth_worker", {"queues": ["services"], "concurrency": 1, "numprocs": 1})
    for index, given in enumerate(reader.read("auth_workers", variables["auth_workers"], _mappings, _NO_MAPPINGS)):
        name = str(given.get("name", ""))
        known = pools.get(name, ("", {}))[1]
        pools[name] = (f"auth_workers[{index}]", {**known, **given})
    found = []
    for name, (origin, pool) in pools.items():
        if reader.read(f"{origin}.enabled", pool.get("enabled", True), _boolean, True):
            found.append(_worker(reader, origin, name, {**common, **pool}, pool))
    return found


def _worker(reader: _Reader, origin: str, name: str, pool: Mapping[str, Any], own: Mapping[str, Any]) -> Worker:
    def read(key: str, parse: Callable[[Any], T], fallback: T) -> T:
        variable = f"{origin}.{key}" if key in own and origin != "auth_worker" else f"auth_worker_{key}"
        return reader.read(variable, pool[key], parse, fallback)

    kind = read("pool", _one_of(tuple(IMPLEMENTATIONS)), "threads")
    concurrency = read("concurrency", _positive, 1)
    return Worker(
        name=reader.read(f"{origin}.name", name, _name, "worker"),
        numprocs=read("numprocs", _positive, 1),
        numbered=True,
        memory_limit=read("memory_limit", _size, ""),
        tree=kind in FORKING_POOLS,
        stopwaitsecs=read("stopwaitsecs", _positive, 1),
        # solo has one slot whatever it is told.
        concurrency=1 if kind == "solo" else concurrency,
        pool=kind,
        loglevel=read("loglevel", _one_of(("", *_LOGLEVELS)), ""),
        queues=tuple(reader.read(f"{origin}.queues", pool.get("queues") or [], _queues, [])),
        options=tuple(read("options", _arguments, [])),
    )


def _extra_programs(reader: _Reader, programs: Mapping[str, Any]) -> list[ExtraProgram]:
    found = []
    for name, given in reader.read("auth_extra_programs", programs, _mapping, _NO_MAPPING).items():
        origin = f"auth_extra_programs.{name}"
        if not isinstance(given, Mapping) or not given.get("command"):
            reader.refuse(origin, given, "it has to be a mapping with at least a command")
            continue
        reader.read(origin, name, _name, "")
        settings = dict(given)
        command = reader.read(f"{origin}.command", settings.pop("command"), _command, _NO_WORDS)
        environment = reader.read(f"{origin}.environment", settings.pop("environment", {}), _pairs, _NO_PAIRS)
        limit = reader.read(f"{origin}.memory_limit", settings.pop("memory_limit", ""), _size, "")
        tree = reader.read(f"{origin}.memory_limit_tree", settings.pop("memory_limit_tree", False), _boolean, False)
        texts = _settings(reader, origin, settings)
        wait = reader.read(f"{origin}.stopwaitsecs", settings.get("stopwaitsecs", 10), _positive, 10)
        found.append(
            ExtraProgram(
                name=str(name),
                memory_limit=limit,
                tree=tree,
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
    for owner, names in named + [(listener.name, {listener.name}) for listener in declared.listeners]:
        for name in sorted(names & set(owners)):
            reader.refuse("a program's name", owner, f"its {name} is also one of {owners[name]}; rename one of them")
        owners.update(dict.fromkeys(names, owner))


def _boolean(value: Any) -> bool:
    # Ansible's own words for truth, which -e passes as text.
    text = str(value).lower()
    if text in ("true", "yes", "on", "1"):
        return True
    if text in ("false", "no", "off", "0"):
        return False
    raise ValueError("it has to be true or false")


def _integer(value: Any, least: int) -> int:
    if isinstance(value, bool) or not re.match(r"-?[0-9]+\Z", str(value)):
        raise ValueError("it has to be a whole number")
    if int(value) < least:
        raise ValueError(f"it has to be {least} or more")
    return int(value)


def _positive(value: Any) -> int:
    return _integer(value, 1)


def _not_negative(value: Any) -> int:
    return _integer(value, 0)


def _one_of(choices: tuple[str, ...]) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        text = "" if value is None else str(value)
        if text not in choices:
            raise ValueError("it has to be one of " + ", ".join(choice or "nothing" for choice in choices))
        return text

    return parse


def _name(value: Any) -> str:
    if not isinstance(value, str) or not _NAME.match(value):
        raise ValueError("a name may have letters, digits and . _ - and nothing else (no space, no %, no colon)")
    return value


def _path(value: Any) -> str:
    if not isinstance(value, str) or not _PATH.match(value):
        raise ValueError("it has to be an absolute path of letters, digits and . _ - + @ / (no space, no %)")
    return value.rstrip("/") or "/"


def _size(value: Any) -> str:
    if not value:
        return ""
    memmon.parse_size(str(value))
    return str(value).upper()


def _bind(value: Any) -> str:
    if isinstance(value, str) and value.startswith("unix:"):
        return "unix:" + _path(value[len("unix:") :])
    if not isinstance(value, str) or not _TCP.match(value) or not 0 < int(value.rpartition(":")[2]) < 65536:
        raise ValueError("it has to be HOST:PORT or unix:PATH, as gunicorn's --bind takes it")
    return value


def _email(value: Any) -> str:
    if not value:
        return ""
    if not isinstance(value, str) or not re.match(r"[^\s@%;#'\"]+@[^\s@%;#'\"]+\Z", value):
        raise ValueError("it has to be one mail address")
    return value


def _uptime(value: Any) -> str:
    if not value:
        return ""
    if not re.match(r"[1-9][0-9]*[smhd]?\Z", str(value)):
        raise ValueError("it has to be a whole number of seconds, or one followed by m, h or d, such as 2h")
    return str(value)


def _url(value: Any) -> str:
    if not value:
        return ""
    if not isinstance(value, str) or not re.match(r"https?://[^\s%;#'\"]+\Z", value):
        raise ValueError("it has to be a URL that begins with http:// or https://")
    return value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, (str, int, float)):
        raise ValueError("it has to be text or a number")
    try:
        quoting.check_characters(str(value))
    except quoting.Unwritable as why:
        raise ValueError(f"it {why}") from why
    return str(value)


def _option(value: Any) -> str:
    text = _text(value)
    try:
        quoting.option(text)
    except quoting.Unwritable as why:
        raise ValueError(f"it {why}") from why
    return text


def _arguments(value: Any) -> list[str]:
    if not isinstance(value, (list, tuple)):
        raise ValueError("it has to be a list of arguments")
    return [_text(argument) for argument in value]


def _command(value: Any) -> list[str]:
    words = shlex.split(_text(value)) if isinstance(value, str) else _arguments(value)
    if not words:
        raise ValueError("it has to name a program")
    return words


def _queues(value: Any) -> list[str]:
    return [_name(queue) for queue in _arguments(value)]


def _mapping(value: Any) -> Mapping[str, Any]:
    # Ansible's argument check takes "name=value" for one, and leaves the variable as it is.
    if not isinstance(value, Mapping):
        raise ValueError("it has to be a mapping of names to values")
    return value


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    if not isinstance(value, list):
        raise ValueError("it has to be a list of mappings")
    return [_mapping(item) for item in value]


def _pairs(value: Any) -> dict[str, str]:
    pairs = {str(name): _text(text) for name, text in _mapping(value).items()}
    try:
        quoting.environment(pairs)
    except quoting.Unwritable as why:
        raise ValueError(f"it {why}") from why
    return pairs
