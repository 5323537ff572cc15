# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever the plugins end or warn with has a row in docs/failures.md.

That each row is something which the plugins say is in test_pages.py.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

CHECKOUT = Path(__file__).parents[3]

# What the plugins end with that needs no row, by a piece of it, and why.
WITHOUT_A_ROW = {
    # Said of what went well.
    "variables that describe this server": "what adopt has written",
    "what differs in meaning:": "the head of a list of differences",
    "nothing had to be started.": "start had nothing to do",
    # Pieces of a sentence that has a row.
    "has a value for ": "the rest says what is wrong with the value, which has a row",
    "; or, if uv has made it, ": "goes on after `has no pip, which this needs`",
    "a worker like ": "the cause after `the new … does not work, so nothing was stopped`",
    "Not a regular file": "the cause after a path, in the system's words",
    "no answer within ": "the cause after Redis that does not answer",
    "it closes the connection": "the cause after Redis that does not answer",
    "two workers cannot have ": "in the brackets of `nobody took tasks (…)`",
    "systemd did not start it: ": "in the brackets of `nobody took tasks (…)`",
    "systemd does not answer (": "in the brackets of `nobody took tasks (…)`",
    "does not show the command that it was started with": "the cause after `without a second gunicorn`",
    "the kernel does not let us choose between two sockets": "the cause after `without a second gunicorn`",
    "systemd gives it no unit": "the cause after `without a second gunicorn`",
    "it has no pipes": "why a worker was not told to take no more tasks; it then stops at once, and nobody is told",
    "it does not answer": "the same",
    "it has ended": "the same",
    "it is just being stopped or restarted": "the guard's reason to wait, which nobody reads",
    # Heads of what a section of the page is about.
    " was not replaced: \0.": "the head of the section on the new file, where each cause has a row",
    # What only a bug or the kernel's lack of memory can bring about.
    "a process that was to look at something ended at once": "the kernel has killed it; shown with a traceback",
}


def text(node: ast.expr) -> str:
    """Return what an expression says, a NUL for each part that is not known before it runs."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(text(part) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return text(node.left) + text(node.right)
    return "\0"


def ends(node: ast.AST) -> list[ast.expr]:
    """Return the expressions of what a part of the code says to a user, if that is what it does."""
    if isinstance(node, ast.Call):
        warns = isinstance(node.func, ast.Attribute) and node.func.attr == "warn"
        return [*(word.value for word in node.keywords if word.arg == "msg"), *(node.args if warns else [])]
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        return node.exc.args
    if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.FormattedValue):
        # A sentence of a plan, a report or a refusal begins with its host.
        named = ast.unparse(node.values[0].value)
        return [node] if re.search(r"(host|gethostname\(\)|hostname)$", named) else []
    return []


@functools.cache
def said() -> list[tuple[str, str]]:
    """Return each message that has words of its own, after the place of the code that says it."""
    found = []
    for file in sorted(CHECKOUT.glob("plugins/**/*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            for message in map(text, ends(node)):
                # One word alone is the name of something, and no word at all says what another place has put together.
                if len(re.findall(r"[A-Za-z]{2,}", message)) > 1:
                    found.append((f"{file.relative_to(CHECKOUT)}:{getattr(node, 'lineno', 0)}", message))
    for file in sorted([*CHECKOUT.glob("roles/auth/tasks/**/*.yml"), *CHECKOUT.glob("playbooks/*.yml")]):
        messages = [
            *failures(yaml.safe_load(file.read_text())),
            *re.findall(r"undef\(hint='([^']*)'", file.read_text()),
        ]
        found += [(str(file.relative_to(CHECKOUT)), message) for message in messages]
    return found


def failures(part: Any) -> Iterator[str]:
    """Return what the tasks in a part of YAML fail with, a NUL for each expression, but for those without words."""
    if isinstance(part, list):
        for one in part:
            yield from failures(one)
    if isinstance(part, dict):
        message = re.sub(r"{{.*?}}", "\0", part.get("ansible.builtin.fail", {}).get("msg", ""), flags=re.DOTALL)
        if re.search(r"\w", message):
            yield " ".join(message.split())
        for one in part.values():
            yield from failures(one)


def rows() -> list[list[str]]:
    """Return the pieces of each message that the page explains."""
    lines = (CHECKOUT / "docs/failures.md").read_text().splitlines()
    cells = [line.split("|")[1] for line in lines if line.startswith("| `")]
    return [
        [part.strip() for part in message.split("…")] for cell in cells for message in re.findall(r"`([^`]+)`", cell)
    ]


def test_each_message_of_the_plugins_is_explained() -> None:
    explained = rows()
    messages = said()
    unknown = [
        f"{place}: {message!r}"
        for place, message in messages
        if not any(all(part in message for part in parts) for parts in explained)
        and not any(piece in message for piece in WITHOUT_A_ROW)
    ]
    assert len(messages) > 100
    assert not unknown, "\n".join(unknown)


@pytest.mark.parametrize("piece", WITHOUT_A_ROW)
def test_each_exception_is_still_said(piece: str) -> None:
    assert [place for place, message in said() if piece in message]
