# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the scenario begins: a server as Alliance Auth's installation guide leaves it."""

from __future__ import annotations

import json
import re
from typing import Any

from shared import playbook, server, servers

from lab.observe import versions
from lab.podman import hosts

PARTS = ("allianceauth", "celery", "gunicorn", "Python", "MariaDB", "Redis", "nginx", "supervisor", "systemd")


def test_the_stock_server_has_no_superlance(host: Any) -> None:
    assert not host.file(f"{server.VENV}/bin/memmon").exists


def test_the_stock_server_runs_the_generated_configuration(host: Any) -> None:
    states = {name: state for name, state in server.states(host).items() if name != "memmon"}
    assert set(states.values()) == {"RUNNING"}
    assert host.file(server.SUPERVISOR_CONF).is_symlink


def test_the_lab_says_what_the_server_is_made_of() -> None:
    """What a run of `make` is said to have been tried on: none of the parts may be missing or without a version."""
    for made in hosts.existing(servers.LAB):
        said = versions.describe(made)
        assert said.startswith(f"{made.name} runs ")
        assert "unknown" not in said
        for part in PARTS:
            assert re.search(rf"\b{part} \d", said), f"{part}: {said}"


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
