# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults that a run sees before it touches anything."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from shared import faults, play, server

Fault = Callable[[Any], AbstractContextManager[None]]

FAULTS: dict[str, tuple[Fault, str, str]] = {
    "no venv": (
        lambda host: faults.moved(host, server.VENV),
        f"{server.VENV} is no virtual environment",
        "set auth_venv to the one of Alliance Auth",
    ),
    "no celery": (
        lambda host: faults.moved(host, f"{server.VENV}/bin/celery"),
        f"{server.VENV}/bin/celery is missing or cannot be executed",
        "install it there first",
    ),
    "settings that do not load": (
        lambda host: faults.moved(host, f"{server.PROJECT}/myauth/settings/local.py"),
        "myauth does not load any more, so that nothing would come back from a restart: ModuleNotFoundError: ",
        f"repair it in {server.PROJECT} first",
    ),
    "an invalid neighbour": (
        lambda host: faults.written(host, f"{server.CONF_D}/broken.conf", "[program:oops]\n"),
        "program section program:oops does not specify a command",
        f"{server.CONF_D}/broken.conf",
    ),
    "a neighbour with a worker": (
        lambda host: faults.written(host, f"{server.CONF_D}/other.conf", "[program:worker]\ncommand = /bin/true\n"),
        f"{server.CONF_D}/other.conf defines [program:worker] as well",
        "as well: rename it there",
    ),
    "a log folder that is read-only": (
        lambda host: faults.read_only(host, server.LOG_DIR),
        f"{server.LOG_DIR}/worker.log cannot be written: Read-only file system",
        "(worker_00)",
    ),
    "a full disk": (
        lambda host: faults.full(host, server.CONF_D),
        "No space left on device while writing",
        "the configuration is as it was",
    ),
    "no Redis": (
        lambda host: faults.stopped(host, "redis-server", "redis-cli ping | grep PONG"),
        "Redis does not answer",
        "sudo systemctl start redis-server",
    ),
}


MODES = {"checked": ["--check", "--diff"], "run": []}

CASES = [
    pytest.param(*case, mode, marks=[] if name == "run" else pytest.mark.thorough, id=f"{fault}-{name}")
    for fault, case in FAULTS.items()
    for name, mode in MODES.items()
    # A check writes nothing, so it needs no space.
    if (fault, name) != ("a full disk", "checked")
]


@pytest.mark.parametrize(("fault", "thing", "way_out", "mode"), CASES)
def test_it_is_refused_and_nothing_is_touched(
    host: Any, fault: Fault, thing: str, way_out: str, mode: list[str]
) -> None:
    with fault(host):
        before = server.traces(host)
        run = play.run("apply", *mode, auth_worker_concurrency=7)
        said = play.verdict(run)
        assert said.startswith(f"{server.name(host)}: ")
        assert thing in said
        assert way_out in said
        assert server.differences(before, server.traces(host)) == {}
    assert server.healthy(host)


@pytest.mark.parametrize("mode", MODES.values(), ids=list(MODES))
def test_a_memmon_that_could_not_reach_supervisord_is_refused(host: Any, mode: list[str]) -> None:
    before = server.traces(host)
    said = play.verdict(play.run("apply", *mode, auth_memmon_user="nobody"))
    assert said.startswith(f"{server.name(host)}: ")
    assert "may not connect to /var/run/supervisor.sock" in said
    assert "auth_memmon_user" in said
    assert server.differences(before, server.traces(host)) == {}
    assert server.healthy(host)
