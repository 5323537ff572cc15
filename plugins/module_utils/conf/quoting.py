# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write values into a supervisor configuration so that they are read back unchanged.

A value passes four readers before it reaches a process, and each has its own
special characters:

* Python's ``configparser`` drops what follows ``;`` or ``#`` after white space,
* supervisor replaces ``%(here)s`` wherever it stands in an included file,
* supervisor expands ``%``,
* ``shlex`` splits a ``command`` into words (POSIX rules) and an ``environment``
  into pairs (non-POSIX rules: no escapes, no joined quotes).

Source: ``supervisor/options.py`` (``UnhosedConfigParser``, ``expand_here``,
``expand``) and ``supervisor/datatypes.py`` (``dict_of_key_value_pairs``).
"""

from __future__ import annotations

import re
import shlex
from typing import Mapping, Sequence

_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_COMMENT = re.compile(r"(?<=\s)(?=[;#])")
_HERE = "%(here)s"
_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


class UnwritableError(ValueError):
    """A value that no spelling brings through supervisor's parser; the text says why."""


def check_characters(value: str) -> None:
    """Raise `UnwritableError` if ``value`` holds a control character, such as a newline."""
    found = _CONTROL.search(value)
    if found:
        raise UnwritableError(f"holds the control character {found.group()!r}, which a line of supervisor.conf cannot")
    try:
        value.encode()
    except UnicodeEncodeError as why:
        raise UnwritableError("is not valid Unicode") from why


def command_line(argv: Sequence[str]) -> str:
    """Return ``argv`` as the value of a ``command`` option."""
    return " ".join(_word(argument) for argument in argv)


def _word(argument: str) -> str:
    check_characters(argument)
    word = shlex.quote(argument)
    # Whoever needs one of these is inside single quotes already: closing and
    # opening them again leaves the word as it is and parts what must not touch.
    word = _COMMENT.sub("''", word).replace(_HERE, "%(he''re)s")
    return word.replace("%", "%%")


def option(value: str) -> str:
    """Return ``value`` for an option that supervisor takes as it stands, such as ``directory``."""
    check_characters(value)
    if value != value.strip():
        raise UnwritableError("begins or ends with white space, which supervisor strips")
    _refuse_unquotable(value)
    return value.replace("%", "%%")


def environment(pairs: Mapping[str, str]) -> str:
    """Return ``pairs`` as the value of an ``environment`` option. A refusal names no value: it may be a secret."""
    return ",".join(_pair(name, value) for name, value in pairs.items())


def _pair(name: str, value: str) -> str:
    try:
        return f"{_name(name)}={_quoted(value)}"
    except UnwritableError as why:
        raise UnwritableError(f"has a value for {name} that {why}") from why


def _name(name: str) -> str:
    if not _ENVIRONMENT_NAME.match(name):
        raise UnwritableError("has a name that no environment variable can have")
    return name


def _quoted(value: str) -> str:
    check_characters(value)
    _refuse_unquotable(value)
    if value != value.strip("'\""):
        raise UnwritableError("begins or ends with a quotation mark, which supervisor strips")
    quote = "'" if '"' in value else '"'
    if quote in value:
        raise UnwritableError("holds both kinds of quotation marks, of which supervisor can read only one")
    return quote + value.replace("%", "%%") + quote


def _refuse_unquotable(value: str) -> None:
    if _COMMENT.search(value) or value[:1] in (";", "#"):
        raise UnwritableError("has ';' or '#' after white space, where supervisor's parser begins a comment")
    if _HERE in value:
        raise UnwritableError(f"holds {_HERE}, which supervisor replaces before anything can protect it")
