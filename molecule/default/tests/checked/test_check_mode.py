# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What check mode did to a stock server, and what it said."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.allianceauth.tuning.plugins.plugin_utils import pythons
from shared import playbook, server


def test_check_mode_leaves_a_stock_server_as_it_was(host: Any) -> None:
    before = json.loads((playbook.EPHEMERAL / f"{host.backend.get_hostname()}.json").read_text())
    assert server.differences(before, server.traces(host)) == {}


def test_check_mode_says_what_a_run_would_change(host: Any) -> None:
    run, name = playbook.last_step(), host.backend.get_hostname()
    assert run.changed[name] > 0
    # What Alliance Auth's template has is nobody's choice.
    assert "worker --concurrency: 5 -> 10 (auth_worker_concurrency)" in run.output
    assert "gunicorn stopsignal: INT -> TERM (TERM lets requests finish, which INT aborts)" in run.output
    assert f"{name}: superlance 2.0.0 would be installed. {server.SUPERVISOR_CONF} would be replaced." in run.output


def test_a_run_says_if_this_ansible_core_does_not_support_the_python(host: Any) -> None:
    name, version = server.name(host), server.run(host, "python3 --version").split()[1]
    # Ansible breaks lines of warnings.
    said = " ".join(playbook.last_step().output.split())
    assert (f"{name}: ansible-core" in said) is bool(pythons.unsupported(name, version))
