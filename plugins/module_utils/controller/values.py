# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read one value of a role variable each. A value given with ``-e name=value`` arrives as text.

Every function raises ValueError with the rest of a sentence that begins with the variable and its value.
"""

from __future__ import annotations

import re
import shlex
from typing import Any, Callable, Mapping

from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import quoting
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.change import PLACEHOLDER
from ansible_collections.allianceauth.tuning.plugins.module_utils.model import memmon, pip_arguments

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\Z")
_PATH = re.compile(r"/[A-Za-z0-9_.@+/-]*\Z")
_TCP = re.compile(r"(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:]+\]):[0-9]{1,5}\Z")


def boolean(value: Any) -> bool:
    # Ansible's own words for truth, which -e passes as text.
    text = str(value).lower()
    if text in ("true", "yes", "on", "1"):
        return True
    if text in ("false", "no", "off", "0"):
        return False
    raise ValueError("it has to be true or false")


def integer(value: Any, least: int) -> int:
    if isinstance(value, bool) or not re.match(r"-?[0-9]+\Z", str(value)):
        raise ValueError("it has to be a whole number")
    if int(value) < least:
        raise ValueError(f"it has to be {least} or more")
    return int(value)


def positive(value: Any) -> int:
    return integer(value, 1)


def not_negative(value: Any) -> int:
    return integer(value, 0)


def one_of(choices: tuple[str, ...]) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        text = "" if value is None else str(value)
        if text not in choices:
            raise ValueError("it has to be one of " + ", ".join(choice or "nothing" for choice in choices))
        return text

    return parse


def loglevel(levels: tuple[str, ...]) -> Callable[[Any], str]:
    """Return what reads a level, which Celery takes in capitals as well."""
    parse = one_of(("", *levels))
    return lambda value: parse(value.lower() if isinstance(value, str) else value)


def name(value: Any) -> str:
    if not isinstance(value, str) or not NAME.match(value):
        raise ValueError("a name may have letters, digits and . _ - and nothing else (no space, no %, no colon)")
    return value


def path(value: Any) -> str:
    if not isinstance(value, str) or not _PATH.match(value):
        raise ValueError("it has to be an absolute path of letters, digits and . _ - + @ / (no space, no %)")
    return value.rstrip("/") or "/"


def size(value: Any) -> int:
    return memmon.parse_size(str(value)) if value else 0


def log_size(value: Any) -> str:
    text = str(value)
    if text != "0":
        memmon.parse_size(text)
    return text


def bind(value: Any) -> str:
    if isinstance(value, str) and value.startswith("unix:"):
        return "unix:" + path(value[len("unix:") :])
    if not isinstance(value, str) or not _TCP.match(value) or not 0 < int(value.rpartition(":")[2]) < 65536:
        raise ValueError("it has to be HOST:PORT or unix:PATH, as gunicorn's --bind takes it")
    return value


def email(value: Any) -> str:
    if not value:
        return ""
    if not isinstance(value, str) or not re.match(r"[^\s@%;#'\"]+@[^\s@%;#'\"]+\Z", value):
        raise ValueError("it has to be one mail address")
    return text(value)


def uptime(value: Any) -> str:
    if not value:
        return ""
    if not re.match(r"[1-9][0-9]*[smhd]?\Z", str(value)):
        raise ValueError("it has to be a whole number of seconds, or one followed by m, h or d, such as 2h")
    return str(value)


def url(value: Any) -> str:
    if not value:
        return ""
    if not isinstance(value, str) or not re.match(r"http://[^\s%;#'\"]+\Z", value):
        raise ValueError(
            "it has to be a URL that begins with http://, such as gunicorn's own address: superlance 2.0.0 cannot "
            "ask for https:// with Python 3.12 or newer, and would restart gunicorn again and again"
        )
    return text(value)


def webhook(value: Any) -> str:
    if not value:
        return ""
    # A sentence of ours: it may be shown, and the address may not.
    if not isinstance(value, str) or not re.match(r"https?://[^\s/]+(/\S*)?\Z", value):
        raise ValueError("it has to be an address that begins with https:// or http://")
    return value


def text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, (str, int, float)):
        raise ValueError("it has to be text or a number")
    try:
        quoting.check_characters(str(value))
    except quoting.UnwritableError as why:
        raise ValueError(f"it {why}") from why
    return str(value)


def option(value: Any) -> str:
    found = text(value)
    try:
        quoting.option(found)
    except quoting.UnwritableError as why:
        raise ValueError(f"it {why}") from why
    return found


def arguments(value: Any) -> list[str]:
    if not isinstance(value, (list, tuple)):
        raise ValueError("it has to be a list of arguments")
    return [text(argument) for argument in value]


def arguments_of_pip(value: Any) -> list[str]:
    words = arguments(value)
    pip_arguments.apart(words)
    return words


def other_arguments(own: Mapping[str, str]) -> Callable[[Any], list[str]]:
    """Return what reads arguments, of which none may be one of ``own``, each with the variable or key to use."""

    def parse(value: Any) -> list[str]:
        words = arguments(value)
        for word in words:
            # -c7 is -c 7.
            option = word.partition("=")[0] if word.startswith("--") else word[:2]
            if option in own:
                raise ValueError(f"{option} would contradict {own[option]}, which gives it already")
        return words

    return parse


def worker_arguments(own: Mapping[str, str], pool: str) -> Callable[[Any], list[str]]:
    """Return what reads further arguments of a worker that has a pool."""
    parse = other_arguments(own)

    def parse_with_pool(value: Any) -> list[str]:
        words = parse(value)
        if pool != "prefork" and any(word.partition("=")[0] == "--autoscale" for word in words):
            raise ValueError(
                f"--autoscale needs the pool prefork: the pool {pool} cannot grow, and the worker would end at its "
                "first attempt"
            )
        return words

    return parse_with_pool


def command(value: Any) -> list[str]:
    words = shlex.split(text(value)) if isinstance(value, str) else arguments(value)
    if not words:
        raise ValueError("it has to name a program")
    return words


def queues(value: Any) -> list[str]:
    return [name(queue) for queue in arguments(value)]


def mapping(value: Any) -> Mapping[str, Any]:
    # Ansible's argument check takes "name=value" for one, and leaves the variable as it is.
    if not isinstance(value, Mapping):
        raise ValueError("it has to be a mapping of names to values")
    return value


def mappings(value: Any) -> list[Mapping[str, Any]]:
    if not isinstance(value, list):
        raise ValueError("it has to be a list of mappings")
    return [mapping(item) for item in value]


def pairs(value: Any) -> dict[str, str]:
    found = {str(key): text(one) for key, one in mapping(value).items()}
    for key, one in found.items():
        if one == PLACEHOLDER:
            raise ValueError(f"{key} still has the words that stand for its value; put the value in their place")
    try:
        quoting.environment(found)
    except quoting.UnwritableError as why:
        raise ValueError(f"it {why}") from why
    return found
