# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what supervisord is told of one Alliance Auth project, wherever that stands, as one text to compare."""

from __future__ import annotations

import configparser
import contextlib
import os
import platform
from dataclasses import dataclass
from typing import Any, Iterable, Mapping, Sequence

from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import description
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.change import PLACEHOLDER
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import files, supervisor_parser

# Variables of the daemon's own environment that are no secrets; files use them as %(ENV_HOME)s.
_SHOWN = frozenset({"GUNICORN_CMD_ARGS", "HOME", "LANG", "LANGUAGE", "LOGNAME", "PATH", "SHELL", "TZ", "USER"})

_DAEMON = "supervisord"


@dataclass(frozen=True)
class Configuration:
    """A project's part of the configuration.

    ``path`` is the file that has most of it, ``elsewhere`` are the sections that belong to it in other files, by path,
    ``apart`` programs of the project in other files and groups, which go on without it. ``text`` is all of the former
    as one file, with secrets. ``beside`` are all other sections of the other files, with their options.
    """

    path: str
    elsewhere: Mapping[str, list[str]]
    apart: Mapping[str, list[str]]
    text: str
    beside: Mapping[str, Mapping[str, str]]


def read(
    main_conf: str, project: Mapping[str, Any], effective: Mapping[str, Any], owners: Mapping[str, str]
) -> Configuration:
    """Return the configuration of a project, as `audit_projects.discover` has it.

    ``main_conf`` is supervisor's own file, which includes the others. ``owners`` are the groups of all program
    sections. Raises ValueError with a sentence if no file of its own has it.
    """
    sections: Mapping[str, list[str]] = effective["sections"]
    ours = {title for title, group in owners.items() if group in project["groups"]}
    counts = {path: len(ours & set(titles)) for path, titles in sections.items()}
    path = max(counts, key=lambda one: counts[one], default="")
    if not path or not counts[path]:
        raise ValueError(
            "its programs stand in supervisor's main configuration file, which belongs to the system; move them into a "
            "file of their own in conf.d"
        )
    groups = {owners[title] for title in sections[path] if title in owners}
    wanted = {title for title, group in owners.items() if group in groups} | {f"group:{group}" for group in groups}
    others = sections_of(other for other in [main_conf, *sections] if other != path)
    # What another file has just so goes on there whatever becomes of this one.
    mine = description.sections(_text(path))
    wanted -= {title for title, options in mine.items() if options.items() <= others.get(title, {}).items()}
    elsewhere = _matching(sections, path, wanted)
    texts = [_text(path), *(_excerpt(other, titles) for other, titles in elsewhere.items())]
    moving = {title for titles in elsewhere.values() for title in titles}
    beside = {title: options for title, options in others.items() if title not in moving}
    apart = _matching(sections, path, ours - wanted)
    return Configuration(path, elsewhere, apart, "\n".join(texts), beside)


def sections_of(paths: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return the sections of some files, which supervisor takes together, with their options."""
    found: dict[str, dict[str, str]] = {}
    for path in paths:
        # What supervisor's parser says of a file that it cannot read is told when the whole is checked.
        with contextlib.suppress(configparser.Error):
            for title, options in description.sections(files.readable(path) or "").items():
                found.setdefault(title, {}).update(options)
    return found


def _matching(sections: Mapping[str, list[str]], path: str, wanted: Iterable[str]) -> dict[str, list[str]]:
    """Return the wanted sections of each file but one."""
    titles = set(wanted)
    found = {other: [title for title in inside if title in titles] for other, inside in sections.items()}
    return {other: inside for other, inside in found.items() if inside and other != path}


def _text(path: str) -> str:
    # supervisor puts the folder of each file there before anything else.
    return (files.read(path) or "").replace("%(here)s", os.path.dirname(os.path.abspath(path)))


def _excerpt(path: str, titles: Sequence[str]) -> str:
    """Return some sections of a file."""
    lines, inside = [], False
    for line in _text(path).splitlines():
        if line.startswith("["):
            inside = line.partition("]")[0][1:] in titles
        if inside:
            lines.append(line)
    return "\n".join(lines)


def expansions(daemon_pid: int) -> dict[str, str]:
    """Return what supervisor expands, beside what a file says itself; no secrets."""
    known = {variable: value for variable, value in daemon_environment(daemon_pid).items() if variable in _SHOWN}
    return {"host_node_name": platform.node(), **{f"ENV_{variable}": value for variable, value in known.items()}}


def daemon_environment(pid: int) -> dict[str, str]:
    """Return the environment of a running supervisord, our own if there is none. Source: proc(5)."""
    try:
        with open(f"/proc/{pid}/environ", encoding="utf-8", errors="surrogateescape") as file:
            return dict(pair.split("=", 1) for pair in file.read().split("\0") if "=" in pair)
    except OSError:
        return dict(os.environ)


def programs(main_conf: str, environment: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return each program section's ``group``, and the ``environments`` of its processes, which may hold secrets.

    The section [supervisord] is among them, whose environment all programs have.
    ``environment`` is the daemon's own. Raises `supervisor_parser.InvalidError`.
    """

    def found() -> dict[str, Any]:
        import supervisor.options

        os.environ.clear()
        os.environ.update(environment)
        seen: dict[str, Any] = {}
        server_options: Any = supervisor.options.ServerOptions
        original = server_options.processes_from_section

        def observed(self: Any, parser: Any, section: str, group: str, klass: Any = None) -> Any:
            processes = original(self, parser, section, group, klass)
            seen[section] = {"group": group, "environments": [dict(process.environment) for process in processes]}
            return processes

        server_options.processes_from_section = observed
        options, _included = supervisor_parser._parse(main_conf, None)
        return {**seen, _DAEMON: {"group": None, "environments": [dict(options.configroot.supervisord.environment)]}}

    return supervisor_parser._outcome(found)


def secrets(
    changes: Iterable[Mapping[str, Any]], read_programs: Mapping[str, Mapping[str, Any]]
) -> list[tuple[list[str], str]]:
    """Return the values that stand for `change.PLACEHOLDER` in the changes' variables, by path.

    One that is not the same for all processes of a program has none.
    """
    found = []
    for path in [path for change in changes for path, value in change["keeps"] if value == PLACEHOLDER]:
        variable = path[-1]
        everywhere = any(variable in one for one in read_programs[_DAEMON]["environments"])
        titles = [f"program:{path[1]}"] if len(path) > 2 else [_DAEMON] if everywhere else list(read_programs)
        values = {
            environment[variable]
            for title in titles
            for environment in read_programs.get(title, {}).get("environments", [])
            if variable in environment
        }
        if len(values) == 1:
            found.append((list(path), values.pop()))
    return found
