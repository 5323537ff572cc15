# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""memmon's rules: sizes, the names it matches, and the listeners that watch both kinds of program.

Source: ``superlance/memmon.py`` 2.0.0 and ``supervisor/datatypes.py`` (``byte_size``).
"""

from __future__ import annotations

import getopt
import os
import re
from dataclasses import dataclass
from typing import Any, Iterable, Mapping, Sequence

from ansible_collections.allianceauth.tuning.plugins.module_utils.model.program import Program

_SIZE = re.compile(r"([1-9][0-9]*)(KB|MB|GB)\Z", re.IGNORECASE)
_FACTORS = {"KB": 1024, "MB": 1024**2, "GB": 1024**3}

# Source: superlance/memmon.py (main)
_SHORT = "hcp:g:a:s:m:n:u:"
_LONG = ["help", "cumulative", "program=", "group=", "any=", "sendmail_program=", "email=", "uptime=", "name="]

# How far apart the limits of a pool's processes lie, and the last from the first at most, in percent.
_STEP, _MOST = 5, 20
_MEGABYTE = _FACTORS["MB"]

# Listeners are named memmon_worker_00 and so on.
PREFIX = "memmon_"

# The tuning guide: "not go below 128MB though, since new workers start with around 80 MB already".
SMALLEST_SENSIBLE = 128 * 1024**2


@dataclass(frozen=True)
class Mail:
    """Whom memmon tells of a restart (empty: nobody), and how.

    ``uptime`` is the longest uptime, such as ``2h``, at which a restart is worth a
    mail, ``name`` stands in the subject, ``sendmail`` is the command that takes the
    mail; each is empty for memmon's own.
    """

    address: str = ""
    sendmail: str = ""
    uptime: str = ""
    name: str = ""

    def arguments(self) -> list[str]:
        """memmon's arguments.

        ``-n`` comes last, and so do these: every later ``-p`` would overwrite it
        (one variable in memmon's option parser).
        """
        if not self.address:
            return []
        given = (("-m", self.address), ("-s", self.sendmail), ("-u", self.uptime), ("-n", self.name))
        return [word for option, value in given if value for word in (option, value)]


@dataclass(frozen=True)
class Listener:
    """One ``[eventlistener:x]`` section: the memmon that watches one process, whose limit is ``size`` bytes.

    ``cumulative`` is memmon's ``-c``, which weighs a process with its children.
    """

    process: str
    size: int
    cumulative: bool

    @property
    def name(self) -> str:
        """The listener's name, which is also its process's."""
        return f"{PREFIX}{self.process}"

    def arguments(self, mail: Mail) -> list[str]:
        """memmon's arguments.

        ``-p`` gets the bare process name: ``GROUP:PROCESS``, which memmon's help
        offers, ends it with a KeyError.
        """
        return [*(["-c"] if self.cumulative else []), "-p", f"{self.process}={size_text(self.size)}", *mail.arguments()]


def parse_size(size: str) -> int:
    """Return the bytes of a size such as ``256MB``; ValueError if memmon would not take it.

    memmon's units are binary (1 KB is 1024 bytes). A bare number of bytes, which
    it takes as well, is refused: nobody means ``-p worker_00=256``.
    """
    found = _SIZE.match(size)
    if not found:
        raise ValueError(f"{size!r} is not a whole number followed by KB, MB or GB, such as 256MB")
    return int(found.group(1)) * _FACTORS[found.group(2).upper()]


def size_text(size: int) -> str:
    """Return a number of bytes as memmon takes it, in the largest unit that needs no fraction."""
    for unit in ("GB", "MB", "KB"):
        if size % _FACTORS[unit] == 0:
            return f"{size // _FACTORS[unit]}{unit}"
    return str(size)


def listeners(programs: Iterable[Program]) -> list[Listener]:
    """Return the listeners that keep every limit of ``programs``, one for each process.

    memmon waits for a process that it restarts, up to ``stopwaitsecs``, and watches
    nothing meanwhile; so no two processes share one. And ``-c`` holds for a whole
    memmon: without it a prefork pool or gunicorn is weighed by its small master
    alone, with it a limit is for the process with its children.
    """
    return [
        Listener(process, size, program.cumulative)
        for program in programs
        if program.memory_limit
        for process, size in zip(program.process_names, pool_limits(program.memory_limit, len(program.process_names)))
    ]


def pool_limits(size: int, count: int) -> list[int]:
    """Return the limits of a pool's processes in bytes, whose own is ``size``: the first has it, the others less.

    Each memmon looks at the same moment. Processes that leak alike would pass one limit in the same moment too, and
    none would take tasks until all have finished. So the limits lie 5 % apart, in whole MB, none more than 20 %
    below ``size``: those of more than five processes lie closer together.
    """
    steps = max(count - 1, _MOST // _STEP)
    found = []
    for number in range(count):
        lowered = -(-size * (100 * steps - _MOST * number) // (100 * steps * _MEGABYTE)) * _MEGABYTE
        found.append(min(size, lowered))
    return found


def one_limit(sizes: Sequence[int]) -> frozenset[int]:
    """Return what the limits of a program's processes say, in bytes: one size if they are those of `pool_limits`."""
    largest = max(sizes)
    if sorted(sizes) == sorted(pool_limits(largest, len(sizes))):
        return frozenset({largest})
    return frozenset(sizes)


def least_limit(needed: int, count: int) -> int:
    """Return the least whole MB, in bytes, of which `pool_limits` gives no process less than ``needed``."""
    size = -(-needed // _MEGABYTE) * _MEGABYTE
    while pool_limits(size, count)[-1] < needed:
        size += _MEGABYTE
    return size


def options(arguments: Sequence[str]) -> dict[str, Any] | None:
    """Return what a memmon's arguments say, None for another program's or if memmon would refuse them.

    ``programs`` and ``groups``: sizes by name; ``any``: the size for all others, "" for none; ``children``: whether
    a process counts with its children; ``name_lost``: whether a later limit takes the place of ``-n``'s name.
    Alliance Auth's template has None in memmon's place where superlance was not installed.
    """
    names = [os.path.basename(word) for word in arguments[:2]]
    script = next((place for place, name in enumerate(names) if name in ("memmon", "None")), None)
    if script is None:
        return None
    try:
        given, _rest = getopt.getopt(list(arguments[script + 1 :]), _SHORT, _LONG)
    except getopt.GetoptError:
        return None
    found: dict[str, Any] = {"programs": {}, "groups": {}, "any": "", "children": False, "name_lost": False}
    named = False
    for option, value in given:
        if option in ("-p", "--program", "-g", "--group"):
            name, _equals, size = value.partition("=")
            found["programs" if "p" in option[:3] else "groups"][name] = size
            found["name_lost"] = found["name_lost"] or named
        elif option in ("-a", "--any"):
            found["any"] = value
        found["children"] = found["children"] or option in ("-c", "--cumulative")
        named = named or option in ("-n", "--name")
    return found


def size_in_bytes(size: str) -> int | None:
    """Return the bytes of a size as memmon reads it, a bare number included; None if it would not take it."""
    if size.isdigit():
        return int(size)
    try:
        return parse_size(size)
    except ValueError:
        return None


def watched(arguments: Sequence[str]) -> dict[str, int]:
    """Return the limits in a memmon's arguments, bytes by process name; none for another program's."""
    # The script is first, or behind its interpreter.
    if "memmon" not in [os.path.basename(word) for word in arguments[:2]]:
        return {}
    values = [value for option, value in zip(arguments, arguments[1:]) if option in ("-p", "--program")]
    limits = (value.partition("=") for value in values)
    return {name: _bytes(size) for name, _equals, size in limits}


def _bytes(size: str) -> int:
    """Return a size as memmon reads it, which takes a number of bytes as well; 0 if it would not start with it."""
    try:
        return int(size) if size.isdecimal() else parse_size(size)
    except ValueError:
        return 0


def ambiguous(groups: Iterable[Mapping[str, Any]], limits: Iterable[str]) -> list[str]:
    """Return a sentence for each process with a limit whose name another group has as well.

    memmon takes bare names and would restart both.
    """
    owners: dict[str, list[str]] = {}
    for group in groups:
        for process in group["processes"]:
            owners.setdefault(process["name"], []).append(group["name"])
    return [
        f"{name}, which has a memory limit, exists in the groups {' and '.join(owners[name])}, "
        "and memmon cannot tell them apart: rename one of the two"
        for name in limits
        if len(owners.get(name, [])) > 1
    ]
