# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare a program of both files: its arguments, options and environment."""

from __future__ import annotations

import os
from typing import Any, Iterable, Iterator, Mapping

from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import templates
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.change import (
    ANOTHER,
    NOT_SHOWN,
    NOTHING,
    PLACEHOLDER,
    Change,
    Path,
    joined,
    yaml_value,
)
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.description import (
    Argument,
    Description,
    Section,
    canonical_argument,
)
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.options import PROGRAM_OPTIONS, Item

_WHY_LOGS = (
    "the logs go to a folder that root alone writes, one for each process, and the project's log folder links to them"
)
_WHY_PROGRAM = "the role starts the one of the virtual environment itself, by its full name"
_NO_VENV = "the role starts what is in a virtual environment, and the system's own programs are in none"
_OTHER_APPLICATION = (
    "the role starts {project}.wsgi: set auth_gunicorn to false, and give this command to auth_extra_programs under "
    "another name"
)
_NO_VARIABLE = "no variable has it: name it in auth_discard"
_WHY_NO_OPTION = "supervisor has no such option of a program, and passes over it"
_WHY_ONE_LOG = "both streams of a process go into its log"
_WHY_NAMES = "processes are numbered, and nodes have the host in their names, so that no two are called the same"
_WHY_TEMPLATE = "Alliance Auth's template has it since gunicorn has a control socket, as the one here does"
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
    "--pid": _WHY_TEMPLATE,
    "--no-control-socket": _WHY_TEMPLATE,
}


class ProgramChanges:
    """The changes of the programs that both files have."""

    def __init__(self, before: Description, after: Description, cores: str, gunicorns_file: Mapping[str, Any]) -> None:
        self.before = before
        self.after = after
        self.cores = cores
        self.gunicorns_file = gunicorns_file

    def changes(self, name: str) -> Iterator[Change]:
        """Yield those of a program."""
        before, after = self.before.programs[name], self.after.programs[name]
        if before.kind == "extra":
            if before.words != after.words:
                yield Change(
                    after.name,
                    "command",
                    joined(before.words),
                    joined(after.words),
                    chosen=True,
                    settled_by=(("auth_extra_programs", name, "command"),),
                )
        else:
            yield from self._arguments(name, before, after)
        yield from self._options(name, before, after)
        yield from self._environment(name, before, after)

    # Arguments

    def _arguments(self, name: str, before: Section, after: Section) -> Iterator[Change]:
        yield from self._program(before, after)
        if before.kind == "gunicorn":
            yield from self._application(before, after)
        for item in after.table.arguments:
            if item.variable == after.table.any_argument:
                continue
            now, then = before.argument(item.name), after.argument(item.name)
            if before.kind == "gunicorn" and now is None and item.names[-1].lstrip("-") in self.gunicorns_file:
                # A command that says nothing leaves it to the file, before and after.
                if then is None:
                    continue
                given = self.gunicorns_file[item.names[-1].lstrip("-")]
                if given is None:
                    yield self._calculated(after, item, then)
                    continue
                now = canonical_argument("gunicorn", item.name, str(given))
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
                hint="change it in your web server too" if item.name == "-b" else "",
            )
        yield from self._other_arguments(name, before, after)

    def _calculated(self, gunicorn: Section, item: Item, then: str) -> Change:
        """Return the change of a value that gunicorn's file calculates."""
        hint = "change it in your web server too, if it is another" if item.name == "-b" else ""
        return Change(
            gunicorn.name,
            item.names[-1],
            "what gunicorn's own file gives",
            then,
            chosen=True,
            settled_by=((item.variable,),),
            names=tuple(f"{gunicorn.name} {spelling}" for spelling in reversed(item.names)),
            hint=hint,
        )

    def _program(self, before: Section, after: Section) -> Iterator[Change]:
        """Yield the change of the program itself, out of another venv or by way of Python."""
        if before.folder.startswith("/") and before.folder != after.folder:
            venv = os.path.dirname(before.folder)
            is_systems = venv in ("/", "/usr", "/usr/local")
            yield Change(
                after.name,
                "command",
                joined(before.started_by),
                after.program,
                chosen=True,
                keeps=() if is_systems else ((("auth_venv",), venv),),
                settled_by=(("auth_venv",),),
                names=(f"{after.name}.command",),
                hint=_NO_VENV if is_systems else "",
            )
        elif before.started_by != after.started_by:
            yield Change(
                after.name, "command", joined(before.started_by), after.program, chosen=False, reason=_WHY_PROGRAM
            )

    def _application(self, before: Section, after: Section) -> Iterator[Change]:
        """Yield the change of what gunicorn loads; what a module offers as ``application`` it takes by itself."""
        now, then = before.application, after.application
        if now.removesuffix(":application") == then:
            return
        yield Change(
            after.name,
            "application",
            now or "what gunicorn's own file gives",
            then,
            chosen=True,
            names=(f"{after.name}.application",),
            hint=_OTHER_APPLICATION.format(project=then.partition(".")[0]),
        )

    def _other_arguments(self, name: str, before: Section, after: Section) -> Iterator[Change]:
        path = _list_path(name, after)
        spellings = {one.name: one.spelling for one in reversed(before.others)}
        for argument in dict.fromkeys(one.name for one in before.others):
            now, then = _words(before.others, argument), _words(after.others, argument)
            if _values(before.others, argument) == _values(after.others, argument):
                continue
            spelling = spellings[argument]
            pidfile = f"{before.options.get('directory', '')}/gunicorn.pid"
            written = (argument, *_values(before.others, argument)) in (("--no-control-socket", ""), ("--pid", pidfile))
            yield Change(
                after.name,
                spelling,
                joined(now),
                joined(then) or NOTHING,
                chosen=not written,
                keeps=((path, list(now)),),
                # What is not among further arguments that were set need not have been forgotten on purpose.
                settled_by=(path,) if then else (),
                names=tuple(f"{after.name} {one}" for one in _names(after, spelling, argument)),
            )
        for argument in dict.fromkeys(one.name for one in after.others):
            if not _words(before.others, argument):
                then = _words(after.others, argument)
                reason = _WHY_GUNICORN.get(argument, "") if after.kind == "gunicorn" else ""
                yield Change(after.name, then[0], NOTHING, joined(then), chosen=False, reason=reason)

    def _is_chosen(self, name: str, before: Section, item: str, now: str | None, default: str) -> bool:
        if now is not None:
            return not templates.wrote(name, item, now)
        # Where a command says nothing, its program's own default counts; a template may have left it to that.
        return bool(default) and not templates.left_out(before, name, item)

    def _places(self, name: str, section: Section, item: str, value: str) -> tuple[Any, Any]:
        """Return the variables that keep an item's value, and the paths that say that a change is wanted."""
        known = section.table.find(item)
        if known is None:
            raise KeyError(item)
        if section.kind == "worker" and known.key:
            own: Path = ("auth_workers", name, known.key)
            kept: Any = value.split(",") if known.key == "queues" else yaml_value(value)
            common: Path = (f"auth_worker_{known.key}",)
            if name != "worker" or known.key == "queues":
                return ((own, kept),), (own,)
            path = own if self._others_differ(item, value) else common
            return ((path, kept),), (common, own)
        if known.is_read_only or item == "-A" or ", " in value:
            return (), ((known.variable,),)
        if item == "autostart":
            return (((known.variable,), False),), ((known.variable,), (section.table.settings, name, item))
        return (((known.variable,), yaml_value(value)),), ((known.variable,),)

    def _others_differ(self, item: str, value: str) -> bool:
        """Whether another pool, which takes from the same variable, has another value now."""
        # worker_services has one process with one task at once in any case.
        apart = {"worker", "worker_services"} if item in ("-c", "numprocs") else {"worker"}
        pools = [name for name, one in self.after.programs.items() if one.kind == "worker" and name not in apart]
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
            default = templates.supervisors_default(name, option, before.kind)
            if (default if now is None else now) == (default if then is None else then):
                continue
            known = option in PROGRAM_OPTIONS
            keeps, settled = self._option_places(name, after, option, now or default) if known else ((), ())
            reason = self._why(name, before, after, option, now, then)
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
                hint="" if keeps or not known else _NO_VARIABLE,
            )

    def _option_places(self, name: str, section: Section, option: str, value: str) -> tuple[Any, Any]:
        known = section.table.find(option)
        if known and known.is_read_only:
            return (), ()
        if known and (known.key or option == "autostart" or option == "stopsignal") and section.kind != "extra":
            return self._places(name, section, option, value)
        path: Path = (section.table.settings, name, option)
        return ((path, yaml_value(value)),), (path, *(((known.variable,),) if known else ()))

    def _why(self, name: str, before: Section, after: Section, option: str, now: str | None, then: str | None) -> str:
        """Return why the role changes an option on purpose, empty if it does not."""
        if option not in PROGRAM_OPTIONS:
            return _WHY_NO_OPTION
        if option == "redirect_stderr":
            return _WHY_ONE_LOG if then == "true" and now is None else ""
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
                NOT_SHOWN,
                ANOTHER if there else NOTHING,
                chosen=True,
                keeps=((path, PLACEHOLDER),),
                settled_by=(path, ("auth_environment", variable)) if there else (),
                names=(f"{after.name}.{variable}",),
            )
        for variable in after.environment:
            if variable not in before.environment and variable not in self.before.environment:
                yield Change(after.name, f"environment {variable}", NOTHING, NOT_SHOWN, chosen=False)

    def _environment_path(self, name: str, section: Section, variable: str, value: str) -> Path:
        ours = [one for one in self.before.programs if one in self.after.programs]
        if len(ours) > 1 and all(self.before.programs[one].environment.get(variable) == value for one in ours):
            return ("auth_environment", variable)
        return (section.table.settings, name, "environment", variable)


def _list_path(name: str, section: Section) -> Path:
    """Return the list that further arguments of a program's command stand in."""
    return ("auth_workers", name, "options") if section.kind == "worker" else (section.table.any_argument,)


def _words(arguments: Iterable[Argument], name: str) -> tuple[str, ...]:
    return tuple(word for one in arguments if one.name == name for word in one.words)


def _values(arguments: Iterable[Argument], name: str) -> list[str]:
    found = [one.value for one in arguments if one.name == name]
    # The role gives it, and gunicorn takes the last one.
    return found[-1:] if name == "--pid" else found


def _names(section: Section, spelling: str, argument: str) -> list[str]:
    """Return all ways to write an argument, that of the file first."""
    known = section.table.find(argument)
    return list(dict.fromkeys([spelling, argument, *(known.names if known else ())]))
