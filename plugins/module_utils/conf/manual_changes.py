# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare the supervisor.conf that is there with the one that would take its place, by what they mean.

Every difference is a `Change`: what, how it is now, how it would be, whether somebody has chosen the former, and the
variables that keep it. Whether it needs consent is decided on the controller, which knows what was set there.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any, Container, Iterable, Iterator, Mapping

from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import description, managed_file, templates
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.change import (
    ANOTHER,
    NOT_SHOWN,
    NOTHING,
    OWN_FILE,
    PLACEHOLDER,
    Change,
    Path,
)
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.description import Description
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.listener_changes import ListenerChanges
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.program_changes import ProgramChanges
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.whole_programs import WholePrograms

# Sections of the file that supervisord and we need, and in which an option may change.
_SOCKET = "unix_http_server"

_OF_THE_GROUP = (
    "no variable has it: the role's group has 999, so give the server's other groups what is right beside that"
)

_MOVE = "it stands in another file: move its section into this one"

_WHY_GROUP = "all programs of a project are in one group, which is called like it and stops and starts together"


def changes(
    old: str,
    new: str,
    discard: Iterable[str],
    cores: int = 0,
    known: Mapping[str, str] | None = None,
    elsewhere: Mapping[str, description.Options] | None = None,
    gunicorns_file: Mapping[str, Any] | None = None,
) -> list[Change]:
    """Return how ``new`` differs from ``old``, the file that is there; secrets are not in it.

    ``discard`` names what may go: ``program:authbot``, ``program:worker.umask`` (an option), ``program:worker.TOKEN``
    (an environment variable), ``program:worker --autoscale`` (an argument), ``eventlistener:memmon -p authbot`` (one
    limit). ``cores`` are the host's, Celery's own default of ``--concurrency``, ``known`` supervisor's expansions that
    come from elsewhere than the file, ``elsewhere`` the sections of the other files that supervisord loads, with their
    options, ``gunicorns_file`` what the configuration file gives that gunicorn reads now (None: calculated there). In a
    file that is as the role wrote it, all comes from variables, so nothing of it is a choice that could be lost.
    """
    by_hand = not managed_file.is_unchanged(old)
    # supervisord hands on to the new gunicorn what it has in its own environment.
    inherited = f"ENV_{description.GUNICORN_ARGUMENTS}"
    after = description.describe(new, _kinds(new), {inherited: (known or {}).get(inherited, "")})
    extra = {name: "extra" for name, one in after.programs.items() if one.kind == "extra"}
    before = description.describe(old, extra, known)
    allowed = set(discard)
    stays = elsewhere or {}
    # supervisor takes the sections of all files together, so what another file has just so is not lost.
    twice = {title for title, one in description.sections(old).items() if one.items() <= stays.get(title, {}).items()}
    before = _without(before, twice - set(description.sections(new)))
    cpus = str(cores or os.cpu_count() or 1)
    programs = ProgramChanges(before, after, cpus, gunicorns_file or {})
    found = [_keepable(change) for change in _changes(programs, WholePrograms(before, after, cpus), stays)]
    return [
        change if by_hand and not allowed & {change.section, *change.names} else _unasked(change) for change in found
    ]


def _without(before: Description, titles: Container[str]) -> Description:
    """Return a description without some of its sections."""
    listeners = {name: one for name, one in before.listeners.items() if one.name not in titles}
    memmons = [one for one in listeners.values() if one.kind == "memmon"]
    return replace(
        before,
        programs={name: one for name, one in before.programs.items() if one.name not in titles},
        listeners=listeners,
        limits=description.limits_of(memmons, before.programs, before.other),
        other={title: options for title, options in before.other.items() if title not in titles},
    )


def _keepable(change: Change) -> Change:
    """Return a change without variables if what they would hold is not known before supervisor starts a process."""
    values = [value for _path, value in change.keeps]
    texts = [text for value in values for text in (value if isinstance(value, list) else [value])]
    if not any(map(description.is_open, texts)):
        return change
    return replace(change, keeps=(), hint="what supervisor expands for each process cannot stand in a variable")


def _unasked(change: Change) -> Change:
    return replace(change, chosen=False)


def _kinds(new: str) -> dict[str, str]:
    """Return the kinds of the programs in a file of the role's: what runs Celery may be an extra program as well."""
    programs = description.describe(new).programs
    return {
        name: "extra"
        for name, program in programs.items()
        if program.kind != "extra" and program.kind != name and "numprocs" not in program.options
    }


def _changes(
    programs: ProgramChanges, whole: WholePrograms, elsewhere: Mapping[str, description.Options]
) -> Iterator[Change]:
    """Yield all changes, in the order of the present file."""
    before, after = programs.before, programs.after
    for name, program in before.programs.items():
        if name not in after.programs:
            yield whole.gone(name)
        elif program.kind != after.programs[name].kind:
            yield whole.wrapped(name)
        else:
            yield from programs.changes(name)
    yield from whole.new()
    listeners = ListenerChanges(before, after)
    yield from listeners.limits()
    yield from listeners.listeners()
    yield from _joining(before, after)
    yield from _leaving(before, after, elsewhere)
    for title in before.other:
        yield from _other(title, before, after, elsewhere.get(title, {}))


def _joining(before: Description, after: Description) -> Iterator[Change]:
    """Yield the programs that get into another group than they are in now, if they are in one."""
    was, will = _groups(before), _groups(after)
    for name, program in before.programs.items():
        if name in after.programs and was.get(name, NOTHING) != will.get(name, NOTHING):
            yield Change(
                program.name, "group", was.get(name, NOTHING), will.get(name, NOTHING), False, reason=_WHY_GROUP
            )


def _leaving(before: Description, after: Description, elsewhere: Mapping[str, description.Options]) -> Iterator[Change]:
    """Yield the programs of other files that are in a group of this one, and would be groups of their own."""
    stay = _groups(after)
    for name, group in _groups(before).items():
        title = f"group:{group}"
        # A group that goes as a whole is told as one.
        if title in after.other and f"program:{name}" in elsewhere and stay.get(name) != group:
            yield Change(title, f"program {name}", "in it", NOTHING, True, names=(f"{title}.{name}",), hint=_MOVE)


def _groups(described: Description) -> dict[str, str]:
    """Return the group of each program that is in one."""
    return {
        name.strip(): title.partition(":")[2]
        for title, options in described.other.items()
        if title.startswith("group:")
        for name in options.get("programs", "").split(",")
    }


def _other(title: str, present: Description, new: Description, elsewhere: description.Options) -> Iterator[Change]:
    before: Mapping[str, str] = present.other[title]
    family = title.partition(":")[0]
    after = new.other.get(title)
    if family == "group":
        # Its programs are sections of their own.
        if after is None and not set(before.get("programs", "").replace(",", " ").split()) <= set(new.programs):
            hint = "give its programs to auth_extra_programs, or " + OWN_FILE
            yield Change(title, "", "a group", NOTHING, True, names=(title,), hint=hint)
        else:
            yield from _group(title, before, after or {})
        return
    if title == "supervisord":
        yield from _daemon_environment(present, new)
    elif after is None:
        # A socket of the role's own is there only while somebody besides root has to connect.
        if title != _SOCKET:
            yield Change(title, "", "a section", NOTHING, True, names=(title,), hint=OWN_FILE)
        return
    for option, value in before.items():
        then = (after or {}).get(option)
        if option == "environment" or value == (then if then is not None else elsewhere.get(option)):
            continue
        yield Change(
            title,
            option,
            value if "pass" not in option else NOT_SHOWN,
            then or NOTHING,
            chosen=True,
            names=(f"{title}.{option}",),
            hint=OWN_FILE,
        )


def _group(title: str, before: description.Options, after: description.Options) -> Iterator[Change]:
    """Yield the changes of a group's own options; its programs are compared one by one."""
    for option, value in before.items():
        default = description.SUPERVISOR_DEFAULTS.get(option, "")
        then = after.get(option, default)
        if option == "programs" or description.canonical_option(option, value) == then:
            continue
        yield Change(
            title, option, value, then or NOTHING, chosen=True, names=(f"{title}.{option}",), hint=_OF_THE_GROUP
        )


def _daemon_environment(before: Description, after: Description) -> Iterator[Change]:
    everywhere = [program.environment for program in after.programs.values()]
    for variable, value in before.environment.items():
        there = [one.get(variable) for one in everywhere]
        same = everywhere and all(one == value for one in there)
        if variable in templates.ENVIRONMENT or variable in after.environment or same:
            continue
        path: Path = ("auth_environment", variable)
        yield Change(
            "supervisord",
            f"environment {variable}",
            NOT_SHOWN,
            ANOTHER if all(one is not None for one in there) and there else NOTHING,
            chosen=True,
            keeps=((path, PLACEHOLDER),),
            settled_by=(path,) if all(one is not None for one in there) else (),
            names=(f"supervisord.{variable}",),
        )
