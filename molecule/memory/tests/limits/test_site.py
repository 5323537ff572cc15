# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""httpok and a site that hangs."""

from __future__ import annotations

from typing import Any

from memory import leaks
from shared import server


def test_a_site_that_hangs_is_restarted(host: Any) -> None:
    before = leaks.all_running(host)
    start = server.log_size(host, "httpok.log")
    # The master lives, so connections are still accepted; whoever would answer does not.
    server.run(host, f"pkill -STOP -P {before['myauth:gunicorn']}")
    assert host.run(f"timeout 5 {server.get('/account/login/')}").rc == 124
    after = leaks.until_restarted(host, "myauth:gunicorn", before)
    assert leaks.restarted(before, after) == {"myauth:gunicorn"}
    said = server.log(host, "httpok.log", start)
    assert "myauth:gunicorn is in RUNNING state, restarting\n" in said
    assert server.run(host, server.get("/account/login/")) == "200\n"
