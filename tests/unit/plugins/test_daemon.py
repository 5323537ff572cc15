# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a real supervisord says of itself."""

from __future__ import annotations

import xmlrpc.client
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils import daemon

SLEEP = "command = /bin/sleep 1000\nstartsecs = 0\n"

Start = Callable[[str], Any]


def test_it_names_every_process_by_group_and_name(supervisord: Start) -> None:
    found = supervisord(
        f"[program:worker]\n{SLEEP}numprocs = 2\nprocess_name = %(program_name)s_%(process_num)02d\n"
        "[group:myauth]\nprograms = worker\n"
    )
    assert [process.namespec for process in found.daemon.processes()] == ["myauth:worker_00", "myauth:worker_01"]
    assert found.daemon.pid() == int((found.folder / "pid").read_text())


def test_drift_tells_what_is_on_disk_and_not_in_effect_and_applies_nothing(supervisord: Start) -> None:
    found = supervisord(f"[program:a]\n{SLEEP}[program:b]\n{SLEEP}")
    assert found.daemon.drift() == {"added": [], "changed": [], "removed": []}
    main = found.folder / "supervisord.conf"
    text = (
        main.read_text().replace("[program:a]", "[program:new]").replace("[program:b]\n", "[program:b]\npriority = 1\n")
    )
    main.write_text(text)
    for _time in range(2):
        assert found.daemon.drift() == {"added": ["new"], "changed": ["b"], "removed": ["a"]}
    assert {process.name for process in found.daemon.processes()} == {"a", "b"}


def test_drift_of_an_invalid_file_is_a_fault(supervisord: Start) -> None:
    found = supervisord(f"[program:a]\n{SLEEP}")
    with (found.folder / "supervisord.conf").open("a") as main:
        main.write("[program:bad]\n")
    with pytest.raises(xmlrpc.client.Fault, match="CANT_REREAD"):
        found.daemon.drift()


def test_a_daemon_that_is_not_there_is_told_by_its_address(tmp_path: Path) -> None:
    main = tmp_path / "supervisord.conf"
    main.write_text(f"[supervisorctl]\nserverurl = unix://{tmp_path}/s.sock\n")
    connection = daemon.Daemon(str(main))
    with pytest.raises(daemon.NotAnswering, match=f"does not answer at unix://{tmp_path}/s.sock"):
        connection.pid()
    connection._proxy("close")()


def test_a_main_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(daemon.NotAnswering, match=r"does not say how to reach supervisord: .*nowhere\.conf"):
        daemon.Daemon(str(tmp_path / "nowhere.conf"))
