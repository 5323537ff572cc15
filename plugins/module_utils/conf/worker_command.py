# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the command of a Celery worker asks for: its options, its pool, and how many tasks it runs at once."""

from __future__ import annotations

from typing import Iterable, Mapping, Sequence

# Celery's and gunicorn's short options that take a value, by their long names.
_SHORT = {
    "-A": "--app",
    "-b": "--bind",
    "-c": "--concurrency",
    "-l": "--loglevel",
    "-n": "--hostname",
    "-P": "--pool",
    "-Q": "--queues",
    "-t": "--timeout",
    "-w": "--workers",
}


def is_worker(command: Sequence[str]) -> bool:
    """Whether a command, in words, starts a Celery worker; one behind a wrapper does not say."""
    return bool(command) and command[0].endswith("/celery") and "worker" in command


def options(arguments: Iterable[str]) -> dict[str, str]:
    """Return the options of a command by their long names, with "" for one that has no value."""
    words = list(arguments)
    found = {}
    for word, following in zip(words, [*words[1:], ""]):
        if not word.startswith("-") or word == "-":
            continue
        name, equals, value = word.partition("=")
        if not name.startswith("--"):
            name, equals, value = word[:2], word[2:], word[2:].removeprefix("=")
        if not equals and not following.startswith("-"):
            value = following
        found[_SHORT.get(name, name)] = value
    return found


def pool(given: Mapping[str, str]) -> str:
    """Return the pool of a worker with such `options`."""
    return given.get("--pool", "prefork")


def tasks(given: Mapping[str, str], cores: int) -> int:
    """Return how many tasks a worker with such `options` runs at once; without a number Celery takes the ``cores``."""
    if pool(given) == "solo":
        return 1
    upper, concurrency = given.get("--autoscale", "").partition(",")[0], given.get("--concurrency", "")
    number = upper if upper.isdigit() else concurrency
    return int(number) if number.isdigit() and int(number) else cores
