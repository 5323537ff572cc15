# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two runs at once, the way back, and maintenance."""

from __future__ import annotations

import re
from typing import Any

import pytest
from shared import play, playbook, server

LOCK = "/run/allianceauth.tuning.lock"


def test_a_second_run_is_refused_and_the_first_ends_well(host: Any) -> None:
    server.keep_busy(host, "locked", 12)
    first = play.start("apply", auth_worker_concurrency=6)
    held = server.wait(lambda: host.run(f"cat {LOCK}").stdout, lambda text: '"owner"' in text)
    second = play.run("apply", auth_worker_concurrency=5)
    assert '"owner"' in held
    said = play.verdict(second)
    assert re.match(rf"{server.name(host)}: another run is at work here: \S+@\S+, process {first.pid} started at", said)
    assert "Wait for it and run again" in said
    assert playbook.finish(first).status == 0
    assert server.healthy(host)
    assert "--concurrency=6" in server.arguments(host)["worker_00"]
    assert server.done(host, "locked")


def test_rollback_returns_to_the_previous_file(host: Any) -> None:
    before = server.configuration(host)
    worker = server.arguments(host)["worker_00"]
    assert play.run("apply", auth_worker_concurrency=4).status == 0
    assert server.arguments(host)["worker_00"] != worker
    assert play.run("rollback").status == 0
    assert server.configuration(host) == before
    assert server.arguments(host)["worker_00"] == worker
    assert server.healthy(host)


@pytest.mark.thorough
def test_rollback_returns_to_a_kept_file_that_is_named(host: Any) -> None:
    before, files = server.configuration(host), server.kept(host)
    worker = server.arguments(host)["worker_00"]
    assert play.run("apply", auth_worker_concurrency=5).status == 0
    (named,) = server.kept(host) - files
    # It is not the newest any more.
    assert play.run("apply", "--tags", "configure", auth_worker_concurrency=4).status == 0
    assert max(server.kept(host)) > named
    assert play.run("rollback", auth_rollback_to=named).status == 0
    assert server.configuration(host) == before
    assert server.arguments(host)["worker_00"] == worker
    assert server.healthy(host)


def test_a_tag_does_its_part_alone(host: Any) -> None:
    processes = {name: text for name, text in server.traces(host).items() if name.startswith("process ")}
    run = play.run("apply", "--tags", "configure", auth_worker_concurrency=3)
    assert run.status == 0
    assert "--concurrency=3" in server.configuration(host)
    after = server.traces(host)
    assert processes == {name: text for name, text in after.items() if name.startswith("process ")}
    # What is left to do is seen though no file changes any more, and is not done unasked.
    assert play.run("apply", "--tags", "verify", auth_worker_concurrency=3).status != 0
    assert server.differences(after, server.traces(host)) == {}


@pytest.mark.thorough
def test_what_was_changed_since_supervisord_started_is_told_and_restarted(host: Any) -> None:
    found = "myauth is changed on disk since supervisord read its configuration"
    assert play.run("apply", "--tags", "configure", auth_worker_concurrency=3).status == 0
    before = server.traces(host)
    checked = play.run("apply", "--check", "--diff", auth_worker_concurrency=3)
    assert checked.status == 0
    assert found in " ".join(checked.output.split())
    assert "supervisord would be restarted" in checked.output
    assert server.differences(before, server.traces(host)) == {}
    run = play.run("apply", auth_worker_concurrency=3)
    assert run.status == 0
    assert found in " ".join(run.output.split())
    assert "supervisord was restarted" in run.output
    assert "--concurrency=3" in server.arguments(host)["worker_00"]
    assert server.healthy(host)


def test_drain_stops_all_and_start_brings_all_back(host: Any) -> None:
    server.keep_busy(host, "drained", 8)
    run = play.run("drain")
    assert run.status == 0
    said = " ".join(run.output.split())
    assert "these are stopped: " in said
    assert "The site is down. They start again with the playbook allianceauth.tuning.start" in said
    states = {name: state for name, state in server.states(host).items() if not name.startswith("memmon")}
    assert set(states.values()) <= {"STOPPED", "EXITED"}
    assert not server.users(host, r"/bin/(celery|gunicorn)\b")
    assert server.done(host, "drained")
    assert play.run("drain", "--tags", "start").status == 0
    assert server.healthy(host)
