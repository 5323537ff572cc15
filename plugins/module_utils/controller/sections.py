# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turn what is declared into the words of the template ``supervisor.conf.j2``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Mapping

from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import quoting
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import logs
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.declared import Declared
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.names import make_namespec

# httpok's own 10 s are less than Django takes to start on a busy host: it would restart a
# gunicorn that is still starting, again and again.
_HTTPOK_SECONDS = 45

# What the template calls to write a value.
FILTERS = {"command_line": quoting.command_line, "option": quoting.option}


def context(declared: Declared, info: Mapping[str, Any], gunicorn_conf: str) -> dict[str, Any]:
    """Return what the template reads; ``info`` is `auth_info`'s result, ``gunicorn_conf`` the path of the role's file.

    Of an environment it gets the names alone: `managed_file.complete` puts the values in.
    """
    return {
        "declared": declared,
        "venv": info["venv"],
        "socket_group": info["user"]["group"] if declared.needs_socket else "",
        "gunicorn": gunicorn(declared, info),
        "gunicorn_conf": gunicorn_conf,
        "logs": {program.name: logs.options(declared, program) for program in declared.programs},
        "rotation": logs.rotation(declared),
        "extra_programs": [
            {
                "name": program.name,
                "command": program.command,
                "environment": program.environment,
                "settings": {**_always(declared), **program.settings},
            }
            for program in declared.extra
        ],
        "memmons": [
            {"name": listener.name, "arguments": listener.arguments(declared.mail)} for listener in declared.listeners
        ],
        "crashmail": _crashmail(declared),
        "httpok": httpok(declared),
    }


def gunicorn(declared: Declared, info: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return gunicorn's part; ``shares``: whether its address is shared, for a second gunicorn during a restart."""
    if declared.gunicorn is None:
        return None
    program, options = declared.gunicorn, declared.gunicorn_options
    # The role's configuration file would hide the admin's.
    configured = (
        info["own_gunicorn_conf"] is not None
        or "GUNICORN_CMD_ARGS" in program.environment
        or any(option.startswith(("-c", "--config", "--reuse-port")) for option in program.options)
    )
    shares = options.standby and not options.bind.startswith("unix:") and not configured
    return {**asdict(program), **asdict(options), "shares": shares}


def _always(declared: Declared) -> dict[str, str]:
    """Return the options of a community app's program that need not be given."""
    return {
        "directory": declared.project_dir,
        "user": declared.user,
        "autostart": "true",
        "autorestart": "true",
    }


def _crashmail(declared: Declared) -> list[str]:
    if not declared.crashmail:
        return []
    # Its -p has no effect (superlance 2.0.0, crashmail.py: runforever never looks at it).
    return ["-m", declared.crashmail, *(["-s", declared.mail.sendmail] if declared.mail.sendmail else [])]


def httpok(declared: Declared) -> list[str]:
    """Return httpok's arguments, none if there is no site to ask."""
    if not declared.httpok or declared.gunicorn is None:
        return []
    return ["-t", str(_HTTPOK_SECONDS), "-p", make_namespec(declared.project, "gunicorn"), declared.httpok]
