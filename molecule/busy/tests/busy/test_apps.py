# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What community apps bring to a server: programs, and tasks that ask others who may not answer."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from shared import play, server

from lab.podman.hosts import ELSEWHERE

# As the bot's own guide has it in supervisor.conf, but that it does not count as running before it has asked Discord.
BOT = {"command": f"{server.VENV}/bin/python {server.PROJECT}/manage.py run_authbot", "startsecs": 90}

CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], 443))"


def test_a_bot_that_discord_does_not_know_is_named_and_taken_back(host: Any) -> None:
    before = server.configuration(host)
    said = play.verdict(play.run("apply", auth_extra_programs={"authbot": BOT}))
    assert server.healthy(host)
    assert server.configuration(host) == before
    assert f"{server.name(host)}: " in said
    assert "myauth:authbot" in said
    assert "The previous supervisor.conf is back, and its programs run." in said


@pytest.mark.parametrize("name", ELSEWHERE)
def test_who_asks_eve_or_discord_here_is_refused_at_once(host: Any, name: str) -> None:
    asked = host.run(shlex.join(["python3", "-c", CONNECT, name]))
    assert "ConnectionRefusedError" in asked.stderr
