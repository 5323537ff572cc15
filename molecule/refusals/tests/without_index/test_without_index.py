# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""superlance without a package index: a run that cannot have it, then one that has a folder of wheels."""

from __future__ import annotations

from typing import Any

import pytest
from shared import playbook, server

WHEELS = "/home/allianceserver/wheels"

# Programs of the auth user's that say as whom they were run.
PROGRAMS, RUN_AS = "/home/allianceserver/programs", "/home/allianceserver/run-as"
IMPOSTOR = f"#!/bin/sh\\n/usr/bin/id -un >>{RUN_AS}\\nexit 1\\n"

# Quotes, a semicolon, a percent sign and spaces mean something to supervisor, not to a program;
# and what looks like JSON or a truth value does to ansible-core before 2.19.
ARGUMENTS = ['it\'s 100% "true"; %(really)s', '{"a": [1]}', "[1, 2]", "True"]
# supervisor cannot read both kinds of quotation marks in an environment.
VARIABLES = {
    "LAB_TEXT": "it's 100% true; %(really)s",
    "LAB_JSON": '{"a": [1]}',
    "LAB_LIST": "[1, 2]",
    "LAB_TRUE": "True",
}


@pytest.fixture(scope="module")
def tuned(host: Any) -> playbook.Run:
    """Run with superlance from a folder alone, and with a program that gets a text to be careful with."""
    server.as_user(host, f"{server.VENV}/bin/pip download --quiet --dest {WHEELS} superlance==2.0.0")
    command = ["/usr/bin/python3", "-c", "import time; time.sleep(86400)", *ARGUMENTS]
    variables = {
        "auth_pip_extra_args": ["--no-index", "--find-links", WHEELS],
        # What the auth user can write comes first.
        "auth_environment": {"PATH": f"{PROGRAMS}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"},
        "auth_extra_programs": {"bot": {"command": command, "environment": VARIABLES}},
    }
    for name in ("celery", "env", "python", "python3", "runuser", "sh", "sudo"):
        server.as_user(host, f"mkdir -p {PROGRAMS} && printf '{IMPOSTOR}' >{PROGRAMS}/{name}")
    server.as_user(host, f"chmod +x {PROGRAMS}/* && touch {RUN_AS} && chmod a+w {RUN_AS}")
    run = playbook.apply(*playbook.extra_vars(variables))
    assert run.status == 0, run.sentence
    return run


def test_an_unreachable_index_fails_the_run_and_leaves_the_server_running(host: Any) -> None:
    before = server.traces(host)
    run = playbook.apply(
        *playbook.extra_vars(
            {
                "auth_pip_extra_args": ["--index-url", "http://127.0.0.1:9/simple"],
                "auth_pip_environment": {"PIP_RETRIES": "0"},
            }
        )
    )
    assert run.status != 0
    assert "pip could not install superlance 2.0.0" in run.output
    assert "The server runs on as before." in run.output
    # pip keeps a cache in the user's home.
    changed = [name for name in server.differences(before, server.traces(host)) if "/.cache" not in name]
    assert changed == []


def test_the_first_run_says_why_the_site_was_away(tuned: playbook.Run) -> None:
    said = "(without a second gunicorn: the running gunicorn does not share its address)"
    assert said in " ".join(tuned.output.split())


@pytest.mark.usefixtures("tuned")
def test_root_runs_nothing_that_the_programs_path_names(host: Any) -> None:
    assert "root" not in server.run(host, f"cat {RUN_AS}").split()


def test_a_folder_of_wheels_is_enough(host: Any, tuned: playbook.Run) -> None:
    assert all(tuned.changed.values())
    assert "Version: 2.0.0" in server.as_user(host, f"{server.VENV}/bin/pip show superlance 2>&1")


@pytest.mark.usefixtures("tuned")
def test_what_comes_from_the_folder_belongs_to_the_auth_user(host: Any) -> None:
    assert server.run(host, f"find {server.VENV} -not -user {server.USER}") == ""


@pytest.mark.usefixtures("tuned")
def test_legal_values_reach_the_program_unchanged(host: Any) -> None:
    assert server.arguments(host)["bot"][3:] == ARGUMENTS
    pid = server.run(host, "supervisorctl pid myauth:bot").strip()
    # A container's root may not read it.
    found = server.as_user(host, f"cat /proc/{pid}/environ").split("\0")
    assert {f"{name}={value}" for name, value in VARIABLES.items()} <= set(found)
