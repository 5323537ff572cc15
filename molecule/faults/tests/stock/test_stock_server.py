# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first run on a server meets what an admin has there, or what the server lacks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from shared import play, server

FILE = f"{server.PROJECT}/supervisor.conf"

BOT = "[program:authbot]"
UMASK = "umask in [program:worker]"
ARGUMENT = "the argument --max-tasks-per-child in [program:worker]"

# What keeps each of them, as the sentences say.
KEEPERS = {
    BOT: "auth_workers (if it is a Celery worker) or auth_extra_programs.authbot",
    UMASK: "auth_program_settings.worker.umask",
    ARGUMENT: "options of worker in auth_workers",
}


@pytest.fixture
def by_hand(host: Any) -> Iterator[None]:
    """Have a supervisor.conf that an admin has worked on."""
    server.run(host, f"cp -a {FILE} {FILE}.stock")
    argument = r"s/^\( *\)-n %(program_name)s_%(process_num)02d$/&\n\1--max-tasks-per-child=50/"
    edits = rf"{argument}; s/^killasgroup.*/&\numask = 027/"
    server.run(host, rf"sed -i '/^\[program:worker\]/,/^\[program:worker_services\]/ {{ {edits} }}' {FILE}")
    bot = "\\n[program:authbot]\\ncommand = /bin/sleep 1d\\n"
    server.run(host, f"printf '{bot}' >> {FILE}")
    yield
    server.run(host, f"mv {FILE}.stock {FILE}")


def test_an_unreachable_index_leaves_the_server_as_it_was(host: Any) -> None:
    before = server.traces(host)
    index = ["--index-url", "http://127.0.0.1:9/simple"]
    run = play.run("apply", auth_pip_extra_args=index, auth_pip_environment={"PIP_RETRIES": "0"})
    said = play.verdict(run)
    assert f"{server.name(host)}: pip could not install superlance 2.0.0 into {server.VENV}" in said
    assert "auth_pip_extra_args" in said
    # pip keeps a cache in the user's home.
    assert [path for path in server.differences(before, server.traces(host)) if "/.cache" not in path] == []


@pytest.mark.usefixtures("by_hand")
def test_what_was_added_by_hand_is_refused_with_what_keeps_it(host: Any) -> None:
    before = server.traces(host)
    said = play.verdict(play.run("apply"))
    for thing, keeper in KEEPERS.items():
        assert f"{thing}: keep it with {keeper}" in said
    assert "auth_discard" in said
    assert server.differences(before, server.traces(host)) == {}


@pytest.mark.usefixtures("by_hand")
def test_what_is_discarded_goes_and_nothing_else(host: Any) -> None:
    before = server.traces(host)
    discard = ["program:authbot", "program:worker --max-tasks-per-child"]
    said = play.verdict(play.run("apply", auth_discard=discard))
    assert UMASK in said
    assert BOT not in said
    assert ARGUMENT not in said
    assert play.run("apply", "--check", auth_discard=[*discard, "program:worker.umask"]).status == 0
    assert server.differences(before, server.traces(host)) == {}


@pytest.mark.usefixtures("by_hand")
def test_the_variables_that_are_named_keep_it() -> None:
    run = play.run(
        "apply",
        *("--check", "--diff"),
        auth_extra_programs={"authbot": {"command": "/bin/sleep 1d"}},
        auth_program_settings={"worker": {"umask": "027"}},
        auth_workers=[{"name": "worker", "options": ["--max-tasks-per-child=50"]}],
    )
    assert run.status == 0
    # Line by line it may be a mere move.
    for line in (r"\[program:authbot\]", "umask = 027", " +--max-tasks-per-child=50"):
        assert re.search(rf"(?m)^[+ ]{line}$", run.output)


def test_limits_above_the_memory_are_refused_with_the_numbers(host: Any) -> None:
    before = server.traces(host)
    total = int(server.run(host, "awk '/^MemTotal/ {print $2}' /proc/meminfo")) // 1024
    said = play.verdict(play.run("apply", auth_worker_memory_limit="4096GB"))
    assert f"{server.name(host)}: the memory limits of 2 processes are {2 * 4096 * 1024} MB in all" in said
    assert f"the host has {total} MB" in said
    assert "auth_memory_overcommit" in said
    allowed = play.run("apply", "--check", auth_worker_memory_limit="4096GB", auth_memory_overcommit=True)
    assert allowed.status == 0
    assert server.differences(before, server.traces(host)) == {}
