# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where each process logs: no file has two writers, because each writer rotates it by itself."""

from __future__ import annotations

from typing import Mapping

from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import log_file, quoting
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.description import canonical_option
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.declared import Declared
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.program import Program

_ROTATION = ("maxbytes", "backups")


def options(declared: Declared, program: Program) -> dict[str, str]:
    """Return the options of a program's section that say where it logs, as they stand in supervisor.conf.

    Both of its streams go into one log, unless its settings give stderr one of its own.
    """
    own, numprocs = program.settings, program.numprocs
    stdout, stderr = _stdout(declared, program), own.get("stderr_logfile", "")
    redirects = canonical_option("redirect_stderr", own.get("redirect_stderr", "")) == "true"
    found = {"stdout_logfile": log_file.numbered(quoting.option(stdout), numprocs)}
    if stderr and stderr != stdout and not redirects:
        found["stderr_logfile"] = log_file.numbered(quoting.option(stderr), numprocs)
    else:
        found["redirect_stderr"] = "true"
    for log in [option for option in found if option.endswith("_logfile")]:
        for key in _ROTATION:
            found[f"{log}_{key}"] = own.get(f"{log}_{key}", rotation(declared)[key])
    return found


def rotation(declared: Declared) -> dict[str, str]:
    """Return the size at which a log is rotated, and how many old ones are kept."""
    return dict(zip(_ROTATION, (declared.log_maxbytes, str(declared.log_backups))))


def names(declared: Declared, program: Program) -> list[str]:
    """Return the files of a program's stdout, one for each process, ``worker_00.log`` in the folder of the logs."""
    stdout = _stdout(declared, program)
    if not log_file.is_file(stdout):
        return []
    path = log_file.numbered(stdout, program.numprocs).removeprefix(f"{declared.log_dir}/")
    return [path.replace("%(process_num)02d", f"{number:02d}") for number in range(program.numprocs)]


def listener_names(declared: Declared) -> list[str]:
    """Return the files of the listeners' stderr; their stdout is what supervisord understands, and no log."""
    return [f"{name}.log" for name in declared.listener_names]


def shown(declared: Declared, program: Program) -> str:
    """Return where a program logs, for people: ``worker_00.log to worker_03.log``."""
    found = names(declared, program)
    return " to ".join(dict.fromkeys([found[0], found[-1]])) if found else _stdout(declared, program)


def missing_links(declared: Declared, folder: str, links: Mapping[str, str] | None) -> list[str]:
    """Return the logs of ``folder`` to which the project's folder has no link; ``links`` is None without that."""
    if not folder or links is None:
        return []
    found = [name for program in declared.programs for name in names(declared, program)] + listener_names(declared)
    return [f"{folder}/{name}" for name in found if "/" not in name and links.get(name) != f"{folder}/{name}"]


def shared(declared: Declared) -> list[str]:
    """Return a sentence for each log that several programs' settings name."""
    writers: dict[str, list[str]] = {}
    for program in declared.programs:
        for option, log in options(declared, program).items():
            if option.endswith("_logfile") and log_file.is_file(log):
                writers.setdefault(log, []).append(f"{program.name}'s {option}")
    return [
        f"{' and '.join(found)} name one file, {log}, which each of them rotates by itself, so that a part of what is "
        "logged is lost: name another one in auth_program_settings or auth_extra_programs."
        for log, found in writers.items()
        if len(found) > 1
    ]


def _stdout(declared: Declared, program: Program) -> str:
    return program.settings.get("stdout_logfile") or f"{declared.log_dir}/{program.name}.log"
