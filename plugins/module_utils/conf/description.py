# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what a supervisor.conf says of each program, in one spelling, so that two files can be compared by meaning."""

from __future__ import annotations

import configparser
import os
import re
import shlex
from dataclasses import dataclass, field
from typing import Callable, Iterator, Mapping, Sequence

from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import log_file, managed_file
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.command import split_command
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.options import GUNICORN_FLAGS, KINDS, Kind
from ansible_collections.allianceauth.tuning.plugins.module_utils.model import memmon

Options = Mapping[str, str]

# What gunicorn takes like arguments of its command, which override it. Source: gunicorn/app/base.py (load_config)
GUNICORN_ARGUMENTS = "GUNICORN_CMD_ARGS"
WEB_CONCURRENCY = "WEB_CONCURRENCY"

# supervisor's own defaults of a program's section, in the spelling below.
SUPERVISOR_DEFAULTS: Mapping[str, str] = {
    "autorestart": "unexpected",
    "autostart": "true",
    "killasgroup": "false",
    "numprocs": "1",
    "numprocs_start": "0",
    "priority": "999",
    "process_name": "%(program_name)s",
    "redirect_stderr": "false",
    "startretries": "3",
    "stderr_logfile_backups": "10",
    "stderr_logfile_maxbytes": "50MB",
    "stdout_logfile_backups": "10",
    "stdout_logfile_maxbytes": "50MB",
    "startsecs": "1",
    "stopasgroup": "false",
    "stopsignal": "TERM",
    "stopwaitsecs": "10",
}

_EXPANSION = re.compile(r"%%|%\((\w+)\)[0-9]*[sd]")
_OPEN = re.compile(r"%\((?:ENV_\w+|here|host_node_name|group_name|process_num|numprocs)\)[0-9]*[sd]")
_QUOTED = re.compile(r"\"[^\"]*(?:\"|\Z)|'[^']*(?:'|\Z)")
_ASSIGNMENT = re.compile(r"(?:\A|[,;\n])\s*([A-Za-z_]\w*)\s*=\s*[^\s=,;]")
_ADDRESS = re.compile(r"(?:tcp://)?(\[[^]]*\]|[^:/]*)(?::([0-9]+))?\Z")
_PYTHON = re.compile(r"python[0-9.]*\Z")
_NUMBER = re.compile(r"%\((?:process_num|numprocs)\)[0-9]*[sd]")
_NUMBER_AT_THE_END = re.compile(r"_\d\d\Z")

# Source: supervisor/datatypes.py (TRUTHY_STRINGS, FALSY_STRINGS)
_WORDS = {
    **dict.fromkeys(("yes", "true", "on", "1", "y", "t"), "true"),
    **dict.fromkeys(("no", "false", "off", "0", "n", "f"), "false"),
}
_SWITCHES = frozenset({"autostart", "killasgroup", "redirect_stderr", "stopasgroup"})


@dataclass(frozen=True)
class Argument:
    """An argument of a command: its name in our spelling, as it was written, and its value."""

    name: str
    spelling: str
    value: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class Limit:
    """What memmon watches of a program, in bytes: more than one size if its processes have several.

    The steps in which the role lowers the limits of a pool's processes are one; ``in_steps`` says that they are there,
    ``alike`` that several processes have one limit, ``count`` how many have one.
    """

    sizes: frozenset[int]
    cumulative: bool
    in_steps: bool = False
    alike: bool = False
    count: int = 1

    @property
    def size(self) -> int:
        """The largest of them: with it no process is restarted that was not before."""
        return max(self.sizes)


@dataclass(frozen=True)
class Section:
    """A program or listener: its kind, its command's first word, and all that it is given, in our spelling.

    ``environment`` may hold secrets.
    """

    name: str
    kind: str
    program: str
    words: tuple[str, ...]
    options: Mapping[str, str]
    arguments: tuple[Argument, ...]
    environment: Mapping[str, str]

    @property
    def table(self) -> Kind:
        """What is known of its kind."""
        return KINDS[self.kind]

    def argument(self, name: str) -> str | None:
        """Return an argument's value, all of them if it is given more than once; None if it is not given."""
        found = [one.value for one in self.arguments if one.name == name]
        return ", ".join(found) if found else None

    @property
    def started_by(self) -> tuple[str, ...]:
        """The words up to its own program, such as ``python -m celery``."""
        return self.words[: _program_at(self.words) + 1]

    @property
    def folder(self) -> str:
        """Where its own program is, empty if it is looked for; ``python -m`` takes what its Python has."""
        by_name = self.started_by[-1:] if self.started_by[1:2] != ("-m",) else self.started_by[:1]
        return os.path.dirname("".join(by_name))

    @property
    def application(self) -> str:
        """What gunicorn loads, such as ``myauth.wsgi:application``; empty if its command does not say."""
        words = self.words[_program_at(self.words) + 1 :]
        at = _application_at(words)
        return "" if at is None else words[at]

    @property
    def others(self) -> list[Argument]:
        """The arguments that have no variable of their own."""
        known = {item.name for item in self.table.arguments if item.variable != self.table.any_argument}
        return [one for one in self.arguments if one.name not in known]


@dataclass(frozen=True)
class Description:
    """A file: its programs and listeners by name, the limits by program, and its other sections' options."""

    programs: Mapping[str, Section]
    listeners: Mapping[str, Section]
    limits: Mapping[str, Limit]
    other: Mapping[str, Options]
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def memmons(self) -> list[Section]:
        """The listeners that are a memmon."""
        return [listener for listener in self.listeners.values() if listener.kind == "memmon"]


def sections(content: str) -> dict[str, dict[str, str]]:
    """Return the sections of a file as supervisor's parser reads them, before any expansion."""
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"), strict=False)
    parser.read_string(content)
    return {name: dict(parser.items(name)) for name in parser.sections()}


def describe(
    content: str, declared: Mapping[str, str] | None = None, known: Mapping[str, str] | None = None
) -> Description:
    """Return what a file says. ``declared`` are kinds of programs that their commands do not tell, by name.

    ``known`` are supervisor's expansions (``ENV_HOME``) that come from elsewhere than the file.
    """
    raw = sections(content)
    outside = dict(known or {})
    daemon = environment(raw.get("supervisord", {}).get("environment", ""), outside)
    programs, listeners, other = {}, {}, {}
    for title, options in raw.items():
        family, _colon, name = title.partition(":")
        if family == "program":
            programs[name] = _section(title, options, daemon, (declared or {}).get(name, ""), outside)
        elif family == "eventlistener":
            listeners[name] = _section(title, options, daemon, "", outside)
        else:
            other[title] = options
    memmons = [listener for listener in listeners.values() if listener.kind == "memmon"]
    shared = _without(daemon, _gunicorn_arguments(daemon))
    return Description(programs, listeners, limits_of(memmons, programs, other), other, shared)


def _section(title: str, raw: Options, daemon: Mapping[str, str], kind: str, outside: Mapping[str, str]) -> Section:
    family, _colon, name = title.partition(":")
    everything = {**outside, "program_name": name, **{f"ENV_{variable}": value for variable, value in daemon.items()}}
    # What may be a secret stays as it is written: what comes of the rest is shown.
    secret = {f"ENV_{variable}" for variable, value in daemon.items() if not _is_shown(variable, value)}
    # It may give gunicorn variables with values; what may be shown of it is read below.
    secret.add(f"ENV_{GUNICORN_ARGUMENTS}")
    known = {expansion: value for expansion, value in everything.items() if expansion not in secret}
    words = split_command(_expand(raw.get("command", ""), known))
    kind = kind or kind_of(family, words, raw.get("command", ""))
    options = {
        option: canonical_option(option, _expand(value, known))
        for option, value in raw.items()
        if option not in ("command", "environment")
    }
    if kind == "extra":
        words = [_numbered(word, options) for word in words]
    if family == "program":
        _merge_logs(options)
    arguments = tuple(_arguments(kind, _after_program(kind, words)))
    own = environment(raw.get("environment", ""), everything)
    if kind == "gunicorn":
        inherited = {GUNICORN_ARGUMENTS: everything.get(f"ENV_{GUNICORN_ARGUMENTS}", "")}
        more = _gunicorn_arguments({**inherited, **environment(raw.get("environment", ""), known)})
        arguments = (*(one for one in more if one.name not in {given.name for given in arguments}), *arguments)
        own = _without(own, more)
        # Source: gunicorn/config.py (Workers), whose default it is.
        number = own.get(WEB_CONCURRENCY, everything.get(f"ENV_{WEB_CONCURRENCY}", ""))
        if number.isdecimal() and not any(one.name == "-w" for one in arguments):
            arguments = (*arguments, Argument("-w", WEB_CONCURRENCY, _number(number), ()))
            own = {name: value for name, value in own.items() if name != WEB_CONCURRENCY}
    return Section(
        title,
        kind,
        words[0] if words else "",
        tuple(words),
        options,
        arguments,
        own,
    )


def _numbered(word: str, options: Options) -> str:
    """Return a word of a command with the number of the process, if there is one process only."""
    first = options.get("numprocs_start", "0")
    if options.get("numprocs", "1") != "1" or not first.isdecimal():
        return word
    return _NUMBER.sub(lambda found: found[0] % {"process_num": int(first), "numprocs": 1}, word)


def _gunicorn_arguments(variables: Mapping[str, str]) -> list[Argument]:
    """Return the arguments in gunicorn's environment; none if they are not to be shown, or cannot be read."""
    try:
        words = shlex.split(variables.get(GUNICORN_ARGUMENTS, ""))
    except ValueError:
        return []
    # Variables of an environment, and what is expanded later.
    hidden = any(word.startswith(("-e", "--env")) or "_(" in word for word in words)
    return [] if hidden else list(_arguments("gunicorn", words))


def _without(variables: Mapping[str, str], arguments: list[Argument]) -> dict[str, str]:
    """Return an environment without what was read as arguments of gunicorn, if it was."""
    return {name: value for name, value in variables.items() if name != GUNICORN_ARGUMENTS or not arguments}


def _is_shown(variable: str, value: str) -> bool:
    """Whether a variable of the daemon's may be shown: a path, or what Alliance Auth's template has there."""
    return value.startswith("/") or not managed_file.secret_values({variable: value})


def is_open(value: object) -> bool:
    """Whether a value has an expansion in it that is not known here, such as each process's number."""
    return isinstance(value, str) and bool(_OPEN.search(value))


def _merge_logs(options: dict[str, str]) -> None:
    """Give logs one spelling: of both streams in one file, and of the number that each of several processes has."""
    for option in ("stdout_logfile", "stderr_logfile"):
        if option in options:
            options[option] = log_file.unnumbered(options[option], options.get("numprocs", "1"))
    # With redirect_stderr supervisor does not look at the others.
    log = options.get("stderr_logfile", "AUTO")
    one_file = log_file.is_file(log) and log == options.get("stdout_logfile")
    if one_file or options.pop("redirect_stderr", "") == "true":
        options["redirect_stderr"] = "true"
        for option in ("stderr_logfile", "stderr_logfile_maxbytes", "stderr_logfile_backups"):
            options.pop(option, None)


def kind_of(family: str, words: list[str], raw: str = "") -> str:
    """Return what a command runs: ``worker``, ``beat``, ``gunicorn``, a listener of superlance's, or ``extra``."""
    if family == "eventlistener":
        # The program is first, or behind its interpreter and -m.
        names = [os.path.basename(word) for word in words[:3]]
        # The template has None where superlance was not installed yet.
        if "memmon" in names or re.search("AA_COMMAND_MEMMON", raw) or names[:1] == ["None"]:
            return "memmon"
        return next((name for name in ("crashmail", "httpok") if name in names), "extra")
    name = os.path.basename(words[_program_at(words)]) if words else ""
    if name == "gunicorn":
        return "gunicorn"
    if name == "celery":
        return next((kind for kind in ("worker", "beat") if kind in words), "extra")
    return "extra"


def _program_at(words: Sequence[str]) -> int:
    """Return where the program stands in a command: first, or behind a Python without any options but ``-m``.

    What else stands before a program, such as ``ionice -c3`` or ``env A=b``, is a program itself, and nobody but itself
    knows what it does with the rest.
    """
    if not words[1:] or not _PYTHON.match(os.path.basename(words[0])):
        return 0
    at = 2 if words[1] == "-m" else 1
    return at if at < len(words) else 0


def _after_program(kind: str, words: list[str]) -> list[str]:
    """Return the words behind the program, and without celery's command."""
    at = next((number for number, word in enumerate(words[:3]) if os.path.basename(word) == kind), 0)
    rest = words[(_program_at(words) if kind in ("beat", "gunicorn", "worker") else at) + 1 :]
    if kind in ("beat", "worker") and kind in rest:
        rest.remove(kind)
    application = _application_at(rest) if kind == "gunicorn" else None
    return rest if application is None else rest[:application] + rest[application + 1 :]


def _application_at(words: Sequence[str]) -> int | None:
    """Return where gunicorn's application stands among its arguments: the first word that is no option's value."""
    is_value = False
    for at, word in enumerate(words):
        if _is_option(word):
            has_value = "=" in word or (len(word) > 2 and not word.startswith("--"))
            is_value = not has_value and word not in GUNICORN_FLAGS
        elif is_value:
            is_value = False
        else:
            return at
    return None


def _arguments(kind: str, words: list[str]) -> Iterator[Argument]:
    """Yield the arguments; a word that is no option's value belongs to the option before it."""
    table = KINDS[kind]
    short = {name for item in table.arguments for name in item.names if len(name) == 2}
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        if not _is_option(word):
            # A word that stands alone, such as httpok's page.
            yield Argument(word, word, "", (word,))
            continue
        spelling, equals, value = word.partition("=")
        if word[:2] in short and not word.startswith("--"):
            spelling, value = word[:2], word[2:].removeprefix("=") if len(word) > 2 else ""
            equals = value
        item = table.find(spelling)
        taken: tuple[str, ...] = (word,)
        takes_next = not equals and not (item and item.is_flag)
        if takes_next and position < len(words) and not _is_option(words[position]):
            value, taken = words[position], (word, words[position])
            position += 1
        name = item.name if item else spelling
        yield Argument(name, spelling, canonical_argument(kind, name, value), taken)


def argument_of(kind: str, words: list[str], name: str) -> str | None:
    """Return the value of an argument, by the name that we use, in a program's command or in further arguments of it.

    The last one, which counts if it is given more than once; None if it is not given.
    """
    found = [one.value for one in _arguments(kind, words) if one.name == name]
    return found[-1] if found else None


def _is_option(word: str) -> bool:
    # A dash alone is a value: gunicorn's standard output.
    return word.startswith("-") and word != "-"


def members(group: str, programs: Mapping[str, Section], other: Mapping[str, Options]) -> list[str]:
    """Return the programs of a group; of a group that is not in the file its name, for want of them."""
    named = {title: options.get("programs", "") for title, options in other.items() if title.startswith("group:")}
    if f"group:{group}" in named:
        return [name.strip() for name in named[f"group:{group}"].split(",") if name.strip()]
    # A program is a group of its own name unless it is in another.
    elsewhere = {name.strip() for text in named.values() for name in text.split(",")}
    return [] if group in programs and group in elsewhere else [group]


def limits_of(
    memmons: list[Section], programs: Mapping[str, Section], other: Mapping[str, Options]
) -> dict[str, Limit]:
    """Return the limits by program. A process that ``-p``, ``-g`` and ``-a`` name is restarted at the least of them.

    Source: superlance/memmon.py (runforever), which compares a process with each in turn.
    """
    own: dict[str, list[int]] = {}
    common: dict[str, int] = {}
    with_children: dict[str, bool] = {}
    for memmon_section in memmons:
        cumulative = memmon_section.argument("-c") is not None
        for one in memmon_section.arguments:
            size = _bytes(one.value.rpartition("=")[2])
            if not size or one.name not in ("-p", "-g", "-a"):
                continue
            if one.name == "-p":
                names = [program_of(one.value)]
                own.setdefault(names[0], []).append(size)
            else:
                group = one.value.partition("=")[0]
                names = list(programs) if one.name == "-a" else members(group, programs, other)
                common.update((name, min(size, common.get(name, size))) for name in names)
            for name in names:
                with_children[name] = with_children.get(name, False) or cumulative
    return {
        name: _limit(_sizes(own.get(name, []), common.get(name), programs.get(name)), with_children[name])
        for name in dict.fromkeys([*own, *common])
    }


def _sizes(own: list[int], common: int | None, program: Section | None) -> list[int]:
    """Return the limits of a program's processes, of which ``common`` is for all and each may have one of its own."""
    if common is None:
        return own
    numprocs = program.options.get("numprocs", "1") if program else "1"
    others = [common] * ((int(numprocs) if numprocs.isdecimal() else 1) - len(own))
    return [min(size, common) for size in own] + others


def _limit(sizes: list[int], cumulative: bool) -> Limit:
    several = len(set(sizes)) > 1
    read = memmon.one_limit(sizes)
    alike = len(sizes) > 1 and not several
    return Limit(read, cumulative, in_steps=several and len(read) == 1, alike=alike, count=len(sizes))


def _bytes(size: str) -> int:
    try:
        return int(size) if size.isdecimal() else memmon.parse_size(size)
    except ValueError:
        return 0


def program_of(limit: str) -> str:
    """Return the program that a memmon's ``worker_00=256MB`` or ``myauth:worker=256MB`` is meant for."""
    return _NUMBER_AT_THE_END.sub("", limit.partition("=")[0].rpartition(":")[2])


def environment(text: str, known: Mapping[str, str]) -> dict[str, str]:
    """Return an environment's variables, which may be secrets. Values that supervisor could not read are left out."""
    from supervisor.datatypes import dict_of_key_value_pairs

    # An expansion that we do not know is yet to come, and % would end a word.
    text = _expand(text, known).replace("%", "_")
    try:
        return dict(dict_of_key_value_pairs(text))
    except ValueError:
        # supervisor would not start with it either, but that is told elsewhere. What may be in a value is no name.
        return dict.fromkeys(_ASSIGNMENT.findall(_QUOTED.sub("''", text)), "")


def _expand(text: str, known: Mapping[str, str]) -> str:
    """Return a value with those of supervisor's expansions that we know, and the others as they stand."""

    def value(found: re.Match[str]) -> str:
        return "%" if found[0] == "%%" else known.get(found[1], found[0])

    return _EXPANSION.sub(value, text)


def canonical_option(name: str, value: str) -> str:
    """Return an option's value in one spelling."""
    value = value.strip()
    if name in _SWITCHES or name == "autorestart":
        return _WORDS.get(value.lower(), value.lower())
    if name.endswith("_logfile_maxbytes"):
        size = memmon.size_in_bytes(value)
        return value if size is None else memmon.size_text(size) if size else "0"
    if name == "stopsignal":
        return value.upper().removeprefix("SIG")
    return str(int(value)) if value.isdecimal() and name != "umask" else value


def canonical_argument(kind: str, name: str, value: str) -> str:
    """Return an argument's value in one spelling."""
    read = _READERS.get((kind, name))
    return read(value) if read else value


def _number(value: str) -> str:
    return str(int(value)) if value.isdecimal() else value


def _address(value: str) -> str:
    """Return an address as auth_gunicorn_bind takes it. Source: gunicorn/util.py (parse_address)."""
    found = _ADDRESS.match(value.lower())
    return f"{found.group(1) or '0.0.0.0'}:{found.group(2) or 8000}" if found else value.replace("unix://", "unix:")


def _queues(value: str) -> str:
    return ",".join(sorted({queue.strip() for queue in value.split(",")}))


_READERS: Mapping[tuple[str, str], Callable[[str], str]] = {
    ("beat", "-l"): str.lower,
    ("gunicorn", "-b"): _address,
    ("gunicorn", "-t"): _number,
    ("gunicorn", "-w"): _number,
    ("worker", "-P"): str.lower,
    ("worker", "-Q"): _queues,
    ("worker", "-c"): _number,
    ("worker", "-l"): str.lower,
}
