# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the scenario begins: a server as Alliance Auth's installation guide leaves it."""

from __future__ import annotations

import json
from typing import Any

from shared import playbook, server


def test_the_stock_server_has_no_superlance(host: Any) -> None:
    assert not host.file(f"{server.VENV}/bin/memmon").exists


def test_the_stock_server_runs_the_generated_configuration(host: Any) -> None:
    states = {name: state for name, state in server.states(host).items() if name != "memmon"}
    assert set(states.values()) == {"RUNNING"}
    assert host.file(server.SUPERVISOR_CONF).is_symlink


def test_the_stock_server_is_remembered(host: Any) -> None:
    """For the step after check mode, which compares."""
    traces = server.traces(host)
    assert len(traces) > 1000
    (playbook.EPHEMERAL / f"{host.backend.get_hostname()}.json").write_text(json.dumps(traces))


def test_the_stock_file_is_remembered(host: Any) -> None:
    """For the step after the first run, which keeps it: each Alliance Auth has another."""
    text = server.configuration(host)
    assert "-p worker" in text
    (playbook.EPHEMERAL / f"{server.name(host)}.conf").write_text(text)
