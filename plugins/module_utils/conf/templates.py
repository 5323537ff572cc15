# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Alliance Auth's own templates have written into a supervisor.conf, and this role by default: nobody chose it.

Source: ``allianceauth/project_template/supervisor.conf`` in the wheels of 2.15.1, 3.8.1, 4.6.4, 4.13.1, 5.0.1 and
5.5.0; a unit test reads them again.
"""

from __future__ import annotations

from typing import Mapping

from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.description import SUPERVISOR_DEFAULTS, Section

_NUMBERED = "%(program_name)s_%(process_num)02d"

_ALL = {"autostart": "true", "autorestart": "true"}
_CELERY = {**_ALL, "startsecs": "10", "priority": "998"}
_WORKER = {**_CELERY, "numprocs": "1", "stopwaitsecs": "600", "killasgroup": "true"}
_THREADS = {**_WORKER, "process_name": _NUMBERED, "-P": "threads", "-n": _NUMBERED}
_GUNICORN = {**_ALL, "stopsignal": "INT", "-w": "3", "-t": "120"}

Items = Mapping[str, str]

# By program, the oldest first. Places (user, directory, logs, --pid) are the server's own.
_PROGRAMS: Mapping[str, tuple[Items, ...]] = {
    "beat": (_CELERY,),
    "worker": (
        # 2.x and 3.x, then 4.x and 5.x.
        _WORKER,
        {**_THREADS, "-c": "5"},
    ),
    "worker_services": ({**_THREADS, "-c": "1", "-Q": "services"},),
    "gunicorn": (_GUNICORN, {**_GUNICORN, "--no-control-socket": ""}),
}

# The same with each program's name in it.
PROGRAMS: Mapping[str, tuple[Items, ...]] = {
    program: tuple(
        {item: value.replace("%(program_name)s", program) for item, value in template.items()} for template in found
    )
    for program, found in _PROGRAMS.items()
}

# Further values that this role wrote without being asked.
_OF_THE_ROLE: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "worker": {"-c": ("10",)},
    "gunicorn": {"stopsignal": ("TERM",), "stopwaitsecs": ("40",), "-b": ("127.0.0.1:8000",)},
}

# In bytes: the templates' and the guide's, which earlier versions of this role wrote by default too.
LIMIT = 256 * 1024**2
LIMITED = frozenset({"worker", "worker_services", "gunicorn"})

# memmon's events.
EVENTS = "TICK_60"

# The templates' [supervisord] environment (4.13 to 5.5).
ENVIRONMENT = frozenset({"AA_USER", "AA_PROJECT_NAME", "AA_PROJECT_DIRECTORY", "AA_VENV_DIRECTORY"}) | {
    f"AA_COMMAND_{command}" for command in ("CELERY", "GUNICORN", "MEMMON")
}


def wrote(name: str, item: str, value: str) -> bool:
    """Whether one of the templates, or this role by default, wrote a value of a program."""
    return any(template.get(item) == value for template in PROGRAMS.get(name, ())) or value in _OF_THE_ROLE.get(
        name, {}
    ).get(item, ())


def left_out(section: Section, name: str, item: str) -> bool:
    """Whether the template that a program looks most like has no such item: then nobody took it out."""
    candidates = PROGRAMS.get(name)
    if not candidates:
        return False
    found = found_items(section)

    def likeness(template: Items) -> int:
        return sum(1 if found.get(key) == template.get(key) else -1 for key in {*found, *template})

    # The newest of those that are alike.
    nearest = max(reversed(candidates), key=likeness)
    return item not in nearest


def has_limit(section: Section, name: str, daemon: Mapping[str, str]) -> bool:
    """Whether a worker is from a template with a memmon that limits it; ``daemon`` is supervisord's environment.

    Those since 4.6 have one, and number their workers' processes and nodes as the earlier ones do not.
    """
    numbered = {"-n", "process_name"} <= set(found_items(section))
    return name in LIMITED and section.kind == "worker" and (numbered or "AA_COMMAND_MEMMON" in daemon)


def found_items(section: Section) -> dict[str, str]:
    """Return a program's options and arguments by name, as far as templates have values for them."""
    places = {"user", "directory", "stdout_logfile", "stderr_logfile", "redirect_stderr", "-A", "--pid"}
    found = {**section.options, **{one.name: one.value for one in section.arguments}}
    return {name: value for name, value in found.items() if name not in places}


def is_own_log(section: Section, value: str) -> bool:
    """Whether a log is where the templates put it."""
    return value == f"{section.options.get('directory', '')}/log/{section.name.partition(':')[2]}.log"


# What a program has of supervisord itself where it says nothing. Source: supervisor.service of Debian's supervisor 4.2
_OF_SUPERVISORD = {"user": "root", "directory": "/"}


def supervisors_default(name: str, item: str, kind: str = "") -> str:
    """Return what supervisor takes where an option of a program is not given, empty if that is nothing.

    Of a community app's program (``kind`` is ``extra``) also what it has of supervisord.
    """
    if kind == "extra" and item in _OF_SUPERVISORD:
        return _OF_SUPERVISORD[item]
    return SUPERVISOR_DEFAULTS.get(item, "").replace("%(program_name)s", name)
