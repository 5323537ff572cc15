# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell which of pip's arguments have credentials in them, however pip lets them be spelt.

Every user of a server sees the arguments of a process there, and only its own user sees its environment.
"""

from __future__ import annotations

import re
from typing import Iterator, Sequence

# Options whose value may be a URL with credentials, and the variable in which pip takes the same.
# Source: pip's documentation, "Configuration", "Environment Variables"; pip/_internal/cli/cmdoptions.py.
_VARIABLES = {
    "--index-url": "PIP_INDEX_URL",
    "--pypi-url": "PIP_INDEX_URL",
    "-i": "PIP_INDEX_URL",
    "--extra-index-url": "PIP_EXTRA_INDEX_URL",
    "--find-links": "PIP_FIND_LINKS",
    "-f": "PIP_FIND_LINKS",
    "--proxy": "PIP_PROXY",
}
# Those that can be given again, and are then divided by spaces; of the others the last one counts.
_LISTS = ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS")

# Short options can follow one another in one word, the value of the last one as well: -qi URL, -qiURL.
# These have no value. Source: pip/_internal/cli/cmdoptions.py, pip/_internal/commands/install.py
_SHORT = re.compile(r"-(?P<before>[hvVqUI]*)(?P<option>[if])(?P<value>.*)\Z", re.DOTALL)

_USER = re.compile(r"(?<=://)[^/@\s]+(?=@)")
# With ssh the user's name alone, such as git, is no secret.
_USER_OF_SSH = re.compile(r"ssh://[^/@:\s]+(?=@)")
_QUERY = re.compile(
    r"(?<=[?&;])(?P<name>[^=&;#\s]*(?:auth|cred|key|pass|pwd|secret|sig|token)[^=&;#\s]*=)[^&;#\s]+", re.IGNORECASE
)

_REFUSAL = (
    "one argument has credentials in it that every user of the server would see; an index, a folder of wheels and a "
    "proxy may have them (--index-url, --extra-index-url, --find-links, --proxy), and for any other address they can "
    "stand in the file .netrc of auth_user, which pip and git read"
)


def apart(arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Return the arguments that anybody may see, and those with credentials as pip's environment variables.

    Raises ValueError with a sentence if an argument has credentials that pip takes by no variable.
    """
    seen: list[str] = []
    hidden: dict[str, str] = {}
    for words, before, variable, value in _options(arguments):
        if variable and _has_credentials(variable, value):
            seen += before
            hidden[variable] = f"{hidden.get(variable, '')} {value}".strip() if variable in _LISTS else value
        elif not variable and _has_credentials("", _USER_OF_SSH.sub("", words[0])):
            raise ValueError(_REFUSAL)
        else:
            seen += words
    return seen, hidden


def without_credentials(text: str) -> str:
    """Return what pip says without what may be a secret in it."""
    return _QUERY.sub(r"\g<name>(not shown)", _USER.sub("(not shown)", text))


def _has_credentials(variable: str, value: str) -> bool:
    # A proxy's address needs no scheme.
    return bool(_USER.search(value) or _QUERY.search(value)) or (variable == "PIP_PROXY" and "@" in value)


def _options(arguments: Sequence[str]) -> Iterator[tuple[list[str], list[str], str, str]]:
    """Yield the words of each option, those before it that stay, and its variable and value, "" for any other word."""
    rest = iter(arguments)
    for word in rest:
        option, before, value = _named(word)
        if not option:
            yield [word], [], "", ""
        elif value is not None:
            yield [word], before, _VARIABLES[option], value
        else:
            following = list(next(zip(rest), ()))
            yield [word, *following], before, _VARIABLES[option], "".join(following)


def _named(word: str) -> tuple[str, list[str], str | None]:
    """Return the option of ours that a word names, "" for none, what else it has, and the value if that is in it."""
    if word.startswith("--"):
        name, equals, value = word.partition("=")
        # pip takes the beginning of a name for it where no other option begins so.
        begun = [option for option in _VARIABLES if len(name) > len("--") and option.startswith(name)]
        option = name if name in begun else begun[0] if len(begun) == 1 else ""
        return option, [], value if equals else None
    match = _SHORT.match(word)
    if not match:
        return "", [], None
    before = [f"-{match['before']}"] if match["before"] else []
    return f"-{match['option']}", before, match["value"] or None
