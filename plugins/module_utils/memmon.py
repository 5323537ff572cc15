# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""memmon's rules: sizes, the names it matches, and the listeners that watch both kinds of program.

Source: ``superlance/memmon.py`` 2.0.0 and ``supervisor/datatypes.py`` (``byte_size``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Iterable

from ansible_collections.allianceauth.tuning.plugins.module_utils.programs import Program

_SIZE = re.compile(r"([1-9][0-9]*)(KB|MB|GB)\Z", re.IGNORECASE)
_FACTORS = {"KB": 1024, "MB": 1024**2, "GB": 1024**3}

# The tuning guide: "not go below 128MB though, since new workers start with around 80 MB already".
SMALLEST_SENSIBLE = 128 * 1024**2


@dataclass(frozen=True)
class Listener:
    """One ``[eventlistener:x]`` section: what a single memmon process watches.

    ``limits`` are pairs of a process name and a size; ``cumulative`` is memmon's ``-c``.
    """

    name: str
    limits: tuple[tuple[str, str], ...]
    cumulative: bool

    def arguments(self, email: str) -> list[str]:
        """memmon's arguments.

        ``-p`` gets bare process names: ``GROUP:PROCESS``, which memmon's help
        offers, ends it with a KeyError. ``-n`` comes last, because every later
        ``-p`` would overwrite it (one variable in memmon's option parser).
        """
        arguments = ["-c"] if self.cumulative else []
        for process, size in self.limits:
            arguments += ["-p", f"{process}={size}"]
        if email:
            arguments += ["-m", email, "-n", self.name]
        return arguments


def parse_size(size: str) -> int:
    """Return the bytes of a size such as ``256MB``; ValueError if memmon would not take it.

    memmon's units are binary (1 KB is 1024 bytes). A bare number of bytes, which
    it takes as well, is refused: nobody means ``-p worker_00=256``.
    """
    found = _SIZE.match(size)
    if not found:
        raise ValueError(f"{size!r} is not a whole number followed by KB, MB or GB, such as 256MB")
    return int(found.group(1)) * _FACTORS[found.group(2).upper()]


def listeners(programs: Iterable[Program]) -> list[Listener]:
    """Return the listeners that keep every limit of ``programs``.

    ``-c`` holds for a whole memmon: without it a prefork pool or gunicorn is
    weighed by its small master alone, with it a limit is for the whole tree. So
    each kind gets its own listener.
    """
    watched = [program for program in programs if program.memory_limit]
    found = []
    for name, tree in (("memmon", False), ("memmon_tree", True)):
        limits = tuple(
            (process, program.memory_limit)
            for program in watched
            if program.tree is tree
            for process in program.process_names
        )
        if limits:
            found.append(Listener(name, limits, tree))
    return found


def watched(arguments: Iterable[str]) -> dict[str, str]:
    """Return the limits in a running memmon's arguments: sizes by process name."""
    words = list(arguments)
    pairs = [value.partition("=") for option, value in zip(words, words[1:]) if option in ("-p", "--program")]
    return {process: size for process, _equals, size in pairs}
