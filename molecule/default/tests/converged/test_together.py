# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several servers in one run, of which one has a long task to finish."""

from __future__ import annotations

import time

from shared import playbook, servers

from lab import engine, hosts
from lab.traffic import traffic

SECONDS = 75


def daemon_started(container: str) -> float:
    """Return when a server's supervisord was started, in seconds since the epoch."""
    pid = engine.podman("exec", container, "supervisorctl", "pid").strip()
    return time.time() - float(engine.podman("exec", container, "ps", "-o", "etimes=", "-p", pid))


def test_no_server_waits_for_the_longest_task_of_another() -> None:
    busy, *others = hosts.existing(servers.LAB)
    with traffic(busy, "together", once=[SECONDS]) as going:
        run = playbook.apply(*playbook.extra_vars({"auth_worker_concurrency": 9}))
    counted = going.settle(SECONDS)
    assert run.status == 0
    assert counted.lost == counted.doubled == ()
    (end,) = [line["time"] for line in going.ledger() if line["event"] == "end"]
    # ps counts whole seconds.
    assert daemon_started(busy.container) > end - 2
    assert others
    for other in others:
        assert daemon_started(other.container) < end
