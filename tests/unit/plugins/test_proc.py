# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel says of a process, and what follows from that."""

from __future__ import annotations

import os

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import proc


@pytest.mark.parametrize(
    ("cgroup", "service"),
    [
        ("0::/system.slice/supervisor.service\n", "supervisor.service"),
        ("12:pids:/a.service\n1:name=systemd:/system.slice/web.service/child\n0::/\n", "web.service"),
        ("0::/machine.slice/libpod-1.scope/system.slice/web.service\n", "web.service"),
        ("0::/user.slice/user-0.slice/session-1.scope\n", ""),
        ("0::/system.slice/a.service.d\n", ""),
        ("", ""),
    ],
)
def test_the_service_of_a_process_is_the_innermost_one(cgroup: str, service: str) -> None:
    assert proc.service_of(cgroup) == service


def test_a_library_out_of_a_folder_shows_where_a_title_hides_the_command() -> None:
    folder = os.path.dirname(os.path.dirname(os.path.realpath(os.__file__)))
    assert proc._has_loaded_from(os.getpid(), folder)
    assert not proc._has_loaded_from(os.getpid(), folder + "/no")
