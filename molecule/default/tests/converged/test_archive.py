# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user gets: the built archive, and nothing of the checkout."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from shared import playbook, server

CONCURRENCY = 6


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the archive and install it into an empty folder."""
    folder = tmp_path_factory.mktemp("user")
    said = subprocess.check_output([playbook.CHECKOUT / "scripts/build"], text=True)
    archive = playbook.CHECKOUT / said.partition(": ")[0]
    subprocess.run(
        ["ansible-galaxy", "collection", "install", archive, "--offline", "--collections-path", folder],
        # It installs nothing that is on its path already, and the checkout is.
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(folder)},
        cwd=folder,
        check=True,
    )
    return folder


@pytest.fixture(scope="module")
def changed(installed: Path) -> playbook.Run:
    """Change all servers from there."""
    wanted = playbook.extra_vars({"auth_worker_concurrency": CONCURRENCY})
    return playbook.apply("-vvv", *wanted, collections=installed, cwd=installed)


def test_the_built_archive_runs_from_an_empty_folder(installed: Path, changed: playbook.Run) -> None:
    assert changed.status == 0
    assert str(playbook.CHECKOUT / ".cache/collections") not in changed.output
    assert f"Using module file {installed}/ansible_collections/allianceauth/tuning/plugins/modules/" in changed.output
    assert len(changed.changed) > 1
    assert all(changed.changed.values())


@pytest.mark.usefixtures("changed")
def test_the_worker_has_what_it_was_told_from_there(host: Any) -> None:
    assert set(server.states(host).values()) == {"RUNNING"}
    assert f"--concurrency={CONCURRENCY}" in server.arguments(host)["worker_00"]


@pytest.fixture(scope="module")
def returned(installed: Path, changed: playbook.Run) -> playbook.Run:
    """Go back from there; the later tests find what the variables say."""
    assert changed.status == 0
    return playbook.finish(playbook.start("rollback", collections=installed, cwd=installed))


def test_another_playbook_of_the_archive_runs_too(host: Any, returned: playbook.Run) -> None:
    assert returned.status == 0
    assert all(returned.changed.values())
    assert set(server.states(host).values()) == {"RUNNING"}
    assert "--concurrency=10" in server.arguments(host)["worker_00"]
