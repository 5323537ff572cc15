# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell of programs that only one of both files has, with the variables that keep or leave them out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Iterator, Mapping

from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import templates
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.change import (
    A_PROGRAM,
    NOTHING,
    PLACEHOLDER,
    Change,
    Path,
    joined,
    yaml_value,
)
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.command import split_command
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.description import Description, Section
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.options import CUMULATIVE, PROGRAM_OPTIONS
from ansible_collections.allianceauth.tuning.plugins.module_utils.model import memmon

# What the role writes into each section of its own, whatever the variables say, unless auth_program_settings does.
_WORKER_SETTINGS = {
    "autostart": "true",
    "autorestart": "true",
    "startsecs": "10",
    "killasgroup": "true",
    "priority": "998",
    "redirect_stderr": "true",
}
_EXTRA_SETTINGS = {"autostart": "true", "autorestart": "true", "redirect_stderr": "true"}


_SEVERAL = "and several processes of it need another name, in a file of its own in conf.d"
_WHY_OFF = "it did not start by itself, and needs no section to go on so"


class WholePrograms:
    """The programs that are gone, new, or not what their name says."""

    def __init__(self, before: Description, after: Description, cores: str) -> None:
        self.before = before
        self.after = after
        self.cores = cores

    def gone(self, name: str) -> Change:
        """Return the change of a program that the new file does not have."""
        program = self.before.programs[name]
        title = program.name
        if name in ("beat", "gunicorn"):
            variable: Path = (f"auth_{name}",)
            if program.options.get("autostart") == "false":
                return Change(title, "", A_PROGRAM, NOTHING, False, settled_by=(variable,), reason=_WHY_OFF)
            return Change(title, "", A_PROGRAM, NOTHING, True, ((variable, True),), (variable,), (title,))
        if program.kind == "worker" and self._is_ours(program):
            keeps = self._worker_entry(name, program)
            settled: tuple[Path, ...] = (("auth_workers", name, "enabled"),)
        else:
            keeps, settled = self._extra_entry(name, replace(program, kind="extra")), ()
        hint = "" if keeps else f"cut out [{title}] here and put it into a file of its own in conf.d"
        return Change(title, "", A_PROGRAM, NOTHING, True, keeps, settled, (title,), hint)

    def _is_ours(self, worker: Section) -> bool:
        """Whether a worker is one of this project, from this venv."""
        return any(
            (one.folder, one.argument("-A")) == (worker.folder, worker.argument("-A"))
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
                entry[item.key] = value.split(",") if item.key == "queues" else yaml_value(value)
        limit = self.before.limits.get(name)
        entry["memory_limit"] = memmon.size_text(limit.size) if limit else ""
        words = [word for one in program.others for word in one.words]
        if words:
            entry["options"] = words
        return (
            *((("auth_workers", name, key), value) for key, value in entry.items()),
            *self._settings(name, program, _WORKER_SETTINGS),
        )

    def _extra_entry(self, name: str, program: Section) -> tuple[tuple[Path, Any], ...]:
        if program.options.get("numprocs", "1") != "1" or not program.words:
            return ()
        limit = self.before.limits.get(name)
        entry: list[tuple[Path, Any]] = [(("auth_extra_programs", name, "command"), _command(program.words))]
        if limit:
            entry.append((("auth_extra_programs", name, "memory_limit"), memmon.size_text(limit.size)))
            if limit.cumulative:
                entry.append((("auth_extra_programs", name, CUMULATIVE), True))
        return (*entry, *self._settings(name, program, _EXTRA_SETTINGS))

    def _settings(self, name: str, program: Section, given: Mapping[str, str]) -> Iterator[tuple[Path, Any]]:
        """Yield what is left to say of a section: options that the role would write otherwise, and its environment."""
        known = {item.name for item in program.table.options if item.key or item.is_read_only}
        for option, value in {**self._left_out(name, program, given), **program.options}.items():
            usual = given.get(option, templates.supervisors_default(name, option))
            if (
                option not in PROGRAM_OPTIONS
                or option in known
                or value == usual
                or self._is_usual(program, option, value)
            ):
                continue
            yield (program.table.settings, name, option), yaml_value(value)
        for variable in program.environment:
            yield (program.table.settings, name, "environment", variable), PLACEHOLDER

    def _left_out(self, name: str, program: Section, given: Mapping[str, str]) -> dict[str, str]:
        """Return what supervisor takes for options that a section leaves out, and for which the role writes others."""
        options = [option for option in (*given, "user", "directory") if option != "redirect_stderr"]
        found = {option: templates.supervisors_default(name, option, program.kind) for option in options}
        return {option: value for option, value in found.items() if value and option not in program.options}

    def _is_usual(self, program: Section, option: str, value: str) -> bool:
        """Whether a place is that of the role's own programs."""
        if option in ("stdout_logfile", "stderr_logfile"):
            return templates.is_own_log(program, value)
        others = {one.options.get(option) for one in self.after.programs.values()}
        return option in ("directory", "user") and others == {value}

    def wrapped(self, name: str) -> Change:
        """Return the change of a program whose command is not what its name says, such as a script."""
        before, after = self.before.programs[name], self.after.programs[name]
        off = _off(name, after)
        entry = self._extra_entry(name, replace(before, kind="extra"))
        return Change(
            after.name,
            "command",
            joined(before.words),
            f"{after.program} …",
            chosen=True,
            keeps=(off, *entry) if entry else (),
            names=(f"{after.name}.command",),
            hint="what it runs cannot be read from here" + ("" if entry else f", {_SEVERAL}"),
        )

    def new(self) -> Iterator[Change]:
        """Yield the changes by programs that the present file does not have."""
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
                A_PROGRAM,
                taken_out,
                keeps=(off,) if taken_out else (),
                settled_by=(off[0], *((("auth_workers", name),) if name == "worker" else ())) if taken_out else (),
                names=(program.name,),
            )


def _off(name: str, section: Section) -> tuple[Path, Any]:
    """Return the variable that leaves a program out, with its value."""
    path: Path = ("auth_workers", name, "enabled") if section.kind == "worker" else (f"auth_{name}",)
    return path, False


def _command(words: tuple[str, ...]) -> Any:
    """Return a command as one writes it: in one line where that is read back the same."""
    return joined(words) if split_command(joined(words)) == list(words) else list(words)
