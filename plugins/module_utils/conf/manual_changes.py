# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find what an admin has in a supervisor.conf by hand that a new one would not have."""

from __future__ import annotations

import configparser
import re
from typing import Callable, Iterable, Iterator, Mapping, NamedTuple

from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import managed_file
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.command import split_command
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.options import KINDS

Options = Mapping[str, str]
Sections = Mapping[str, Options]

# Sections that a variable of their own switches off.
_SWITCHES = {"program:beat", "program:gunicorn", "unix_http_server"}
_OWN_LISTENERS = "eventlistener:memmon_"

# The programs of Alliance Auth's template, and what it has in the environment of [supervisord] (4.13 to 5.5). The role
# makes their limits from its own variables, and declares of the latter what the installed version does.
_STOCK = {"beat", "gunicorn", "worker", "worker_services"}
_STOCK_ENVIRONMENT = {"AA_USER", "AA_PROJECT_NAME", "AA_PROJECT_DIRECTORY", "AA_VENV_DIRECTORY"} | {
    f"AA_COMMAND_{command}" for command in ("CELERY", "GUNICORN", "MEMMON")
}

# That of the template and of the tuning guide becomes one for each process that has a limit, with these options.
_MEMMON = "eventlistener:memmon"
_MEMMON_OPTIONS = dict.fromkeys(("command", "directory", "user", "events", "stdout_logfile", "stderr_logfile"), "")

# supervisor's own defaults of what no variable keeps.
_DEFAULTS = {item.name: item.default for item in KINDS["extra"].options}
_LISTENER_DEFAULTS = {item.name: item.default for item in KINDS["memmon"].options if item.default}

# Other spellings of arguments, by kind of program.
_SPELLINGS: Mapping[str, Mapping[str, str]] = {
    kind: {name: item.name for item in table.arguments for name in item.names[1:]} for kind, table in KINDS.items()
}

# What keeps an item, by kind of section: those that are named, then any other. Empty: nothing does.
_PROGRAM = {
    **dict.fromkeys(_DEFAULTS, ""),
    "any option": "auth_program_settings.{name}.{item}",
    "any variable": "auth_environment",
}
# A listener or program that the role writes may not be in another file as well; other sections are merged over files.
_OTHER_LISTENER = "a listener of another name, in a file of its own in conf.d"
_LISTENER = dict.fromkeys(("any option", "any variable", "any argument"), _OTHER_LISTENER)
_LIMIT_FOR_EACH = "a limit for each program (memory_limit)"
_MEMMON_VARIABLES = {
    **{item.name: item.variable for item in KINDS["memmon"].arguments},
    "-a": _LIMIT_FOR_EACH,
    "-g": _LIMIT_FOR_EACH,
    "-p": "auth_extra_programs.{name}.memory_limit",
    "-c": "",
}
_VARIABLES: Mapping[str, Mapping[str, str]] = {
    "beat": {**_PROGRAM, "any argument": "auth_beat_options"},
    "gunicorn": {**_PROGRAM, "-b": "auth_gunicorn_bind", "any argument": "auth_gunicorn_options"},
    "worker": {
        **_PROGRAM,
        "-l": "auth_worker_loglevel (all workers) or loglevel of {name} in auth_workers",
        "-Q": "queues of {name} in auth_workers",
        "any argument": "options of {name} in auth_workers",
    },
    "extra": {
        **dict.fromkeys(_DEFAULTS, "[{section}] in a file of its own in conf.d instead of auth_extra_programs"),
        "any option": "auth_extra_programs.{name}.{item}",
        "any variable": "auth_extra_programs.{name}.environment",
        "any argument": "auth_extra_programs.{name}.command",
    },
    "listener": _LISTENER,
    # supervisor reads nothing of it but what the new file has.
    "group": {},
    "other": {
        "any option": "a file of its own in conf.d with that option of [{section}]",
        "any variable": "auth_environment",
    },
}

_QUOTED = re.compile(r"\"[^\"]*(?:\"|\Z)|'[^']*(?:'|\Z)")
_ASSIGNMENT = re.compile(r"(?:\A|[,;\n])\s*([A-Za-z_]\w*)\s*=\s*[^\s=,;]")
_ADDRESS = re.compile(r"(?:tcp://)?(\[[^]]*\]|[^:/]*)(?::([0-9]+))?\Z")


def sections(content: str) -> dict[str, dict[str, str]]:
    """Return the sections of a file as supervisor's parser reads them, before any expansion."""
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"), strict=False)
    parser.read_string(content)
    return {name: dict(parser.items(name)) for name in parser.sections()}


def missing_changes(old: str, new: str, discard: Iterable[str]) -> list[str]:
    """Return a sentence for each section, option, variable and argument of ``old`` that ``new`` does not have.

    Also for some values: of gunicorn's address and file, and of a worker's queues.
    ``discard`` names what may go: ``program:authbot``, ``program:worker.umask`` (an
    option), ``program:worker.TOKEN`` (an environment variable), ``program:worker
    --autoscale`` (an argument) or ``eventlistener:memmon -p authbot`` (one limit). What
    the role itself wrote is no loss: whoever took it out of the variables meant to.
    """
    if managed_file.is_unchanged(old):
        return []
    before, after = sections(old), sections(new)
    allowed = set(discard)
    lost = [
        item
        for section, options in before.items()
        if section not in allowed
        for item in _missing(section, options, after)
    ]
    return [item.sentence for item in lost if not allowed & item.names]


class _Missing(NamedTuple):
    """A sentence on what is lost, and the names by which it may be discarded."""

    sentence: str
    names: frozenset[str]


def _missing(section: str, options: Options, after: Sections) -> Iterator[_Missing]:
    # The template has %(ENV_AA_COMMAND_MEMMON)s, and None where superlance was not installed yet.
    is_memmon = re.search("memmon|none", options.get("command", ""), re.IGNORECASE)
    if section.startswith(_MEMMON) and is_memmon and section not in after:
        yield from _missing_limits(section, options, after)
    elif section in after:
        kept = _everywhere(after) if section == "supervisord" else set()
        yield from _missing_items(section, _kind(section, after), options, after[section], kept)
    elif section not in _SWITCHES:
        yield _Missing(f"[{section}]: keep it with {_variable(section)}", frozenset())


def _kind(section: str, after: Sections) -> str:
    """Return which of `_VARIABLES` holds for a section that the new file has."""
    kind, _colon, name = section.partition(":")
    if kind != "program":
        return {"eventlistener": "listener", "group": "group"}.get(kind, "other")
    if name in ("beat", "gunicorn"):
        return name
    # An extra program may be a Celery worker too, but never has numprocs.
    return "worker" if name in _STOCK or "numprocs" in after[section] else "extra"


def _variable(section: str) -> str:
    """Return what keeps a whole section."""
    kind, _colon, name = section.partition(":")
    own_file = f"a file of its own in conf.d for [{section}]"
    if kind == "program":
        return f"auth_workers (if it is a Celery worker) or auth_extra_programs.{name}"
    if kind == "group":
        return f"its programs in auth_extra_programs, or {own_file}"
    return {"crashmail": "auth_crashmail_email", "httpok": "auth_httpok_url"}.get(name, own_file)


def _missing_items(section: str, kind: str, before: Options, after: Options, kept: set[str]) -> Iterator[_Missing]:
    """``kept`` are variables that need not be here, because they are elsewhere."""

    def lost(said: str, item: str, fallback: str, *others: str) -> _Missing:
        keepers = _VARIABLES[kind]
        keeper = keepers.get(item, keepers.get(fallback, ""))
        way = f"keep it with {keeper}" if keeper else "no variable keeps it"
        name = section.partition(":")[2]
        sentence = f"{said} in [{section}]: {way}".replace("{name}", name).replace("{item}", item)
        joint = " " if item.startswith("-") else "."
        return _Missing(
            sentence.replace("{section}", section), frozenset(f"{section}{joint}{one}" for one in (item, *others))
        )

    if kind == "group":
        # Its programs are sections of their own.
        return
    for option, value in before.items():
        if option not in after and option not in ("environment", "command") and _DEFAULTS.get(option) != value:
            yield lost(option, option, "any option")
    if before.get("environment") and not _variables(before):
        # It may be all in an expansion, such as %(ENV_MORE)s.
        yield lost("environment", "environment", "any variable")
    for variable in sorted(_variables(before) - _variables(after) - kept):
        yield lost(f"the environment variable {variable}", variable, "any variable")
    new = list(_spelt(kind, after))
    for argument, spelling, value in _spelt(kind, before):
        same = [given for other, _spelling, given in new if other == argument]
        read = _SERVING.get((kind, argument))
        others = [long for long, short in _SPELLINGS.get(kind, {}).items() if short == argument]
        if read is None and not same:
            yield lost(f"the argument {spelling}", argument, "any argument", spelling, *others)
        elif read is not None and read(value) not in map(read, same):
            yield lost(f"{spelling} {read(value)}", argument, "any argument", spelling, *others)


def _missing_limits(listener: str, before: Options, after: Sections) -> Iterator[_Missing]:
    """Look at a memmon in whose place each process has its own: the template's, the guide's, an admin's second one."""
    given = list(_spelt("memmon", before))
    memmons = [options for section, options in after.items() if section.startswith(_OWN_LISTENERS)]
    new = [(argument, value) for options in memmons for argument, _spelling, value in _spelt("memmon", options)]
    limited = {_program(value) for argument, value in new if argument == "-p"}
    kept = {argument for argument, _value in new}
    if not any(argument == "-m" for argument, _spelling, _value in given):
        # They say how to mail.
        kept |= {"-s", "-u", "-n"}
    if limited >= _programs(after):
        kept |= {"-a", "-g"}
    for argument, spelling, value in given:
        name = _program(value)
        there = argument in kept
        if argument == "-p":
            section = f"program:{name}"
            there = name in limited | _STOCK or section in after and _kind(section, after) == "worker"
        keeper = _MEMMON_VARIABLES.get(argument, "").replace("{name}", name)
        if keeper and not there:
            said = f"{spelling} {value}" if argument in ("-p", "-g", "-a") else f"the argument {spelling}"
            exact = [f" {process}" for process in (value, value.partition("=")[0]) if argument == "-p"]
            names = frozenset(f"{listener} {one}{more}" for one in (argument, spelling) for more in ("", *exact))
            yield _Missing(f"{said} in [{listener}]: keep it with {keeper}", names)
    for option, value in before.items():
        if option not in _MEMMON_OPTIONS and _LISTENER_DEFAULTS.get(option) != value:
            yield _Missing(
                f"{option} in [{listener}]: keep it with {_OTHER_LISTENER}", frozenset([f"{listener}.{option}"])
            )


def _program(limit: str) -> str:
    """Return the program that a memmon's ``worker_00=256MB`` or ``myauth:worker=256MB`` is meant for."""
    return re.sub(r"_\d\d\Z", "", limit.partition("=")[0].rpartition(":")[2])


def _programs(after: Sections) -> set[str]:
    return {section.partition(":")[2] for section in after if section.startswith("program:")}


def _everywhere(after: Sections) -> set[str]:
    """Return the variables that need not be in [supervisord]: the template's, and those that all programs have."""
    programs = [_variables(after[f"program:{name}"]) for name in _programs(after)]
    return _STOCK_ENVIRONMENT | (set.intersection(*programs) if programs else set())


def _variables(options: Options) -> set[str]:
    """Return the names of the variables in an environment; their values may be secrets."""
    from supervisor.datatypes import dict_of_key_value_pairs

    # An expansion is yet to come, and % would end a word.
    text = options.get("environment", "").replace("%", "_")
    try:
        return set(dict_of_key_value_pairs(text))
    except ValueError:
        # supervisor would not start with it either, but that is told elsewhere. What may be in a value is no name.
        return set(_ASSIGNMENT.findall(_QUOTED.sub("''", text)))


def _spelt(kind: str, options: Options) -> Iterator[tuple[str, str, str]]:
    words = split_command(options.get("command", ""))
    for word, following in zip(words, [*words[1:], ""]):
        if not word.startswith("-"):
            continue
        spelling, _equals, value = word.partition("=")
        if word[:2] in _SPELLINGS.get(kind, {}).values():
            spelling, value = word[:2], word[2:]
        value = value or ("" if following.startswith("-") else following)
        yield _SPELLINGS.get(kind, {}).get(spelling, spelling), spelling, value


def _address(value: str) -> str:
    """Return an address as auth_gunicorn_bind takes it. Source: gunicorn/util.py (parse_address)."""
    found = _ADDRESS.match(value.lower())
    return f"{found.group(1) or '0.0.0.0'}:{found.group(2) or 8000}" if found else value.replace("unix://", "unix:")


def _queues(value: str) -> str:
    return ",".join(sorted({queue.strip() for queue in value.split(",")}))


# Arguments on whose value others rely, and what is the same: for the web server in front, and whoever queues tasks.
# And gunicorn's file of an admin's, in whose place the role has its own.
_SERVING: Mapping[tuple[str, str], Callable[[str], str]] = {
    ("gunicorn", "-b"): _address,
    ("gunicorn", "-c"): str,
    ("worker", "-Q"): _queues,
}
