# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever can be written reaches a process unchanged, read back by supervisor's own parser."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import quoting
from hypothesis import given, settings
from hypothesis import strategies as st

# What the parsers between a variable and a process treat specially, more often than chance would.
NASTY = st.sampled_from(
    [
        " ;",
        " #",
        ";",
        "#",
        "%",
        "%%",
        "%(here)s",
        "%(ENV_HOME)s",
        "'",
        '"',
        "\\",
        " ",
        "=",
        ",",
        "\u00a0;",
        "é",
        "$",
        "[x]",
        ":",
    ]
)
VALUES = st.lists(st.one_of(NASTY, st.text(max_size=5)), max_size=6).map("".join)

# 60 examples of ten values: 600 inputs for each test here.
SIXTY = settings(max_examples=60, deadline=None)

T = TypeVar("T")


def ten(values: st.SearchStrategy[T]) -> st.SearchStrategy[list[T]]:
    return st.lists(values, min_size=10, max_size=10)


def written(write: Callable[[T], str], values: list[T]) -> list[tuple[T, str]]:
    """Return the values that can be written, each with how."""
    found = []
    for value in values:
        # That a refusal has a reason is what the tests below show.
        with contextlib.suppress(quoting.UnwritableError):
            found.append((value, write(value)))
    return found


def first_process(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the one process of a file that the parser has accepted."""
    assert "error" not in answer, answer
    (group,) = answer["result"]["groups"]
    (process,) = group["processes"]
    return dict(process)


@SIXTY
@given(commands=ten(st.lists(VALUES, min_size=1, max_size=3)))
def test_a_command_line_reaches_the_process_unchanged_or_is_refused(parser: Any, commands: list[list[str]]) -> None:
    pairs = written(lambda arguments: quoting.command_line(["/bin/echo", *arguments]), commands)
    answers = parser.read([f"[program:echo]\ncommand = {text}\n" for _arguments, text in pairs])
    for (arguments, _text), answer in zip(pairs, answers, strict=True):
        # As supervisor splits it: ProcessConfig.command through shlex.split (process.py, get_execv_args).
        assert shlex.split(first_process(answer)["command"]) == ["/bin/echo", *arguments]


@SIXTY
@given(values=ten(VALUES.filter(bool)))
def test_an_option_is_read_back_unchanged_or_refused(parser: Any, values: list[str]) -> None:
    pairs = written(quoting.option, values)
    answers = parser.read([f"[program:echo]\ncommand = /bin/echo\ndirectory = {text}\n" for _value, text in pairs])
    for (value, _text), answer in zip(pairs, answers, strict=True):
        assert first_process(answer)["directory"] == value


@SIXTY
@given(values=ten(VALUES))
def test_an_environment_is_read_back_unchanged_or_refused(parser: Any, values: list[str]) -> None:
    pairs = written(lambda value: quoting.environment({"FIRST": value, "SECOND": "2"}), values)
    # The expanded variable in the command shows the value; nothing splits it before.
    section = "[program:echo]\ncommand = %(ENV_FIRST)s|%(ENV_SECOND)s\nenvironment = "
    answers = parser.read([f"{section}{text}\n" for _value, text in pairs])
    for (value, _text), answer in zip(pairs, answers, strict=True):
        assert first_process(answer)["command"] == f"{value}|2"


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "\x00"])
def test_a_line_break_is_refused_everywhere(value: str) -> None:
    for write in (
        lambda text: quoting.command_line([text]),
        quoting.option,
        lambda text: quoting.environment({"A": text}),
    ):
        with pytest.raises(quoting.UnwritableError, match="control character"):
            write(value)


@pytest.mark.parametrize("text", ["plain", "50%", "it's", 'say "so"', "a  b", "é", "%(program_name)s", "a;b", "a #b"])
def test_an_ordinary_argument_is_not_refused(text: str) -> None:
    assert quoting.command_line([text])
