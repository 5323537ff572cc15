# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare the supervisor.conf that is there with the one that would take its place, by what they mean.

Every difference is a `Change`: what, how it is now, how it would be, whether somebody has chosen the former, and the
variables that keep it. Whether it needs consent is decided on the controller, which knows what was set there.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, replace
from typing import Any, Iterable, Iterator, Mapping

from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import description, managed_file, templates
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.command import split_command
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.description import (
    Argument,
    Description,
    Limit,
    Section,
)
from ansible_collections.allianceauth.tuning.plugins.module_utils.model import memmon

Path = tuple[str, ...]

# Stands for a secret in what a user is to paste; the role refuses it as a value.
PLACEHOLDER = "<the value that is in the present file>"

NOTHING = "none"
_NOT_SHOWN = "a value that is not shown"
_ANOTHER = "another one"
_OWN_FILE = "move it into a file of its own in conf.d"
_PROGRAM_GONE = "a program"

# What the role writes into each section of its own, whatever the variables say, unless auth_program_settings does.
_WORKER_SETTINGS = {
    "autostart": "true",
    "autorestart": "true",
    "startsecs": "10",
    "killasgroup": "true",
    "priority": "998",
}
_EXTRA_SETTINGS = {"autostart": "true", "autorestart": "true"}

# Sections of the file that supervisord and we need, and in which an option may change.
_SOCKET = "unix_http_server"

_WHY_LOGS = "the logs go to a folder that root alone writes, and the project's log folder links to them"
_WHY_NAMES = "processes are numbered, and nodes have the host in their names, so that no two are called the same"
_WHY: Mapping[str, str] = {
    "-n": _WHY_NAMES,
    "process_name": _WHY_NAMES,
    "stdout_logfile": _WHY_LOGS,
    "stderr_logfile": _WHY_LOGS,
}
_WHY_GUNICORN: Mapping[str, str] = {
    "stopsignal": "TERM lets requests finish, which INT aborts",
    "stopwaitsecs": "longer than the 30 s that gunicorn gives its requests",
    "-c": "a second gunicorn can share its address while it restarts",
    "limit": "it was that of gunicorn's small main process alone, and never reached",
}
_WHY_TREE = "its children count as well, whose memory it was meant for"
_WHY_MEMMON = "each process has a memmon of its own, which no other one keeps waiting"


@dataclass(frozen=True)
class Change:
    """Something in the present file that would be otherwise.

    ``section`` has no brackets, ``item`` is an option, an argument, or empty for the section as a whole. ``chosen``:
    whether somebody has chosen what is there now. ``keeps``: the variables, by path, with the values that keep it;
    ``hint`` says what does if none can. ``settled_by``: paths to variables, of which any one that is set says that the
    change is wanted. ``names``: as what auth_discard may call it. ``reason``: why the role changes it on purpose.
    """

    section: str
    item: str
    now: str
    then: str
    chosen: bool
    keeps: tuple[tuple[Path, Any], ...] = ()
    settled_by: tuple[Path, ...] = ()
    names: tuple[str, ...] = ()
    hint: str = ""
    reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return it as a module can return it."""
        return asdict(self)


def changes(old: str, new: str, discard: Iterable[str], cores: int = 0) -> list[Change]:
    """Return how ``new`` differs from ``old``, the file that is there; secrets are not in it.

    ``discard`` names what may go: ``program:authbot``, ``program:worker.umask`` (an option), ``program:worker.TOKEN``
    (an environment variable), ``program:worker --autoscale`` (an argument), ``eventlistener:memmon -p authbot`` (one
    limit). ``cores`` are the host's, Celery's own default of ``--concurrency``. In a file that is as the role wrote
    it, all comes from variables, so nothing of it is a choice that could be lost.
    """
    by_hand = not managed_file.is_unchanged(old)
    after = description.describe(new, _kinds(new))
    before = description.describe(old, {name: "extra" for name, one in after.programs.items() if one.kind == "extra"})
    allowed = set(discard)
    found = _Comparison(before, after, cores or os.cpu_count() or 1).changes()
    return [
        change if by_hand and not allowed & {change.section, *change.names} else _unasked(change) for change in found
    ]


def _unasked(change: Change) -> Change:
    return Change(change.section, change.item, change.now, change.then, chosen=False, reason=change.reason)


def _kinds(new: str) -> dict[str, str]:
    """Return the kinds of the programs in a file of the role's: what runs Celery may be an extra program as well."""
    programs = description.describe(new).programs
    return {
        name: "extra"
        for name, program in programs.items()
        if program.kind != "extra" and program.kind != name and "numprocs" not in program.options
    }


class _Comparison:
    """The changes between two files."""

    def __init__(self, before: Description, after: Description, cores: int) -> None:
        self.before = before
        self.after = after
        self.cores = str(cores)

    def changes(self) -> list[Change]:
        """Return all of them, in the order of the present file."""
        found: list[Change] = []
        for name, program in self.before.programs.items():
            if name in self.after.programs:
                found += self._program(name, program, self.after.programs[name])
            else:
                found.append(self._gone(name, program))
        found += self._new_programs()
        found += self._limits()
        found += self._listeners()
        for title, options in self.before.other.items():
            found += self._other(title, options)
        return found

    def _program(self, name: str, before: Section, after: Section) -> Iterator[Change]:
        if before.kind != after.kind:
            yield self._wrapped(name, before, after)
            return
        if before.kind == "extra":
            if before.words != after.words:
                yield Change(
                    after.name,
                    "command",
                    _joined(before.words),
                    _joined(after.words),
                    chosen=True,
                    settled_by=(("auth_extra_programs", name, "command"),),
                )
        else:
            yield from self._arguments(name, before, after)
        yield from self._options(name, before, after)
        yield from self._environment(name, before, after)

    # Arguments

    def _arguments(self, name: str, before: Section, after: Section) -> Iterator[Change]:
        if before.program.startswith("/") and before.program != after.program:
            yield Change(
                after.name,
                "command",
                before.program,
                after.program,
                chosen=True,
                keeps=((("auth_venv",), os.path.dirname(os.path.dirname(before.program))),),
                settled_by=(("auth_venv",),),
                names=(f"{after.name}.command",),
            )
        for item in after.table.arguments:
            if item.variable == after.table.any_argument:
                continue
            now, then = before.argument(item.name), after.argument(item.name)
            default = self.cores if item.name == "-c" else item.default
            if (default if now is None else now) == (default if then is None else then):
                continue
            keeps, settled = self._places(name, after, item.name, now if now is not None else default)
            yield Change(
                after.name,
                item.names[-1],
                now if now is not None else f"{default} (the default)" if default else NOTHING,
                then if then is not None else f"{default} (the default)" if default else NOTHING,
                chosen=item.name not in _WHY and self._is_chosen(name, before, item.name, now, default),
                keeps=keeps,
                settled_by=settled,
                names=tuple(f"{after.name} {spelling}" for spelling in reversed(item.names)),
                reason=_WHY.get(item.name, ""),
            )
        yield from self._other_arguments(name, before, after)

    def _other_arguments(self, name: str, before: Section, after: Section) -> Iterator[Change]:
        path = _list_path(name, after)
        for argument in dict.fromkeys(one.name for one in before.others):
            now, then = _words(before.others, argument), _words(after.others, argument)
            if _values(before.others, argument) == _values(after.others, argument):
                continue
            spelling = next(one.spelling for one in before.others if one.name == argument)
            written = argument in ("--pid", "--no-control-socket")
            yield Change(
                after.name,
                spelling,
                _joined(now),
                _joined(then) or NOTHING,
                chosen=not written,
                keeps=((path, list(now)),),
                # What is not among further arguments that were set need not have been forgotten on purpose.
                settled_by=(path,) if then else (),
                names=tuple(
                    dict.fromkeys(
                        (f"{after.name} {argument}", f"{after.name} {spelling}", *_all_names(after, argument))
                    )
                ),
            )
        for argument in dict.fromkeys(one.name for one in after.others):
            if not _words(before.others, argument):
                then = _words(after.others, argument)
                reason = _WHY_GUNICORN.get(argument, "") if after.kind == "gunicorn" else ""
                yield Change(after.name, then[0], NOTHING, _joined(then), chosen=False, reason=reason)

    def _is_chosen(self, name: str, before: Section, item: str, now: str | None, default: str) -> bool:
        if now is not None:
            return not templates.wrote(name, item, now)
        # Where a command says nothing, its program's own default counts; a template may have left it to that.
        return bool(default) and not templates.left_out(before, name, item)

    def _places(self, name: str, section: Section, item: str, value: str) -> tuple[Any, Any]:
        """Return the variables that keep an item's value, and the paths that say that a change is wanted."""
        known = section.table.find(item)
        assert known
        if section.kind == "worker" and known.key:
            own: Path = ("auth_workers", name, known.key)
            kept: Any = value.split(",") if known.key == "queues" else _number(value)
            common: Path = (f"auth_worker_{known.key}",)
            if name != "worker" or known.key == "queues":
                return ((own, kept),), (own,)
            path = own if self._others_differ(item, value) else common
            return ((path, kept),), (common, own)
        if known.is_read_only or item == "-A" or ", " in value:
            return (), ((known.variable,),)
        if item == "autostart":
            return (((known.variable,), False),), ((known.variable,), (_SETTINGS, name, item))
        return (((known.variable,), _number(value)),), ((known.variable,),)

    def _others_differ(self, item: str, value: str) -> bool:
        """Whether another pool, which takes from the same variable, has another value now."""
        pools = [name for name, one in self.after.programs.items() if one.kind == "worker" and name != "worker"]
        found = {self._worker_value(name, item) for name in pools if name in self.before.programs}
        if item in ("-c", "numprocs"):
            # It has one of each in any case.
            pools = [name for name in pools if name != "worker_services"]
            found = {self._worker_value(name, item) for name in pools if name in self.before.programs}
        return bool(found - {value})

    def _worker_value(self, name: str, item: str) -> str:
        section = self.before.programs[name]
        if item.startswith("-"):
            return section.argument(item) or ""
        return section.options.get(item, "")

    # Options

    def _options(self, name: str, before: Section, after: Section) -> Iterator[Change]:
        for option in dict.fromkeys([*before.options, *after.options]):
            now, then = before.options.get(option), after.options.get(option)
            default = templates.supervisors_default(name, option)
            if (default if now is None else now) == (default if then is None else then):
                continue
            keeps, settled = self._option_places(name, after, option, now or default)
            reason = self._why(name, before, after, option, now)
            chosen = not templates.wrote(name, option, now) if now is not None else False
            if now is None and name in templates.PROGRAMS and default:
                chosen = not templates.left_out(before, name, option)
            yield Change(
                after.name,
                option,
                now if now is not None else f"{default} (the default)" if default else NOTHING,
                then if then is not None else f"{default} (the default)" if default else NOTHING,
                chosen=chosen and not reason,
                keeps=keeps,
                settled_by=settled,
                names=(f"{after.name}.{option}",),
                reason=reason,
                hint="" if keeps else _OWN_FILE,
            )

    def _option_places(self, name: str, section: Section, option: str, value: str) -> tuple[Any, Any]:
        known = section.table.find(option)
        if known and known.is_read_only:
            return (), ()
        if known and (known.key or option == "autostart" or option == "stopsignal") and section.kind != "extra":
            return self._places(name, section, option, value)
        path: Path = _setting(name, section, option)
        return ((path, _number(value)),), (path, *(((known.variable,),) if known else ()))

    def _why(self, name: str, before: Section, after: Section, option: str, now: str | None) -> str:
        """Return why the role changes an option on purpose, empty if it does not."""
        if option in ("stdout_logfile", "stderr_logfile"):
            return _WHY_LOGS if now is None or templates.is_own_log(before, now) else ""
        if after.kind == "gunicorn" and (now is None or templates.wrote(name, option, now)):
            return _WHY_GUNICORN.get(option, "")
        return _WHY.get(option, "")

    # Environments

    def _environment(self, name: str, before: Section, after: Section) -> Iterator[Change]:
        for variable, value in before.environment.items():
            if after.environment.get(variable) == value or self.after.environment.get(variable) == value:
                continue
            path = self._environment_path(name, after, variable, value)
            there = variable in after.environment
            yield Change(
                after.name,
                f"environment {variable}",
                _NOT_SHOWN,
                _ANOTHER if there else NOTHING,
                chosen=True,
                keeps=((path, PLACEHOLDER),),
                settled_by=(path, ("auth_environment", variable)) if there else (),
                names=(f"{after.name}.{variable}",),
            )
        for variable in after.environment:
            if variable not in before.environment and variable not in self.before.environment:
                yield Change(after.name, f"environment {variable}", NOTHING, _NOT_SHOWN, chosen=False)

    def _environment_path(self, name: str, section: Section, variable: str, value: str) -> Path:
        ours = [one for one in self.before.programs if one in self.after.programs]
        if len(ours) > 1 and all(self.before.programs[one].environment.get(variable) == value for one in ours):
            return ("auth_environment", variable)
        return (*_setting(name, section, "environment"), variable)

    # Whole programs

    def _gone(self, name: str, program: Section) -> Change:
        title = program.name
        if name in ("beat", "gunicorn"):
            variable: Path = (f"auth_{name}",)
            return Change(title, "", _PROGRAM_GONE, NOTHING, True, ((variable, True),), (variable,), (title,))
        if program.kind == "worker" and self._is_ours(program):
            keeps = self._worker_entry(name, program)
            settled: tuple[Path, ...] = (("auth_workers", name, "enabled"),)
        else:
            keeps, settled = self._extra_entry(name, replace(program, kind="extra")), ()
        hint = "" if keeps else f"put [{title}] into a file of its own in conf.d"
        return Change(title, "", _PROGRAM_GONE, NOTHING, True, keeps, settled, (title,), hint)

    def _is_ours(self, worker: Section) -> bool:
        """Whether a worker is one of this project, from this venv."""
        return any(
            (one.program, one.argument("-A")) == (worker.program, worker.argument("-A"))
            for one in self.after.programs.values()
            if one.kind in ("beat", "worker")
        )

    def _worker_entry(self, name: str, program: Section) -> tuple[tuple[Path, Any], ...]:
        entry: dict[str, Any] = {}
        for item in program.table.items:
            if not item.key:
                continue
            value = program.argument(item.name) if item.is_argument else program.options.get(item.name)
            value = value or (self.cores if item.name == "-c" else item.default)
            if value:
                entry[item.key] = value.split(",") if item.key == "queues" else _number(value)
        limit = self.before.limits.get(name)
        entry["memory_limit"] = memmon.size_text(limit.size) if limit else ""
        words = [word for one in program.others for word in one.words]
        if words:
            entry["options"] = words
        return (
            *((("auth_workers", name, key), value) for key, value in entry.items()),
            *self._settings(name, program, _SETTINGS, _WORKER_SETTINGS),
        )

    def _extra_entry(self, name: str, program: Section) -> tuple[tuple[Path, Any], ...]:
        if program.options.get("numprocs", "1") != "1" or not program.words:
            return ()
        limit = self.before.limits.get(name)
        entry: list[tuple[Path, Any]] = [(("auth_extra_programs", name, "command"), _command(program.words))]
        if limit:
            entry.append((("auth_extra_programs", name, "memory_limit"), memmon.size_text(limit.size)))
            if limit.tree:
                entry.append((("auth_extra_programs", name, "memory_limit_tree"), True))
        return (*entry, *self._settings(name, program, "auth_extra_programs", _EXTRA_SETTINGS))

    def _settings(
        self, name: str, program: Section, variable: str, given: Mapping[str, str]
    ) -> Iterator[tuple[Path, Any]]:
        """Yield what is left to say of a section: options that the role would write otherwise, and its environment."""
        known = {item.name for item in program.table.options if item.key or item.is_read_only}
        for option, value in program.options.items():
            usual = given.get(option, templates.supervisors_default(name, option))
            if option in known or value == usual or self._is_usual(program, option, value):
                continue
            yield (variable, name, option), _number(value)
        for name_of_variable in program.environment:
            yield (variable, name, "environment", name_of_variable), PLACEHOLDER

    def _is_usual(self, program: Section, option: str, value: str) -> bool:
        """Whether a place is that of the role's own programs."""
        if option in ("stdout_logfile", "stderr_logfile"):
            return templates.is_own_log(program, value)
        others = {one.options.get(option) for one in self.after.programs.values()}
        return option in ("directory", "user") and others == {value}

    def _wrapped(self, name: str, before: Section, after: Section) -> Change:
        """Return the change of a program whose command is not what its name says, such as a script."""
        off = _off(name, after)
        entry = self._extra_entry(name, replace(before, kind="extra"))
        return Change(
            after.name,
            "command",
            _joined(before.words),
            f"{after.program} …",
            chosen=True,
            keeps=(off, *entry) if entry else (),
            names=(f"{after.name}.command",),
            hint="what it runs cannot be read from here",
        )

    def _new_programs(self) -> Iterator[Change]:
        for name, program in self.after.programs.items():
            if name in self.before.programs:
                continue
            # Every template has these: somebody has taken them out, because they run elsewhere.
            taken_out = bool(self.before.programs) and name in ("beat", "gunicorn", "worker")
            off = _off(name, program)
            yield Change(
                program.name,
                "",
                NOTHING,
                _PROGRAM_GONE,
                taken_out,
                keeps=(off,) if taken_out else (),
                settled_by=(off[0], *((("auth_workers", name),) if name == "worker" else ())) if taken_out else (),
                names=(program.name,),
            )

    # Limits and listeners

    def _limits(self) -> Iterator[Change]:
        names = dict.fromkeys([*self.before.limits, *self.after.limits])
        for name in names:
            now, then = self.before.limits.get(name), self.after.limits.get(name)
            section = self.after.programs.get(name)
            if section is None:
                if name not in self.before.programs and now:
                    yield self._foreign_limit(name, now)
                continue
            weighs_children = bool(then and then.tree)
            if now and then and now.sizes == then.sizes:
                if weighs_children and not now.tree:
                    yield self._limit_change(name, section, now, then, chosen=False, reason=_WHY_TREE)
                continue
            if not now and not then:
                continue
            stock = now is not None and name in templates.LIMITED and now.sizes == {templates.LIMIT}
            unreached = stock and section.kind == "gunicorn" and then is None and not (now and now.tree)
            reason = _WHY_GUNICORN["limit"] if unreached else ""
            yield self._limit_change(name, section, now, then, chosen=now is not None and not stock, reason=reason)

    def _limit_change(
        self, name: str, section: Section, now: Limit | None, then: Limit | None, chosen: bool, reason: str
    ) -> Change:
        path: Path
        settled: tuple[Path, ...]
        own: Path = ("auth_workers", name, "memory_limit")
        if section.kind == "worker":
            common: Path = ("auth_worker_memory_limit",)
            others = [
                self.before.limits.get(other)
                for other, one in self.after.programs.items()
                if one.kind == "worker" and other != name and other in self.before.programs
            ]
            alike = all(other and now and other.size == now.size for other in others)
            path = common if name == "worker" and alike else own
            settled = (common, own) if name == "worker" else (own,)
        elif section.kind in ("beat", "gunicorn"):
            path = (f"auth_{name}_memory_limit",)
            settled = (path,)
        else:
            path = ("auth_extra_programs", name, "memory_limit")
            settled = (path,)
        keeps: tuple[tuple[Path, Any], ...] = ((path, memmon.size_text(now.size)),) if now else ()
        if now and now.tree and section.kind == "extra":
            keeps += ((("auth_extra_programs", name, "memory_limit_tree"), True),)
        listener = next((one.name for one in self.before.memmons if _limits_program(one, name)), "eventlistener:memmon")
        return Change(
            section.name,
            "memory limit",
            _shown(now),
            _shown(then),
            chosen,
            keeps,
            (*settled, ("auth_memmon",)),
            (f"{listener} -p {name}", f"{listener} -p"),
            reason=reason,
        )

    def _foreign_limit(self, name: str, now: Limit) -> Change:
        listener = next((one.name for one in self.before.memmons if _limits_program(one, name)), "eventlistener:memmon")
        stock = name in templates.LIMITED and now.sizes == {templates.LIMIT}
        return Change(
            listener,
            f"-p {name}",
            _shown(now),
            NOTHING,
            chosen=not stock,
            names=(f"{listener} -p {name}", f"{listener} -p"),
            hint=f"{name} is not in this file: give it a memmon of another name in a file of its own in conf.d",
        )

    def _listeners(self) -> Iterator[Change]:
        for listener in self.before.listeners.values():
            if listener.kind == "memmon":
                yield from self._memmon(listener)
            elif listener.name.partition(":")[2] not in self.after.listeners:
                yield self._listener_gone(listener)

    def _memmon(self, before: Section) -> Iterator[Change]:
        after = self.after.memmons
        if not after or before.name in [one.name for one in after]:
            # With no limit there is nobody to tell of one.
            after = [one for one in after if one.name == before.name]
        mails = before.argument("-m") is not None
        for item in before.table.items:
            if not item.variable.startswith("auth_memmon_") or not after:
                continue
            if (item.name == "-n" or item.name in ("-s", "-u")) and not mails:
                # They say how to mail.
                continue
            now = before.argument(item.name) if item.is_argument else before.options.get(item.name)
            then = after[0].argument(item.name) if item.is_argument else after[0].options.get(item.name)
            if now == then:
                continue
            chosen = now is not None and item.name != "user" and not (item.name == "events" and now == templates.EVENTS)
            path: Path = (item.variable,)
            joint = " " if item.is_argument else "."
            yield Change(
                before.name,
                item.names[-1],
                now or NOTHING,
                then or NOTHING,
                chosen,
                ((path, now),) if now else (),
                (path,),
                tuple(f"{before.name}{joint}{name}" for name in item.names),
                reason="" if item.name != "user" else "memmon need not be root",
            )
        known = {item.name for item in before.table.options}
        for option, value in before.options.items():
            item_or_none = before.table.find(option)
            usual = item_or_none is not None and (not item_or_none.default or item_or_none.default == value)
            if option not in known or not usual:
                yield Change(
                    before.name,
                    option,
                    value,
                    NOTHING,
                    chosen=True,
                    names=(f"{before.name}.{option}",),
                    hint="only a listener of another name, in a file of its own in conf.d, can have it",
                )
        if before.name not in [one.name for one in self.after.memmons] and self.after.memmons:
            names = ", ".join(one.name.partition(":")[2] for one in self.after.memmons)
            yield Change(before.name, "", "one memmon", names, chosen=False, reason=_WHY_MEMMON)

    def _listener_gone(self, listener: Section) -> Change:
        variable = {"crashmail": ("-m", "auth_crashmail_email"), "httpok": ("", "auth_httpok_url")}.get(listener.kind)
        keeps: tuple[tuple[Path, Any], ...] = ()
        hint = f"put [{listener.name}] into a file of its own in conf.d"
        if variable and listener.name == f"eventlistener:{listener.kind}":
            value = listener.argument(variable[0]) if variable[0] else _page(listener)
            if value:
                keeps, hint = (((variable[1],), value),), ""
        return Change(listener.name, "", "a listener", NOTHING, True, keeps, (), (listener.name,), hint)

    # Other sections

    def _other(self, title: str, before: Mapping[str, str]) -> Iterator[Change]:
        family = title.partition(":")[0]
        after = self.after.other.get(title)
        if family == "group":
            # Its programs are sections of their own.
            if after is None:
                hint = "give its programs to auth_extra_programs, or " + _OWN_FILE
                yield Change(title, "", "a group", NOTHING, True, names=(title,), hint=hint)
            return
        if title == "supervisord":
            yield from self._daemon_environment()
        elif after is None:
            # A socket of the role's own is there only while somebody besides root has to connect.
            if title != _SOCKET:
                yield Change(title, "", "a section", NOTHING, True, names=(title,), hint=_OWN_FILE)
            return
        for option, value in before.items():
            if option == "environment" or (after or {}).get(option) == value:
                continue
            then = (after or {}).get(option)
            yield Change(
                title,
                option,
                value if "pass" not in option else _NOT_SHOWN,
                then or NOTHING,
                # In a section of its own, supervisor takes what the last file says.
                chosen=then is None,
                names=(f"{title}.{option}",),
                hint=_OWN_FILE,
            )

    def _daemon_environment(self) -> Iterator[Change]:
        everywhere = [program.environment for program in self.after.programs.values()]
        for variable, value in self.before.environment.items():
            there = [one.get(variable) for one in everywhere]
            same = everywhere and all(one == value for one in there)
            if variable in templates.ENVIRONMENT or variable in self.after.environment or same:
                continue
            path: Path = ("auth_environment", variable)
            yield Change(
                "supervisord",
                f"environment {variable}",
                _NOT_SHOWN,
                _ANOTHER if all(one is not None for one in there) and there else NOTHING,
                chosen=True,
                keeps=((path, PLACEHOLDER),),
                settled_by=(path,) if all(one is not None for one in there) else (),
                names=(f"supervisord.{variable}",),
            )


_SETTINGS = "auth_program_settings"


def _setting(name: str, section: Section, option: str) -> Path:
    return ("auth_extra_programs" if section.kind == "extra" else _SETTINGS, name, option)


def _off(name: str, section: Section) -> tuple[Path, Any]:
    """Return the variable that leaves a program out, with its value."""
    path: Path = ("auth_workers", name, "enabled") if section.kind == "worker" else (f"auth_{name}",)
    return path, False


def _list_path(name: str, section: Section) -> Path:
    """Return the list that further arguments of a program's command stand in."""
    return ("auth_workers", name, "options") if section.kind == "worker" else (section.table.any_argument,)


def _words(arguments: Iterable[Argument], name: str) -> tuple[str, ...]:
    return tuple(word for one in arguments if one.name == name for word in one.words)


def _values(arguments: Iterable[Argument], name: str) -> list[str]:
    return [one.value for one in arguments if one.name == name]


def _all_names(section: Section, argument: str) -> list[str]:
    known = section.table.find(argument)
    return [f"{section.name} {name}" for name in known.names] if known else []


def _joined(words: Iterable[str]) -> str:
    return " ".join(words)


def _number(value: str) -> Any:
    """Return a value as one writes it in YAML."""
    if value in ("true", "false"):
        return value == "true"
    return int(value) if value.isdecimal() and str(int(value)) == value else value


def _command(words: tuple[str, ...]) -> Any:
    """Return a command as one writes it: in one line where that is read back the same."""
    return _joined(words) if split_command(_joined(words)) == list(words) else list(words)


def _shown(limit: Limit | None) -> str:
    if limit is None:
        return NOTHING
    sizes = " and ".join(memmon.size_text(size) for size in sorted(limit.sizes))
    return f"{sizes} with its children" if limit.tree else sizes


def _limits_program(listener: Section, name: str) -> bool:
    return any(one.name == "-p" and description.program_of(one.value) == name for one in listener.arguments)


def _page(listener: Section) -> str:
    return next((one.name for one in listener.arguments if one.name.startswith("http")), "")
