# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leave to gunicorn's own configuration file what it gives: the command would override it."""

from __future__ import annotations

from typing import Any, Iterable, Mapping

from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.command import split_command
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.description import argument_of
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.options import KINDS
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import values

# What a variable gives to gunicorn's command, and its own configuration file can give as well.
_IN_GUNICORNS_FILE = ("bind", "timeout", "workers")

# As what auth_discard may call the file that gunicorn's command names.
_NAMES_OF_GUNICORNS_FILE = frozenset({"program:gunicorn", "program:gunicorn -c", "program:gunicorn --config"})


def left_to_it(
    info: Mapping[str, Any], project: str, explicit: Iterable[str], given: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return what gunicorn's own configuration file is to give, by name, with its values (None: calculated there).

    That is what it does give, unless the command that is there now overrides it already, or a variable was set.
    ``info`` is `auth_info`'s result, ``explicit`` are the variables that were set, ``given`` are all of them.
    """
    settings = _file_of_gunicorn(info, set(explicit), given or {})
    if not settings:
        return {}
    commands = [
        split_command(process["command"])
        for group in info.get("effective", {}).get("groups", [])
        if group["name"] in (project, *info.get("own_groups", []))
        for process in group["processes"]
        if process["name"] == "gunicorn"
    ]
    on_command_line = {
        word.partition("=")[0] if word.startswith("--") else word[:2] for words in commands for word in words
    }
    table = {item.names[-1].lstrip("-"): item for item in KINDS["gunicorn"].arguments}
    return {
        name: value
        for name, value in settings.items()
        if name in _IN_GUNICORNS_FILE and f"auth_gunicorn_{name}" not in set(explicit)
        if not on_command_line & set(table[name].names)
    }


def _file_of_gunicorn(
    info: Mapping[str, Any], explicit: set[str], given: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """Return the settings of the configuration file that gunicorn goes on with: that of ``-c``, or the project's.

    A file that the command names now stays if the variables name it as well. It also stays while nobody has decided:
    then `apply` asks about ``-c`` and stops, and what the file gives must not be among what it offers to paste.
    """
    try:
        options = values.arguments(given.get("auth_gunicorn_options", []))
        discard = set(values.arguments(given.get("auth_discard", [])))
    except ValueError:
        # `declare` says what is wrong with them.
        return None
    wanted, named = argument_of("gunicorn", options, "-c"), info["named_gunicorn_conf"]
    if wanted is not None:
        same = named is not None and named["file"] == wanted
        return named["settings"] if same else None
    open_to_all = not info.get("tuned") and "auth_gunicorn_options" not in explicit
    if named is not None and open_to_all and not discard & _NAMES_OF_GUNICORNS_FILE:
        settings: Mapping[str, Any] = named["settings"]
        return settings
    own: Mapping[str, Any] | None = info["own_gunicorn_conf"]
    return own
