# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the guide's layout and its own line do on this very server, so that the other tests can fail."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from memory import leaks, rights
from shared import server

FILE = f"{server.PROJECT}/supervisor.conf"
LIMIT = 256 * leaks.MEGABYTE


@pytest.fixture(scope="module", autouse=True)
def memmon(host: Any) -> Iterator[None]:
    """Have superlance, and the file that Alliance Auth generates for those who have it; a tick is five seconds."""
    server.as_user(host, f"{server.VENV}/bin/pip install --quiet superlance==2.0.0")
    stock = server.run(host, f"cat {FILE}")
    assert "-p worker=256MB" in stock
    text = stock.replace("AA_COMMAND_MEMMON = None", f"AA_COMMAND_MEMMON = {server.VENV}/bin/memmon")
    leaks.place(host, FILE, text.replace("TICK_60", "TICK_5"), server.USER)
    # What is in an environment of the daemon itself comes with a restart alone.
    server.run(host, "supervisorctl shutdown; systemctl restart supervisor")
    leaks.all_running(host)
    yield
    leaks.place(host, FILE, stock, server.USER)


@pytest.mark.thorough
def test_the_guides_line_does_nothing_to_a_worker_that_leaks(host: Any) -> None:
    before = leaks.all_running(host)
    key = leaks.task(host, "leak", "unseen", "celery", seconds=6, rate=60)
    assert leaks.finished(host, key) == ["start", "end"]
    assert leaks.rss(host, before["myauth:worker_00"]) > LIMIT
    start = server.log_size(host, "memmon.log")
    looks = server.wait(lambda: server.log(host, "memmon.log", start).count("worker=268435456"), lambda seen: seen > 2)
    assert looks > 2
    assert "worker_00" not in server.log(host, "memmon.log")
    assert leaks.pids(host) == before


def test_the_search_finds_what_the_auth_user_can_change(host: Any) -> None:
    found = rights.root_files(host).changeable
    for path in (FILE, server.PROJECT, f"{server.VENV}/bin/memmon", f"{server.VENV}/bin", f"{server.PROJECT}/log"):
        assert path in found


def test_memmon_is_root(host: Any) -> None:
    assert server.users(host, r"/bin/memmon\b") == {"root"}


def test_what_the_auth_user_adds_to_the_file_roots_daemon_would_start(host: Any) -> None:
    server.as_user(host, f"printf '{rights.SECTION}' >> {FILE}")
    assert re.search(r"(?m)^intruder: available$", server.run(host, "supervisorctl reread"))
