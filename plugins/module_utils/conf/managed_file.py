# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file as a whole: its first lines, its seal, and the environments that nobody gets to read on the way."""

from __future__ import annotations

import hashlib
import re
from typing import Iterable, Mapping

# An environment in it may hold secrets.
MODE = 0o640

_HEADER = """\
; The auth programs, written by the Ansible role allianceauth.tuning.auth.
; It follows Alliance Auth's own template; where it does not, the reason is beside it.
; Change the role's variables instead of this file. The next run shows a change by hand,
; and stops with the lines that keep it unless a variable that you have set says otherwise.
"""
_CHECKSUM = "; sha1 of what follows: "
_PLACE = "<environment of {name}>"
# With all that may go on a value: lines that are indented, empty or comments. One that is commented out counts as well.
_SECRET_OPTION = re.compile(
    r"^([ \t;#]*(?:environment|password)[ \t]*[=:]).*(?:\n(?:[ \t]+.*|[;#].*|(?=\n)))*", re.MULTILINE | re.IGNORECASE
)

# Shorter values are found in too many words, and are no secrets.
_SHORTEST_SECRET = 4

# What Alliance Auth's template has there is no secret: names and paths that a message may be about.
_TEMPLATES_OWN = "AA_"


def complete(sections: str, environments: Mapping[str, str]) -> str:
    """Return the file's text: ``sections`` with each program's environment in its place, under head and seal.

    Environments may hold secrets, so they come here apart from the rest, which is shown.
    """
    body = sections
    for name, text in environments.items():
        body = body.replace(_PLACE.format(name=name), text)
    # For comparing only: whoever can write the file can write its seal.
    return f"{_HEADER}{_CHECKSUM}{hashlib.sha1(body.encode()).hexdigest()}\n{body}"


def programs_with_environment(sections: str) -> list[str]:
    """Return the programs into whose sections `complete` has to put an environment."""
    return re.findall(_PLACE.format(name="([^>\n]+)"), sections)


def is_ours(text: str) -> bool:
    """Whether the role has written a file, changed by hand since or not."""
    return _CHECKSUM in text


def is_unchanged(text: str) -> bool:
    """Whether a file is as the role wrote it, so that all in it came from variables."""
    _head, found, rest = text.partition(_CHECKSUM)
    checksum, _newline, body = rest.partition("\n")
    return bool(found) and checksum == hashlib.sha1(body.encode()).hexdigest()


def is_written(text: str) -> bool:
    """Whether the role has written a file, also if somebody has changed it since."""
    return _CHECKSUM in text


def body(text: str) -> str:
    """Return a file of the role without its head and seal."""
    return text.partition(_CHECKSUM)[2].partition("\n")[2]


def shown(text: str) -> str:
    """Return a file's text without any environment's values and password, and without the seal that gives them away."""
    return re.sub(re.escape(_CHECKSUM) + ".*", _CHECKSUM + "(not shown)", _SECRET_OPTION.sub(r"\1 (not shown)", text))


def secret_values(environment: Mapping[str, str]) -> set[str]:
    """Return the values of a program's environment that may be secrets."""
    return {
        value
        for name, value in environment.items()
        if len(value) >= _SHORTEST_SECRET and not name.startswith(_TEMPLATES_OWN)
    }


def redacted(text: str, secrets: Iterable[str]) -> str:
    """Return a program's own words, such as a traceback, without what it may have taken from its environment."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "(not shown)")
    return text
