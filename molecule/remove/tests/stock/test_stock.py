# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to come back."""

from __future__ import annotations

import json
from typing import Any

from shared import playbook, server


def test_the_stock_server_is_remembered(host: Any) -> None:
    contents = server.contents(host)
    assert len(contents) > 1000
    (playbook.EPHEMERAL / f"{server.name(host)}.json").write_text(json.dumps(contents))
    # What systemd has read of them.
    (playbook.EPHEMERAL / f"{server.name(host)}.stop").write_text(server.stop_time(host))


def test_a_stock_server_has_nothing_to_remove(host: Any) -> None:
    before = server.contents(host)
    run = playbook.finish(playbook.start("remove"))
    assert run.status == 0
    assert f"{server.name(host)}: nothing to do, this collection has nothing here." in run.output
    assert run.changed == {server.name(host): 0}
    assert server.differences(before, server.contents(host)) == {}
