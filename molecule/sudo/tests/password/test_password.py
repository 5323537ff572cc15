# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An admin whom sudo asks for a password tunes a server.

ansible-core waits in vain for sudo-rs's prompt (ansible issues 86441 and 86849). The way out is the classic
sudo, which Ubuntu has beside it as sudo.ws.
"""

from __future__ import annotations

from typing import Any

import pytest
from shared import playbook, server

PASSWORD = {"ansible_user": "manager", "ansible_become_password": "lab"}
# Seconds until Ansible gives up waiting for a prompt.
IN_VAIN = {"ansible_ssh_timeout": 30}


@pytest.fixture(scope="module")
def sudo_rs(host: Any) -> bool:
    """Return which of the two the server has."""
    return "sudo-rs" in host.run("sudo --version").stdout


def test_sudo_rs_is_waited_for_in_vain_and_nothing_is_touched(host: Any, sudo_rs: bool) -> None:
    if not sudo_rs:
        assert host.run("sudo --version").stdout.startswith("Sudo version ")
        return
    before = server.traces(host)
    run = playbook.apply(*playbook.extra_vars({**PASSWORD, **IN_VAIN}))
    assert run.status != 0
    assert "waiting for privilege escalation prompt" in run.output
    assert server.differences(before, server.traces(host)) == {}


def test_a_server_is_tuned_by_the_classic_sudo_with_a_password(host: Any, sudo_rs: bool) -> None:
    classic = {"ansible_become_exe": "sudo.ws"} if sudo_rs else {}
    variables = playbook.extra_vars({**PASSWORD, **classic})
    runs = [playbook.apply(*variables), playbook.apply(*variables)]
    assert [run.status for run in runs] == [0, 0]
    assert all(runs[0].changed.values())
    assert set(runs[1].changed.values()) == {0}
    assert server.healthy(host)
