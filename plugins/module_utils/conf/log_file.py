# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write and read where a program of several processes logs: each process rotates its log, so none shares one."""

from __future__ import annotations

import os
import re

# Values of stdout_logfile that are no file, in any case. Source: supervisor/datatypes.py (logfile_name)
_NO_FILES = frozenset({"none", "off", "auto", "syslog"})
_NUMBER = re.compile(r"_?%\(process_num\)[0-9]*[sd](?=(?:\.[^./]*)?\Z)")
_SINGLE = re.compile(r"%\(process_num\)0?([0-9]*)[sd](?=(?:\.[^./]*)?\Z)")


def is_file(value: str) -> bool:
    """Whether a value of stdout_logfile is a file, which supervisord rotates, and not a device or another word."""
    return value.lower() not in _NO_FILES and not value.startswith("/dev/")


def numbered(value: str, numprocs: int) -> str:
    """Return ``/logs/worker_%(process_num)02d.log`` for ``/logs/worker.log`` if there are several processes."""
    if numprocs == 1 or not is_file(value):
        return value
    root, ending = os.path.splitext(value)
    return f"{root}_%(process_num)02d{ending}"


def unnumbered(value: str, numprocs: str) -> str:
    """Return what `numbered` takes for a value of a file; of a single process the number is always the same."""
    if numprocs == "1":
        return _SINGLE.sub(lambda found: "0".zfill(int(found[1] or 1)), value)
    return _NUMBER.sub("", value)
