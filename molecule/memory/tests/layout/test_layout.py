# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guide's layout by choice, and the way back; a restart that is worth no mail."""

from __future__ import annotations

import re
from typing import Any

import pytest
from memory import leaks
from shared import playbook, server

pytestmark = pytest.mark.thorough

FILE = f"{server.PROJECT}/supervisor.conf"
# No restart of a test comes within a second of the start.
SHORT = {"auth_memmon_uptime": "1s"}


@pytest.fixture(scope="module", autouse=True)
def runs() -> list[playbook.Run]:
    """Ask for the guide's layout, twice."""
    wanted = playbook.extra_vars({**SHORT, "auth_supervisor_conf": FILE})
    return [playbook.apply(*wanted), playbook.apply(*wanted)]


def test_the_guides_layout_is_there_after_one_run(host: Any, runs: list[playbook.Run]) -> None:
    assert [run.status for run in runs] == [0, 0]
    assert all(runs[0].changed.values())
    assert set(runs[1].changed.values()) == {0}
    assert host.file(server.SUPERVISOR_CONF).linked_to == FILE
    assert (host.file(FILE).user, host.file(FILE).group, host.file(FILE).mode) == ("root", server.USER, 0o640)


def test_limits_hold_in_it_and_a_restart_after_the_uptime_is_not_mailed(host: Any) -> None:
    before, sent = leaks.all_running(host), leaks.mails(host)
    start = server.log_size(host, "memmon_bot.log")
    server.run(host, "supervisorctl signal USR1 myauth:bot")
    assert leaks.restarted(before, leaks.until_restarted(host, "myauth:bot", before)) == {"myauth:bot"}

    def looks_after_it() -> int:
        said = server.log(host, "memmon_bot.log", start)
        return said.partition("Restarting myauth:bot\n")[2].count("RSS of myauth:bot ")

    # By its next look it would have mailed.
    assert server.wait(looks_after_it, bool)
    assert leaks.mails(host) == sent


def test_the_way_back_turns_the_link_round_and_restarts_nothing(host: Any) -> None:
    before = leaks.all_running(host)
    run = playbook.apply(*playbook.extra_vars(SHORT))
    assert run.status == 0
    assert all(run.changed.values())
    assert host.file(FILE).linked_to == server.SUPERVISOR_CONF
    configuration = host.file(server.SUPERVISOR_CONF)
    assert not configuration.is_symlink
    assert (configuration.user, configuration.mode) == ("root", 0o640)
    assert leaks.all_running(host) == before


def test_the_guides_log_folder_is_there_by_choice(host: Any) -> None:
    guide = f"{server.PROJECT}/log"
    run = playbook.apply(*playbook.extra_vars({**SHORT, "auth_log_dir": guide}))
    assert run.status == 0
    logs = re.findall(r"(?m)^std(?:out|err)_logfile = (.*)/", host.file(server.SUPERVISOR_CONF).content_string)
    assert set(logs) == {guide}
    leaks.all_running(host)
