# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first run on a server meets what an admin has there, or what the server lacks."""

from __future__ import annotations

import re
from typing import Any

import pytest
from shared import play, server


def test_an_unreachable_index_leaves_the_server_as_it_was(host: Any) -> None:
    before = server.traces(host)
    index = ["--index-url", "http://127.0.0.1:9/simple"]
    run = play.run("apply", auth_pip_extra_args=index, auth_pip_environment={"PIP_RETRIES": "0"})
    said = play.verdict(run)
    assert f"{server.name(host)}: pip could not install superlance 2.0.0 into {server.VENV}" in said
    assert "auth_pip_extra_args" in said
    # pip keeps a cache in the user's home.
    assert [path for path in server.differences(before, server.traces(host)) if "/.cache" not in path] == []


@pytest.mark.thorough
def test_a_restart_of_a_server_that_was_never_tuned_names_apply(host: Any) -> None:
    before = server.traces(host)
    said = play.verdict(play.run("restart"))
    assert f"{server.name(host)}: {server.SUPERVISOR_CONF} was not written by this collection" in said
    assert "run the playbook apply first" in said
    assert server.differences(before, server.traces(host)) == {}


@pytest.mark.thorough
def test_limits_above_the_memory_are_refused_with_the_numbers(host: Any) -> None:
    before = server.traces(host)
    total = int(server.run(host, "awk '/^MemTotal/ {print $2}' /proc/meminfo")) // 1024
    said = play.verdict(play.run("apply", auth_worker_memory_limit="4096GB"))
    assert f"{server.name(host)}: the memory limits of 2 processes are {2 * 4096 * 1024} MB in all" in said
    there = re.search(r"the host has (\d+) MB for them beside all else that runs there", said)
    assert there
    assert 0 < int(there[1]) <= total
    assert "auth_memory_overcommit" in said
    allowed = play.run("apply", "--check", auth_worker_memory_limit="4096GB", auth_memory_overcommit=True)
    assert allowed.status == 0
    assert server.differences(before, server.traces(host)) == {}
