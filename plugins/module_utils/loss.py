# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find what an admin has in a supervisor.conf by hand that a new one would not have."""

from __future__ import annotations

import configparser
import shlex
from typing import Iterable, Mapping

from ansible_collections.allianceauth.tuning.plugins.module_utils import sealing

Sections = Mapping[str, Mapping[str, str]]

# Sections that a variable of their own switches off. The memmon of Alliance Auth's template
# and of the tuning guide becomes one for each process that has a limit.
_SWITCHES = {"program:beat", "program:gunicorn", "eventlistener:memmon", "unix_http_server"}

# The variable for further arguments of a program's command.
_ARGUMENTS = {"beat": "auth_beat_options", "gunicorn": "auth_gunicorn_options"}


def sections(content: str) -> dict[str, dict[str, str]]:
    """Return the sections of a file as supervisor's parser reads them, before any expansion."""
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"), strict=False)
    parser.read_string(content)
    return {name: dict(parser.items(name)) for name in parser.sections()}


def losses(old: str, new: str, discard: Iterable[str]) -> list[str]:
    """Return a sentence for each section, option and argument of ``old`` that ``new`` does not have.

    ``discard`` names those that may go: ``program:authbot``, ``program:worker.umask``
    (an option) or ``program:worker --autoscale`` (an argument). What the role itself
    wrote is no loss: whoever took it out of the variables meant to.
    """
    if sealing.is_sealed(old):
        return []
    before, after = sections(old), sections(new)
    allowed = set(discard)
    found = []
    for section, options in before.items():
        if section in allowed or section in _SWITCHES and section not in after:
            continue
        if section not in after:
            found.append(f"[{section}]: keep it with {_keeper(section)}")
            continue
        found += [
            f"{option} in [{section}]: keep it with auth_program_settings.{_name(section)}.{option}"
            for option in options
            if option not in after[section] and f"{section}.{option}" not in allowed
        ]
        found += [
            f"the argument {argument} in [{section}]: keep it with {_argument_keeper(section, argument)}"
            for argument in _lost_arguments(options, after[section])
            if f"{section} {argument}" not in allowed
        ]
    return found


def _name(section: str) -> str:
    return section.partition(":")[2] or section


def _keeper(section: str) -> str:
    kind, name = section.partition(":")[0], _name(section)
    if kind == "program":
        return f"auth_workers (if it is a Celery worker) or auth_extra_programs.{name}"
    if kind == "group":
        return f"its programs in auth_extra_programs, or a file of its own in conf.d for [{section}]"
    return f"a file of its own in conf.d for [{section}]"


def _argument_keeper(section: str, argument: str) -> str:
    if argument in ("-l", "--loglevel"):
        return "auth_worker_loglevel"
    name = _name(section)
    return _ARGUMENTS.get(name) or f"auth_worker_options, or options of {name} in auth_workers"


def _lost_arguments(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    old, new = (_option_names(options.get("command", "")) for options in (before, after))
    return sorted(old - new)


def _option_names(command: str) -> set[str]:
    try:
        words = shlex.split(command)
    except ValueError:
        words = command.split()
    return {word.partition("=")[0] for word in words if word.startswith("-")}
