# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose the files of a tuned server are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shared import server


def test_nothing_in_the_venv_belongs_to_root(host: Any) -> None:
    assert server.run(host, f"find {server.VENV} -not -user {server.USER} -o -not -group {server.USER}") == ""


def test_superlance_has_the_pinned_version(host: Any) -> None:
    assert "Version: 2.0.0" in server.as_user(host, f"{server.VENV}/bin/pip show superlance 2>&1")


def test_the_configuration_belongs_to_root(host: Any) -> None:
    configuration = host.file(server.SUPERVISOR_CONF)
    assert configuration.is_file
    assert not configuration.is_symlink
    assert (configuration.user, configuration.group, configuration.mode) == ("root", server.USER, 0o640)


def test_the_auth_user_can_read_the_configuration_and_not_write_it(host: Any) -> None:
    server.as_user(host, f"test -r {server.SUPERVISOR_CONF}")
    server.as_user(host, f"test ! -w {server.SUPERVISOR_CONF} -a ! -w $(dirname {server.SUPERVISOR_CONF})")


def test_the_projects_file_leads_to_the_configuration(host: Any) -> None:
    assert host.file(f"{server.PROJECT}/supervisor.conf").linked_to == server.SUPERVISOR_CONF


def test_root_writes_the_logs_and_the_auth_user_reads_them_in_the_project(host: Any) -> None:
    folder = host.file(server.LOG_DIR)
    assert (folder.user, folder.group, folder.mode) == ("root", server.USER, 0o750)
    writers = server.writers(host)
    assert {name for name, _log in writers} == {name.rpartition(":")[2] for name in server.states(host)}
    for _name, log in writers:
        assert str(Path(log).parent) == server.LOG_DIR
        link = f"{server.PROJECT}/log/{Path(log).name}"
        assert host.file(link).linked_to == log
        server.as_user(host, f"test -r {link} -a ! -w {link}")
        assert "Permission denied" in host.run(f"runuser -u nobody -- cat {log}").stderr


def test_no_log_has_two_writers_and_each_worker_writes_into_its_own(host: Any) -> None:
    writers = server.writers(host)
    assert len({log for _name, log in writers}) == len(writers)
    workers = {name: Path(log).name for name, log in writers if name.startswith("worker_0")}
    assert set(workers.values()) == ({"worker.log"} if len(workers) == 1 else {f"{name}.log" for name in workers})
    for name, log in workers.items():
        # Celery's first lines have the node's name.
        assert f"{name}@" in server.log(host, log)
