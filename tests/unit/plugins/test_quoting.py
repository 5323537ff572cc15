# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever can be written reaches a process unchanged, read back by supervisor's own parser."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils import configuration, quoting
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

# What the parsers between a variable and a process treat specially, more often than chance would.
NASTY = st.sampled_from(
    [" ;", " #", ";", "#", "%", "%%", "%(here)s", "%(ENV_HOME)s", "'", '"', "\\", " ", "=", ",", "\u00a0;", "é", "$", "[x]", ":"]
)
VALUES = st.lists(st.one_of(NASTY, st.text(max_size=5)), max_size=6).map("".join)


@pytest.fixture(scope="module")
def main_conf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("supervisor")
    (folder / "conf.d").mkdir()
    main = folder / "supervisord.conf"
    main.write_text("[supervisord]\n[include]\nfiles = conf.d/*.conf\n")
    return main


def read_back(main_conf: Path, section: str) -> dict[str, Any]:
    overlay = configuration.overlay_for(str(main_conf.parent / "conf.d/auth.conf"), "", section)
    (group,) = configuration.effective(str(main_conf), overlay)["groups"]
    process: dict[str, Any] = group["processes"][0]
    return process


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arguments=st.lists(VALUES, min_size=1, max_size=5))
def test_a_command_line_reaches_the_process_unchanged_or_is_refused(main_conf: Path, arguments: list[str]) -> None:
    try:
        written = quoting.command_line(["/bin/echo", *arguments])
    except quoting.Unwritable as why:
        assert "control character" in str(why) or "Unicode" in str(why)
        return
    process = read_back(main_conf, f"[program:echo]\ncommand = {written}\n")
    # As supervisor splits it: ProcessConfig.command through shlex.split (process.py, get_execv_args).
    assert shlex.split(process["command"]) == ["/bin/echo", *arguments]


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=VALUES.filter(bool))
def test_an_option_is_read_back_unchanged_or_refused(main_conf: Path, value: str) -> None:
    try:
        written = quoting.option(value)
    except quoting.Unwritable as why:
        assert str(why)
        return
    process = read_back(main_conf, f"[program:echo]\ncommand = /bin/echo\ndirectory = {written}\n")
    assert process["directory"] == value


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=VALUES)
def test_an_environment_is_read_back_unchanged_or_refused(main_conf: Path, value: str) -> None:
    try:
        written = quoting.environment({"FIRST": value, "SECOND": "2"})
    except quoting.Unwritable as why:
        assert str(why)
        return
    # The expanded variable in the command shows the value; shlex leaves it as it is in quotes.
    section = f"[program:echo]\ncommand = %(ENV_FIRST)s|%(ENV_SECOND)s\nenvironment = {written}\n"
    assert read_back(main_conf, section)["command"] == f"{value}|2"


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "\x00"])
def test_a_line_break_is_refused_everywhere(value: str) -> None:
    for write in (lambda text: quoting.command_line([text]), quoting.option, lambda text: quoting.environment({"A": text})):
        with pytest.raises(quoting.Unwritable, match="control character"):
            write(value)
