# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Discord bot, the real one, whose token nobody knows at Discord: it ends soon after each start."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from shared import play, server

COMMAND = f"{server.VENV}/bin/python {server.PROJECT}/manage.py run_authbot"
SECTION = f"[program:authbot]\ncommand = {COMMAND}\ndirectory = {server.PROJECT}\nuser = {server.USER}\n"
# It ends long before, however slow the machine is.
OPTIONS = {"startsecs": 600, "startretries": 1}


@pytest.mark.thorough
def test_the_run_that_brings_it_goes_back(host: Any) -> None:
    before = server.configuration(host)
    bot = {"authbot": {"command": COMMAND, **OPTIONS}}
    said = play.verdict(play.run("apply", auth_extra_programs=bot))
    assert "supervisord gave up starting myauth:authbot: " in said
    assert "The previous supervisor.conf is back, and its programs run." in said
    assert server.configuration(host) == before
    assert server.healthy(host)


@pytest.mark.thorough
def test_where_it_did_not_work_before_it_is_named_and_all_else_is_done(host: Any) -> None:
    section = shlex.quote(SECTION + "".join(f"{name} = {value}\n" for name, value in OPTIONS.items()))
    server.run(host, f"printf %s {section} > {server.CONF_D}/authbot.conf && supervisorctl update authbot")
    assert server.wait(lambda: server.states(host)["authbot"], lambda state: state == "FATAL") == "FATAL"
    run = play.run("apply", auth_worker_concurrency=9)
    assert run.status == 0
    assert "authbot:authbot was FATAL" in " ".join(run.output.split())
    states = server.states(host)
    assert states.pop("authbot") != "RUNNING"
    assert set(states.values()) == {"RUNNING"}
    assert "--concurrency=9" in server.arguments(host)["worker_00"]
