# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What others do to supervisord, and programs that did not work before a run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from shared import play, server

FOLDER = "/etc/systemd/system/supervisor.service.d"
DROP_IN = f"{FOLDER}/allianceauth-tuning.conf"
# It sorts before ours, so that ours holds.
SHORT = f"{FOLDER}/00-short.conf"
NEIGHBOURS = f"{server.CONF_D}/neighbours.conf"
# One that ends again and again, one that somebody has started by hand, and one that somebody has stopped.
PROGRAMS = """\
[program:flapper]
command = /bin/sh -c "sleep 2; exit 1"
startsecs = 1
[program:by_hand]
command = /bin/sleep infinity
autostart = false
[program:laid_off]
command = /bin/sleep infinity
"""
BOT = "/usr/local/bin/lab-bot"


def of_unit(host: Any, name: str) -> str:
    return server.run(host, f"systemctl show -p {name} --value supervisor").strip()


@pytest.fixture
def short(host: Any) -> Iterator[int]:
    """Have a unit whose own time to stop is over at once; return those seconds."""
    server.run(host, f"printf '[Service]\\nTimeoutStopSec=3\\n' > {SHORT} && systemctl daemon-reload")
    yield 3
    server.run(host, f"rm {SHORT} && systemctl daemon-reload")


def test_a_restart_from_outside_waits_for_tasks_and_leaves_no_orphan(host: Any, short: int) -> None:
    server.keep_busy(host, "outside")
    first = of_unit(host, "MainPID")
    server.run(host, "systemctl restart --no-block supervisor")
    server.wait(lambda: of_unit(host, "ActiveState"), lambda state: state == "deactivating")
    # For ExecStop, for TERM, and as much again.
    server.run(host, f"sleep {4 * short}")
    assert (of_unit(host, "ActiveState"), of_unit(host, "MainPID")) == ("deactivating", first)
    assert server.ledger(host, "outside-") == {"outside-0": ["start"]}
    assert server.done_once_released(host, "outside")
    assert server.wait(lambda: server.healthy(host), bool)
    new = of_unit(host, "MainPID")
    assert new != first
    rows = [line.split(None, 1) for line in server.run(host, "ps -eo ppid,args --no-headers").splitlines()]
    assert {parent for parent, command in rows if re.search(r"/bin/celery\b", command)} == {new}


def test_redis_and_the_database_stop_after_it(host: Any) -> None:
    assert {"redis-server.service", "mariadb.service"} <= set(of_unit(host, "After").split())


def test_a_drop_in_that_is_gone_is_seen_and_written_without_a_restart(host: Any) -> None:
    server.run(host, f"rm {DROP_IN} && systemctl daemon-reload")
    before, first = server.traces(host), of_unit(host, "MainPID")
    why = "systemd waits 90 s (TimeoutStopSec) for a supervisord that may take"
    checked = play.run("apply", "--check", "--diff")
    assert checked.status == 0
    assert f"{DROP_IN} would be written: {why}" in " ".join(checked.output.split())
    assert server.differences(before, server.traces(host)) == {}
    run = play.run("apply")
    assert run.status == 0
    assert f"{DROP_IN} was written: {why}" in " ".join(run.output.split())
    assert of_unit(host, "TimeoutStopUSec") == "3min 20s"
    assert of_unit(host, "MainPID") == first


@pytest.fixture
def neighbours(host: Any) -> Iterator[dict[str, str]]:
    """Have programs of somebody else; return the states of those that somebody has started or stopped by hand."""
    server.run(host, f"printf %s {shlex.quote(PROGRAMS)} > {NEIGHBOURS} && supervisorctl update")
    server.run(host, "supervisorctl start by_hand && supervisorctl stop laid_off")
    log = "/var/log/supervisor/supervisord.log"
    server.wait(lambda: int(host.run(f"grep -c 'exited: flapper' {log}").stdout), lambda times: times >= 3)
    yield {"by_hand": "RUNNING", "laid_off": "STOPPED"}
    server.run(host, f"rm {NEIGHBOURS} && supervisorctl update")


@pytest.fixture
def bot() -> Iterator[dict[str, Any]]:
    """Return a program of a community app; in the end the server is as its variables say."""
    yield {"bot": {"command": BOT, "startretries": 0}}
    assert play.run("apply").status == 0


def test_what_did_not_work_before_is_named_and_programs_of_others_end_as_they_were(
    host: Any, bot: dict[str, Any], neighbours: dict[str, str]
) -> None:
    server.run(host, f"printf '#!/bin/sh\\nexec sleep 9999\\n' > {BOT} && chmod 755 {BOT}")
    daemon = of_unit(host, "MainPID")
    assert play.run("apply", auth_extra_programs=bot).status == 0
    assert of_unit(host, "MainPID") != daemon
    assert neighbours.items() <= server.states(host).items()
    server.run(host, f"printf '#!/bin/sh\\nexit 1\\n' > {BOT} && (supervisorctl restart myauth:bot || true)")
    server.wait(lambda: server.states(host)["myauth:bot"], lambda state: state == "FATAL")
    run = play.run("apply", auth_extra_programs=bot, auth_worker_concurrency=5)
    assert run.status == 0
    said = " ".join(run.output.split())
    assert re.search(r"flapper:flapper died \d+ times in the last ten minutes before this run", said)
    assert "myauth:bot was FATAL (Exited too quickly (process log may have details)) before this run" in said
    assert "needs you" not in said
    assert {**neighbours, "myauth:bot": "FATAL"}.items() <= server.states(host).items()
    assert "--concurrency=5" in server.arguments(host)["worker_00"]


NEEDRESTART = "/etc/needrestart/conf.d/allianceauth-tuning.conf"


@pytest.fixture
def upgraded(host: Any) -> Iterator[None]:
    """Have needrestart on the server, and another file in the place of the Python that supervisord runs on."""
    install = "apt-get install --yes --no-install-recommends needrestart"
    server.run(host, f"apt-get update && NEEDRESTART_SUSPEND=1 DEBIAN_FRONTEND=noninteractive {install}")
    server.run(host, "python=$(readlink -f /usr/bin/python3) && cp -a $python $python.new && mv $python.new $python")
    yield
    server.run(host, "DEBIAN_FRONTEND=noninteractive apt-get purge --yes needrestart && rm -rf /etc/needrestart")


@pytest.mark.thorough
@pytest.mark.usefixtures("upgraded")
def test_needrestart_names_supervisord_and_leaves_it_alone(host: Any) -> None:
    run = play.run("apply")
    assert run.status == 0
    why = "needrestart may restart supervisord by itself after an upgrade of packages"
    assert f"{NEEDRESTART} was written: {why}" in " ".join(run.output.split())
    first, restarts = of_unit(host, "MainPID"), "needrestart -r a </dev/null"
    assert "systemctl restart supervisor.service" in server.run(host, restarts)
    assert of_unit(host, "MainPID") == first
    # The control: without the file it would have.
    server.run(host, f"rm {NEEDRESTART}")
    server.run(host, restarts)
    assert of_unit(host, "MainPID") != first
    assert server.wait(lambda: server.healthy(host), bool)
