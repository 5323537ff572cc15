# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which role variable gives each option of a section, and each argument of its command, by kind of program.

Sources: ``celery worker --help`` and ``celery beat --help`` (5.x), gunicorn's settings page, superlance 2.0.0
(memmon.py, crashmail.py, httpok.py), and supervisor's page on its configuration file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping

# The role gives these itself, and no variable changes them.
OF_THE_ROLE = "the role"


@dataclass(frozen=True)
class Item:
    """An option of a section, or an argument of its command.

    ``names`` are all the ways to write it, the one that we use first; an argument's begin with ``-``. ``variable`` is
    the role variable that gives it, with ``{name}`` for the program's name, and `OF_THE_ROLE` if none does. ``key`` is
    its key where a program has an entry of its own (auth_workers, auth_extra_programs). ``default`` is what counts
    where it is not given ("" if that is nothing or not known), ``is_flag`` an argument that takes no value.
    """

    names: tuple[str, ...]
    variable: str
    key: str = ""
    default: str = ""
    is_flag: bool = False

    @property
    def name(self) -> str:
        """How we write it."""
        return self.names[0]

    @property
    def is_argument(self) -> bool:
        """Whether it belongs to the command and not to the section."""
        return self.name.startswith("-")

    @property
    def is_read_only(self) -> bool:
        """Whether no variable gives it."""
        return self.variable == OF_THE_ROLE


@dataclass(frozen=True)
class Kind:
    """A kind of program: what is known of its items, and the variables that give any other.

    ``settings`` has a mapping of options by program, with its ``environment``; an empty variable: nothing gives it.
    """

    items: tuple[Item, ...]
    settings: str = ""
    any_argument: str = ""

    def find(self, name: str) -> Item | None:
        """Return the item that is written so."""
        return next((item for item in self.items if name in item.names), None)

    @property
    def arguments(self) -> tuple[Item, ...]:
        """The items that belong to the command."""
        return tuple(item for item in self.items if item.is_argument)

    @property
    def options(self) -> tuple[Item, ...]:
        """The items that belong to the section."""
        return tuple(item for item in self.items if not item.is_argument)


def _fixed(*names: str, default: str = "") -> Item:
    return Item(names, OF_THE_ROLE, default=default)


# supervisor's own defaults.
_NUMBERING = (
    _fixed("process_name", default="%(program_name)s"),
    _fixed("numprocs_start", default="0"),
)
_PLACES = (
    Item(("directory",), "auth_project_dir"),
    Item(("user",), "auth_user"),
)
_ROTATION = (
    Item(("stdout_logfile_maxbytes",), "auth_stdout_logfile_maxbytes", default="50MB"),
    Item(("stdout_logfile_backups",), "auth_stdout_logfile_backups", default="10"),
)
_SETTINGS = "auth_program_settings"

_WORKER = Kind(
    (
        Item(("-A", "--app"), "auth_project"),
        Item(("-c", "--concurrency"), "auth_worker_concurrency", "concurrency"),
        Item(("-P", "--pool"), "auth_worker_pool", "pool", default="prefork"),
        Item(("-Q", "--queues"), "auth_workers", "queues"),
        Item(("-l", "--loglevel"), "auth_worker_loglevel", "loglevel"),
        _fixed("-n", "--hostname"),
        Item(("numprocs",), "auth_worker_numprocs", "numprocs", default="1"),
        Item(("stopwaitsecs",), "auth_worker_stopwaitsecs", "stopwaitsecs", default="10"),
        *_NUMBERING,
        *_PLACES,
        *_ROTATION,
    ),
    settings=_SETTINGS,
    any_argument="auth_worker_options",
)

_BEAT = Kind(
    (
        Item(("-A", "--app"), "auth_project"),
        Item(("-l", "--loglevel"), "auth_beat_options"),
        Item(("autostart",), "auth_beat", default="true"),
        _fixed("numprocs", default="1"),
        *_NUMBERING,
        *_PLACES,
        *_ROTATION,
    ),
    settings=_SETTINGS,
    any_argument="auth_beat_options",
)

_GUNICORN = Kind(
    (
        Item(("-w", "--workers"), "auth_gunicorn_workers", default="1"),
        Item(("-t", "--timeout"), "auth_gunicorn_timeout", default="30"),
        Item(("-b", "--bind"), "auth_gunicorn_bind", default="127.0.0.1:8000"),
        Item(("-c", "--config"), "auth_gunicorn_options"),
        Item(("stopsignal",), "auth_gunicorn_stopsignal", default="TERM"),
        Item(("autostart",), "auth_gunicorn", default="true"),
        _fixed("numprocs", default="1"),
        *_NUMBERING,
        *_PLACES,
        *_ROTATION,
    ),
    settings=_SETTINGS,
    any_argument="auth_gunicorn_options",
)

# Arguments of gunicorn's that take no value: the word behind one is another. Source: gunicorn/config.py (27.0; before
# it for --proxy-protocol).
GUNICORN_FLAGS = frozenset(
    [
        "-D",
        "-R",
        "--capture-output",
        "--casefold-http-method",
        "--check-config",
        "--daemon",
        "--disable-redirect-access-to-syslog",
        "--do-handshake-on-connect",
        "--enable-backlog-metric",
        "--enable-stdio-inheritance",
        "--initgroups",
        "--log-syslog",
        "--no-control-socket",
        "--no-sendfile",
        "--permit-obsolete-folding",
        "--permit-unconventional-http-method",
        "--permit-unconventional-http-version",
        "--preload",
        "--print-config",
        "--proxy-protocol",
        "--reload",
        "--reuse-port",
        "--spew",
        "--strip-header-spaces",
        "--suppress-ragged-eofs",
    ]
)

_EXTRA = Kind(
    (_fixed("numprocs", default="1"), *_NUMBERING, *_ROTATION),
    settings="auth_extra_programs",
    any_argument="auth_extra_programs.{name}.command",
)

_LISTENER_OPTIONS = (
    Item(("user",), "auth_memmon_user"),
    Item(("directory",), "auth_project_dir"),
    _fixed("stdout_logfile"),
    _fixed("stderr_logfile"),
    Item(("stderr_logfile_maxbytes",), "auth_stdout_logfile_maxbytes", default="50MB"),
    Item(("stderr_logfile_backups",), "auth_stdout_logfile_backups", default="10"),
    _fixed("autostart", default="true"),
    _fixed("buffer_size", default="10"),
    _fixed("priority", default="-1"),
    _fixed("startsecs", default="1"),
    _fixed("numprocs", default="1"),
    *_NUMBERING,
)

# The key of a community app's program whose limit is for it with its children.
CUMULATIVE = "memory_limit_cumulative"

_MEMMON = Kind(
    (
        Item(("-p", "--program"), "memory_limit of the program", "memory_limit"),
        Item(("-a", "--any"), "memory_limit of the program", "memory_limit"),
        Item(("-g", "--group"), "memory_limit of the program", "memory_limit"),
        Item(("-c", "--cumulative"), "auth_extra_programs.{name}.memory_limit_cumulative", CUMULATIVE, is_flag=True),
        Item(("-m", "--email"), "auth_memmon_email"),
        Item(("-s", "--sendmail_program"), "auth_memmon_sendmail"),
        Item(("-u", "--uptime"), "auth_memmon_uptime"),
        Item(("-n", "--name"), "auth_memmon_name"),
        Item(("events",), "auth_memmon_event"),
        *_LISTENER_OPTIONS,
    )
)

_CRASHMAIL = Kind(
    (
        Item(("-m", "--email"), "auth_crashmail_email"),
        Item(("-s", "--sendmail_program"), "auth_memmon_sendmail"),
        # They have no effect (superlance 2.0.0: runforever never looks at them).
        _fixed("-p", "--program"),
        Item(("-a", "--any"), OF_THE_ROLE, is_flag=True),
        Item(("-o", "--optionalheader"), ""),
        _fixed("events"),
        *_LISTENER_OPTIONS,
    )
)

_HTTPOK = Kind(
    (
        _fixed("-p", "--program"),
        _fixed("-t", "--timeout", default="10"),
        Item(("-a", "--any"), OF_THE_ROLE, is_flag=True),
        Item(("-e", "--eager"), OF_THE_ROLE, is_flag=True),
        Item(("-E", "--not-eager"), OF_THE_ROLE, is_flag=True),
        _fixed("-c", "--code"),
        _fixed("-b", "--body"),
        _fixed("-m", "--email"),
        _fixed("-s", "--sendmail_program"),
        _fixed("-g", "--gcore"),
        _fixed("-d", "--coredir"),
        _fixed("-n", "--name"),
        Item(("events",), "auth_memmon_event"),
        *_LISTENER_OPTIONS,
    ),
    # Its page is no option.
    any_argument="auth_httpok_url",
)

KINDS: Mapping[str, Kind] = {
    "beat": _BEAT,
    "crashmail": _CRASHMAIL,
    "extra": _EXTRA,
    "gunicorn": _GUNICORN,
    "httpok": _HTTPOK,
    "memmon": _MEMMON,
    "worker": _WORKER,
}

# The keys of an entry of auth_workers that the variable auth_worker_KEY gives to all pools.
POOL_KEYS = ("concurrency", "numprocs", "memory_limit", "loglevel", "stopwaitsecs", "pool", "options", "handover")

# Options of a program's section that have a variable or a key of their own, or are the role's.
NOT_AMONG_SETTINGS = ("command", "environment", "numprocs", "process_name", "numprocs_start")


# All options of a program's section; supervisor passes over any other without a word. Source: supervisor/options.py
# (_processes_from_section, 4.2 and 4.3)
PROGRAM_OPTIONS = frozenset(
    [
        "autorestart",
        "autostart",
        "command",
        "directory",
        "environment",
        "exitcodes",
        "killasgroup",
        "numprocs",
        "numprocs_start",
        "priority",
        "process_name",
        "redirect_stderr",
        "serverurl",
        "startretries",
        "startsecs",
        "stderr_capture_maxbytes",
        "stderr_events_enabled",
        "stderr_logfile",
        "stderr_logfile_backups",
        "stderr_logfile_maxbytes",
        "stderr_syslog",
        "stdout_capture_maxbytes",
        "stdout_events_enabled",
        "stdout_logfile",
        "stdout_logfile_backups",
        "stdout_logfile_maxbytes",
        "stdout_syslog",
        "stopasgroup",
        "stopsignal",
        "stopwaitsecs",
        "umask",
        "user",
    ]
)


def refused_arguments(kind: str) -> dict[str, str]:
    """Return the arguments that may not stand among further ones, by each spelling, with what gives them already."""
    found = {}
    for item in KINDS[kind].arguments:
        given = item.key or item.variable
        if given == KINDS[kind].any_argument or item.name == "-A":
            continue
        for name in item.names:
            found[name] = "the process's name" if item.name == "-n" else given
    return found
