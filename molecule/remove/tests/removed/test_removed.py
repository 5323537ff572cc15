# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way out, step by step: each test goes on where the one before has ended."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from shared import play, playbook, server

NOTES = "/var/lib/allianceauth.tuning"
STAMP = r"\.\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ"
# Logs that supervisord has written meanwhile: nobody deletes those.
DATED = re.compile(rf"{server.PROJECT}/log/\w+\.log(\.\d+)?{STAMP}")


def left(host: Any) -> dict[str, tuple[str, str]]:
    """Return what is not as it was on the stock server."""
    stock = json.loads((playbook.EPHEMERAL / f"{server.name(host)}.json").read_text())
    return server.differences(stock, server.contents(host))


def test_check_mode_shows_it_and_changes_nothing(host: Any) -> None:
    before = server.traces(host)
    run = play.run("remove", "--check", "--diff")
    assert run.status == 0
    assert f"{server.name(host)}: this would be done:" in run.output
    assert f"  {server.SUPERVISOR_CONF}: as before the first run\n" in run.output
    assert "  superlance, supervisor: out of the virtual environment\n" in run.output
    assert "  /etc/supervisor/myauth.gunicorn.py: gone\n" in run.output
    assert f"  {server.LOG_DIR}/worker.log: in {server.PROJECT}/log, with a date\n" in run.output
    assert "  supervisord: restarted with it\n" in run.output
    # The diff.
    assert "+    --concurrency=5\n" in run.output
    assert server.differences(before, server.traces(host)) == {}


def test_the_server_is_as_before_the_first_run(host: Any) -> None:
    server.keep_busy(host, "removed", 12)
    written = server.run(host, f"cat {server.LOG_DIR}/worker.log")
    run = play.run("remove")
    assert run.status == 0
    assert server.done(host, "removed")
    differing = left(host)
    logs = [path for path in differing if DATED.fullmatch(path)]
    assert set(differing) - set(logs) == set()
    # The drop-in is gone for systemd, too, and not only from the disk.
    assert server.stop_time(host) == (playbook.EPHEMERAL / f"{server.name(host)}.stop").read_text()
    (worker,) = [path for path in logs if "/worker.log" in path]
    assert server.run(host, f"cat {worker}").startswith(written)
    assert server.states(host)["myauth:worker_00"] == "RUNNING"
    assert set(server.nodes(host)) == {"celery@worker_00", "celery@worker_services_00"}
    assert server.wait(lambda: host.run(server.get("/account/login/")).stdout, lambda said: said == "200\n") == "200\n"
    # Root's alone, as the main file has it.
    assert "srwx------ 1 root root" in server.run(host, "ls -l /run/supervisor.sock")
    assert server.run(host, "systemctl list-units --all --no-legend 'allianceauth-tuning-*'") == ""


def test_a_second_time_there_is_nothing_to_do(host: Any) -> None:
    run = play.run("remove")
    assert run.status == 0
    assert run.changed == {server.name(host): 0}


def test_superlance_stays_if_it_is_wanted_and_hand_work_in_any_case(host: Any) -> None:
    assert play.run("apply").status == 0
    # Somebody edits the file, and a run keeps that.
    server.run(host, f"sed -i 's/^startsecs = 10$/startsecs = 11/' {server.SUPERVISOR_CONF}")
    edited = server.configuration(host)
    settings = {name: {"startsecs": 12} for name in ("beat", "worker", "worker_services")}
    assert play.run("apply", auth_program_settings=settings).status == 0
    (kept,) = [name for name in server.kept(host) if host.file(f"{server.CONF_D}/{name}").content_string == edited]
    run = play.run("remove", auth_remove_superlance=False)
    assert run.status == 0
    assert f"what somebody has written by hand stays: {server.CONF_D}/{kept}" in " ".join(run.output.split())
    assert server.kept(host) == {kept}
    assert host.file(f"{server.VENV}/bin/memmon").exists
    assert "startsecs = 10\n" in server.configuration(host)


@pytest.mark.thorough
def test_without_the_first_file_its_values_stay_in_the_guides_layout(host: Any) -> None:
    assert play.run("apply", auth_worker_concurrency=7).status == 0
    # As if more runs than are kept had come since.
    server.run(host, f"rm -r {NOTES} {server.CONF_D}/.myauth.conf.20*")
    checked = " ".join(play.run("remove", "--check").output.split())
    run = play.run("remove")
    assert run.status == 0
    said = "the file of before the first run is not kept any more"
    assert said in checked
    assert said in " ".join(run.output.split())
    assert host.file(server.SUPERVISOR_CONF).linked_to == f"{server.PROJECT}/supervisor.conf"
    own = host.file(f"{server.PROJECT}/supervisor.conf")
    assert (own.is_symlink, own.user, own.group, own.mode) == (False, server.USER, server.USER, 0o640)
    assert "--concurrency=7" in server.arguments(host)["worker_00"]
    assert server.LOG_DIR not in own.content_string
    assert server.healthy(host)
    assert server.run(host, f"ls -A {server.CONF_D}").split() == ["myauth.conf"]
    assert server.run(host, "ls -A /etc/supervisor").split() == ["conf.d", "supervisord.conf"]
