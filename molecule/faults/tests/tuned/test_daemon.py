# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""supervisord is not there, or is not the one that started what runs."""

from __future__ import annotations

import re
from typing import Any

import pytest
from shared import play, server


def orphans(host: Any) -> set[str]:
    """Return the Celery and gunicorn processes that belong to no supervisord, by number.

    A memmon without supervisord ends by itself, sooner or later.
    """
    ours = rf"{server.VENV}/bin/(celery|gunicorn) "
    rows = [line.split(None, 2) for line in server.run(host, "ps -eo pid,ppid,args --no-headers").splitlines()]
    return {pid for pid, parent, command in rows if parent == "1" and re.search(ours, command)}


def main_pid(host: Any) -> str:
    return server.run(host, "systemctl show -p MainPID --value supervisor").strip()


def test_a_stopped_supervisord_is_started(host: Any) -> None:
    server.run(host, "systemctl stop supervisor")
    before = server.traces(host)
    checked = play.run("apply", "--check", "--diff")
    assert checked.status == 0
    assert "supervisord would be restarted" in checked.output
    assert "supervisord does not answer at unix:///var/run/supervisor.sock" in " ".join(checked.output.split())
    assert server.differences(before, server.traces(host)) == {}
    run = play.run("apply")
    assert run.status == 0
    assert "supervisord does not answer at unix:///var/run/supervisor.sock" in " ".join(run.output.split())
    assert server.healthy(host)


@pytest.mark.thorough
def test_a_log_folder_that_is_gone_is_made_again_and_written(host: Any) -> None:
    gone = f"the folder {server.LOG_DIR} is gone, into which supervisord logs"
    server.run(host, f"mv {server.LOG_DIR} {server.LOG_DIR}.away")
    checked = play.run("apply", "--check", "--diff")
    assert checked.status == 0
    assert gone in " ".join(checked.output.split())
    assert not host.file(server.LOG_DIR).exists
    run = play.run("apply")
    assert run.status == 0
    assert gone in " ".join(run.output.split())
    folder = host.file(server.LOG_DIR)
    assert (folder.user, folder.group, folder.mode) == ("root", server.USER, 0o750)
    assert server.log_size(host, "worker.log") > 0
    assert server.healthy(host)


def test_what_a_killed_supervisord_leaves_behind_is_drained(host: Any) -> None:
    server.keep_busy(host, "left", 20)
    server.run(host, f"kill -9 {main_pid(host)}")
    left = orphans(host)
    assert len(left) > 3
    run = play.run("apply", auth_worker_stopwaitsecs=60)
    assert run.status == 0
    assert server.healthy(host)
    assert orphans(host) & left == set()
    assert server.done(host, "left")
    said = " ".join(run.output.split())
    for pid in left:
        assert f"(process {pid}) runs on from an earlier supervisord" in said


@pytest.mark.thorough
def test_a_supervisord_that_is_frozen_is_replaced_and_tasks_finish(host: Any) -> None:
    server.keep_busy(host, "frozen", 30)
    number = main_pid(host)
    server.run(host, f"kill -STOP {number}")
    run = play.run("apply", auth_worker_stopwaitsecs=60)
    assert run.status == 0
    assert "supervisord does not answer at unix:///var/run/supervisor.sock" in " ".join(run.output.split())
    assert main_pid(host) != number
    assert orphans(host) == set()
    assert server.done(host, "frozen")
    assert server.healthy(host)


@pytest.mark.thorough
def test_an_orphan_beside_a_new_supervisord_is_drained(host: Any) -> None:
    server.keep_busy(host, "orphan", 30)
    server.run(host, f"kill -9 {main_pid(host)}")
    left = orphans(host)
    server.run(host, "systemctl restart supervisor")
    assert left <= orphans(host)
    run = play.run("apply", auth_worker_stopwaitsecs=60)
    assert run.status == 0
    assert server.healthy(host)
    assert orphans(host) == set()
    assert server.done(host, "orphan")
    said = " ".join(run.output.split())
    for pid in left:
        assert f"(process {pid}) runs on from an earlier supervisord" in said


def test_an_orphan_that_does_not_end_calls_the_run_off(host: Any) -> None:
    before = server.configuration(host)
    server.keep_busy(host, "stubborn")
    server.run(host, f"kill -9 {main_pid(host)}")
    (worker,) = [pid for pid in orphans(host) if "worker_00" in server.run(host, f"cat /proc/{pid}/cmdline")]
    for pid in orphans(host) - {worker}:
        server.run(host, f"kill {pid}")
    server.wait(lambda: orphans(host), lambda left: left == {worker})
    server.run(host, "systemctl restart supervisor")
    assert server.wait(lambda: server.healthy(host), bool)
    # Whoever is idle needs no longer, on a busy machine either.
    said = play.verdict(play.run("apply", auth_worker_concurrency=6, auth_worker_stopwaitsecs=20))
    assert f"{server.name(host)}: the orphan {worker} did not stop in time, so the run was called off." in said
    assert server.configuration(host) == before
    assert server.healthy(host)
    assert server.done_once_released(host, "stubborn")


@pytest.mark.thorough
def test_the_main_process_of_another_unit_is_no_orphan(host: Any) -> None:
    # Its parent is PID 1, too.
    gunicorn = f"{server.VENV}/bin/gunicorn myauth.wsgi --bind 127.0.0.1:8010 --workers 1"
    user = f"--uid={server.USER} --working-directory={server.PROJECT}"
    server.run(host, f"systemd-run --quiet --unit own-gunicorn {user} {gunicorn}")
    try:
        number = server.run(host, "systemctl show -p MainPID --value own-gunicorn").strip()
        assert server.wait(lambda: host.run("ss -Hltn sport = 8010").stdout, bool)
        assert number in orphans(host)
        run = play.run("apply", auth_worker_concurrency=4)
        assert run.status == 0
        assert "runs on from an earlier supervisord" not in " ".join(run.output.split())
        assert server.run(host, "systemctl show -p MainPID --value own-gunicorn").strip() == number
        assert server.healthy(host)
    finally:
        server.run(host, "systemctl stop own-gunicorn")
