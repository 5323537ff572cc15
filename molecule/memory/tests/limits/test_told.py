# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restarts by memmon that are more than a leak explains, as the logs of memmon and supervisord have them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from memory import leaks
from shared import playbook, server
from shared.audits import audit

pytestmark = pytest.mark.thorough

# One more than a leak explains within an hour.
RESTARTS = 3


def test_a_program_that_memmon_restarts_again_and_again_is_told(host: Any, tmp_path: Path) -> None:
    start = server.log_size(host, "memmon_bot.log")
    for _time in range(RESTARTS):
        before = leaks.all_running(host)
        server.run(host, "supervisorctl signal USR1 myauth:bot")
        leaks.until_restarted(host, "myauth:bot", before)
    assert server.log(host, "memmon_bot.log", start).count("Restarting myauth:bot") == RESTARTS
    said = r"memmon has restarted (?:it|bot) (\d+) times in the last hour and \1 times in the last day"
    found = [one for one in audit(host, tmp_path).report["findings"] if one["rule"] == "memmon-restarts"]
    (finding,) = [one for one in found if one["subject"] == "bot"]
    audited = re.search(said, finding["evidence"])
    applied = re.search(said, " ".join(playbook.apply().output.split()))
    assert audited
    assert applied
    # By hand, other tests have restarted it too.
    assert int(audited[1]) == int(applied[1]) >= RESTARTS
