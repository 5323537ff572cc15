# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A difference between two supervisor.conf, and the words in which it is told."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Iterable, Tuple

# Python 3.8, which a server may have, knows no tuple[…] that is evaluated.
Path = Tuple[str, ...]

# Stands for a secret in what a user is to paste; the role refuses it as a value.
PLACEHOLDER = "<the value that is in the present file>"

NOTHING = "none"
NOT_SHOWN = "a value that is not shown"
ANOTHER = "another one"
OWN_FILE = "cut it out here and put it into a file of its own in conf.d"
A_PROGRAM = "a program"


@dataclass(frozen=True)
class Change:
    """Something in the present file that would be otherwise.

    ``section`` has no brackets, ``item`` is an option, an argument, or empty for the section as a whole. ``chosen``:
    whether somebody has chosen what is there now. ``keeps``: the variables, by path, with the values that keep it;
    ``hint`` says what does if none can. ``settled_by``: paths to variables, of which any one that is set says that the
    change is wanted. ``names``: as what auth_discard may call it. ``reason``: why the role changes it on purpose.
    """

    section: str
    item: str
    now: str
    then: str
    chosen: bool
    keeps: tuple[tuple[Path, Any], ...] = ()
    settled_by: tuple[Path, ...] = ()
    names: tuple[str, ...] = ()
    hint: str = ""
    reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return it as a module can return it."""
        return asdict(self)


def joined(words: Iterable[str]) -> str:
    return " ".join(words)


def yaml_value(value: str) -> Any:
    """Return a value as one writes it in YAML."""
    if value in ("true", "false"):
        return value == "true"
    return int(value) if value.isdecimal() and str(int(value)) == value else value
