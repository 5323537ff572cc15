# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks with a countdown fill a worker, which then takes no other; as many processes as the audit names end that."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from shared import play, server
from shared.audits import audit

pytestmark = pytest.mark.thorough

# More than one worker process holds, fewer than two.
CORPORATIONS = 150

# What the site's model update makes of so many, with a countdown that a test can wait for.
COUNTDOWN = 60


def shell(host: Any, code: str) -> str:
    """Run Python in the project."""
    return server.as_user(host, f"{server.VENV}/bin/python manage.py shell -c {shlex.quote(code)}")


def know_corporations(host: Any) -> None:
    """Have the site know so many corporations."""
    shell(
        host,
        "from allianceauth.eveonline.models import EveCorporationInfo as C; "
        f"C.objects.bulk_create([C(corporation_id=98000000 + n, corporation_name=str(n), corporation_ticker=str(n), "
        f"member_count=1) for n in range({CORPORATIONS})], ignore_conflicts=True)",
    )


def held(host: Any) -> int:
    """Return how many tasks the workers hold until their time has come."""
    return sum(len(tasks) for tasks in server.inspect(host, "scheduled", *server.worker_nodes(host)).values())


def order(host: Any, prefix: str, places: int) -> list[str]:
    """Queue tasks with a countdown, and one for at once when the workers hold what they can; return who began first."""
    shell(
        host,
        "from lab_tasks.tasks import sleep; "
        f"[sleep.apply_async(kwargs=dict(seconds=0, key='{prefix}-later-%d' % n), countdown={COUNTDOWN}) "
        f"for n in range({CORPORATIONS})]",
    )
    assert server.wait(lambda: held(host), lambda count: count >= min(places, CORPORATIONS)) > 0
    server.send(host, 1, 0, f"{prefix}-now")
    everything = CORPORATIONS + 1
    done = server.wait(
        lambda: server.ledger(host, prefix),
        lambda seen: [events[-1] for events in seen.values()].count("end") == everything,
    )
    assert len(done) == everything
    assert all(events == ["start", "end"] for events in done.values())
    lines = [json.loads(line) for line in server.run(host, "cat /var/lib/lab/ledger.jsonl").splitlines()]
    return [line["key"] for line in lines if line["event"] == "start" and line["key"].startswith(prefix)]


def test_as_many_processes_as_the_audit_names_let_other_tasks_through(host: Any, tmp_path: Path) -> None:
    know_corporations(host)
    finding = audit(host, tmp_path).finding("waiting-places")
    assert f"queues {CORPORATIONS} tasks with a countdown" in finding["evidence"]
    assert "1 worker processes have 100 places" in finding["evidence"]
    variable, numprocs = finding["remedy"].split(": ")
    assert (variable, numprocs) == ("auth_worker_numprocs", "2")
    # The control: what the finding warns of is so.
    assert order(host, "full", 100)[0] != "full-now-0"

    # A run that only looks says the same as the audit.
    looking = play.run("apply", "--check", auth_worker_concurrency=11)
    assert (
        f"places for tasks with a countdown: 100; a model update queues {CORPORATIONS} within 600 s" in looking.output
    )
    assert f"Set {variable} to {numprocs}, unless " in " ".join(looking.output.split())
    applied = play.run("apply", **{variable: int(numprocs)})
    assert applied.status == 0
    assert f"places for tasks with a countdown: 200; a model update queues {CORPORATIONS} within" in applied.output
    assert f"Set {variable}" not in applied.output
    assert "waiting-places" not in {rule for _severity, rule in audit(host, tmp_path).found}
    assert order(host, "room", 200)[0] == "room-now-0"
