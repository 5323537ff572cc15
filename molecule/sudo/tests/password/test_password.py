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
# Seconds that Ansible waits for a prompt which never comes.
IN_VAIN = {"ansible_ssh_timeout": 30}
CURE = {"ansible_become_exe": "sudo.ws"}


@pytest.fixture(scope="module")
def sudo_rs(host: Any) -> bool:
    """Whether the server's sudo is sudo-rs, by what it says of itself; the classic one names itself otherwise."""
    said = str(host.run("sudo --version").stdout)
    assert said.startswith(("sudo-rs ", "Sudo version "))
    return said.startswith("sudo-rs ")


def apply(host: Any, *arguments: str, **variables: Any) -> playbook.Run:
    """Run it on this server alone, as the user who has to say a password."""
    return playbook.apply("--limit", server.name(host), *arguments, *playbook.extra_vars({**PASSWORD, **variables}))


def test_sudo_rs_is_waited_for_in_vain_and_nothing_is_touched(host: Any, sudo_rs: bool) -> None:
    if not sudo_rs:
        pytest.skip("the server has the classic sudo")
    before = server.traces(host)
    run = apply(host, **IN_VAIN)
    assert run.status != 0
    assert "waiting for privilege escalation prompt" in run.output
    assert server.differences(before, server.traces(host)) == {}


def test_a_server_is_tuned_by_the_classic_sudo_with_a_password(host: Any, sudo_rs: bool) -> None:
    cure = CURE if sudo_rs else {}
    runs = [apply(host, **cure), apply(host, **cure)]
    assert [run.status for run in runs] == [0, 0]
    assert runs[0].changed[server.name(host)] > 0
    assert runs[1].changed == {server.name(host): 0}
    assert server.healthy(host)
