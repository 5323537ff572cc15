# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose the files of a tuned server are."""

from __future__ import annotations

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
