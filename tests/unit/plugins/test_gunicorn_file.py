# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What gunicorn's own configuration file gives is not overridden on the command line, unless that was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import variables
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import project

from tests.unit.plugins.rendering import look, render

TEXT = """\
import multiprocessing

bind = "127.0.0.1:8080"
workers = multiprocessing.cpu_count() * 2 + 1
if workers > 9:
    timeout = 60
else:
    timeout = 30
"""


def test_its_assignments_are_read_without_running_it(tmp_path: Path) -> None:
    path = tmp_path / "gunicorn.conf.py"
    assert project.gunicorn_settings(str(path)) is None
    path.write_text(TEXT)
    assert project.gunicorn_settings(str(path)) == {"bind": "127.0.0.1:8080", "workers": None, "timeout": None}
    path.write_text("bind = (")
    assert project.gunicorn_settings(str(path)) == {}


def on_disk(command: str) -> dict[str, Any]:
    processes = [{"name": "gunicorn", "command": command, "stopwaitsecs": 10, "always_runs": True}]
    return {"groups": [{"name": "myauth", "processes": processes}]}


GIVEN = {"bind": "127.0.0.1:8080", "workers": None, "timeout": None, "proc_name": "site"}
CASES: dict[str, tuple[str, set[str], set[str]]] = {
    "all from the file": ("gunicorn myauth.wsgi", set(), {"bind", "workers", "timeout"}),
    "some on the command line": ("gunicorn myauth.wsgi -w 3 --timeout=120", set(), {"bind"}),
    "an address that was set": ("gunicorn myauth.wsgi", {"auth_gunicorn_bind"}, {"workers", "timeout"}),
}


@pytest.mark.parametrize(("command", "explicit", "left"), CASES.values(), ids=list(CASES))
def test_it_gives_what_neither_the_command_nor_a_variable_does(
    defaults: dict[str, Any], command: str, explicit: set[str], left: set[str]
) -> None:
    info = {**look(defaults), "own_gunicorn_conf": GIVEN, "effective": on_disk(command)}
    found = variables.left_to_gunicorn(info, "myauth", explicit)
    assert set(found) == left
    declared, refusals = variables.declare(defaults, "auth1", (), found)
    assert refusals == []
    text = render(declared, {**info, "user": {"gid": 0, "group": "a"}})
    assert {name for name in ("bind", "workers", "timeout") if f"--{name}" not in text} == left
    # Where the site is asked whether it answers.
    expected = defaults["auth_gunicorn_bind"] if "bind" not in left else "127.0.0.1:8080"
    assert declared.gunicorn_options.bind == expected


def test_an_address_that_the_file_calculates_is_not_guessed(defaults: dict[str, Any]) -> None:
    declared, _refusals = variables.declare(defaults, "auth1", (), {"bind": None})
    assert declared.gunicorn_options.bind == ""
