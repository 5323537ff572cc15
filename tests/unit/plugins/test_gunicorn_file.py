# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What gunicorn's own configuration file gives is not overridden on the command line, unless that was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import gunicorn_file, variables
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import project

from tests.unit.plugins.rendering import look, render

NOTHING_KNOWN = {"bind": None, "timeout": None, "workers": None}
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
    path.write_text("bind: str = '127.0.0.1:8080'\nworkers: int\n")
    assert project.gunicorn_settings(str(path)) == {"bind": "127.0.0.1:8080"}
    # It may give anything, and what is not known must not be overridden.
    path.write_text("bind = (")
    assert project.gunicorn_settings(str(path)) == NOTHING_KNOWN


@pytest.mark.parametrize("text", ["-" * 100_000, "(" * 100_000, "a" + ".b" * 100_000, "bind = (", "bind = '\0'"])
def test_a_file_that_pythons_parser_gives_up_may_give_anything(tmp_path: Path, text: str) -> None:
    path = tmp_path / "gunicorn.conf.py"
    path.write_text(text)
    assert project.gunicorn_settings(str(path)) == NOTHING_KNOWN


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        ("-c {file}", {"workers": 9}),
        ("-c{file}", {"workers": 9}),
        ("--config={file}", {"workers": 9}),
        ("--config file:site.py", {"workers": 9}),
        ("-c python:site.conf", NOTHING_KNOWN),
        ("-c {file}.old", NOTHING_KNOWN),
        ("-c /etc/supervisor/myauth.gunicorn.py", None),
        ("--preload", None),
    ],
)
def test_the_file_that_the_command_names_is_read_as_well(
    tmp_path: Path, arguments: str, settings: dict[str, Any] | None
) -> None:
    path = tmp_path / "site.py"
    path.write_text("workers = 9\n")
    process = {
        "name": "gunicorn",
        "command": f"/venv/bin/gunicorn myauth.wsgi {arguments.format(file=path)}",
        "directory": str(tmp_path),
    }
    found = project.named_gunicorn_conf([process], "/etc/supervisor/myauth.gunicorn.py")
    assert (found["settings"] if found else None) == settings


def test_an_argument_of_another_program_names_no_file_of_gunicorns() -> None:
    other = {"name": "memmon", "command": "memmon -c -p worker_00=300MB", "directory": None}
    assert project.named_gunicorn_conf([other], "") is None


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
    found = gunicorn_file.left_to_it(info, "myauth", explicit)
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


NAMED = {"file": "/home/a/gunicorn.conf.py", "settings": {"bind": "127.0.0.1:8080", "workers": 9}}
STAYS: dict[str, tuple[dict[str, Any], bool, set[str]]] = {
    "before anybody has decided": ({}, False, {"bind", "workers"}),
    "as it was offered": ({"auth_gunicorn_options": ["-c", NAMED["file"]]}, False, {"bind", "workers"}),
    "in other words": ({"auth_gunicorn_options": [f"--config={NAMED['file']}"]}, True, {"bind", "workers"}),
    "with workers that were set": (
        {"auth_gunicorn_options": ["-c", NAMED["file"]], "auth_gunicorn_workers": 3},
        False,
        {"bind"},
    ),
    # The next look would find no file, and other arguments would have to be there than this run has written.
    "another one": ({"auth_gunicorn_options": ["-c", "/home/a/new.py"]}, False, set()),
    "given up in the variables": ({"auth_gunicorn_options": []}, False, set()),
    "no longer in the variables": ({}, True, set()),
    "given up by name": ({"auth_discard": ["program:gunicorn -c"]}, False, set()),
}


@pytest.mark.parametrize(("given", "tuned", "left"), STAYS.values(), ids=list(STAYS))
def test_the_file_that_the_command_names_gives_what_it_gives_as_long_as_it_stays(
    defaults: dict[str, Any], given: dict[str, Any], tuned: bool, left: set[str]
) -> None:
    info = {
        **look(defaults),
        "tuned": tuned,
        "named_gunicorn_conf": NAMED,
        "effective": on_disk(f"gunicorn myauth.wsgi -c {NAMED['file']}"),
    }
    found = gunicorn_file.left_to_it(info, "myauth", given, {**defaults, **given})
    assert set(found) == left
    declared, refusals = variables.declare({**defaults, **given}, "auth1", (), found)
    assert refusals == []
    text = render(declared, {**info, "user": {"gid": 0, "group": "a"}})
    assert ("--bind" in text, "--workers" in text) == ("bind" not in left, "workers" not in left)
