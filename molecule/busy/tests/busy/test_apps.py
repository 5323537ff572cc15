# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What community apps bring to a server: tasks that ask others who may not answer."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from lab.podman.hosts import ELSEWHERE

CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], 443))"


@pytest.mark.parametrize("name", ELSEWHERE)
def test_who_asks_eve_or_discord_here_is_refused_at_once(host: Any, name: str) -> None:
    asked = host.run(shlex.join(["python3", "-c", CONNECT, name]))
    assert "ConnectionRefusedError" in asked.stderr
