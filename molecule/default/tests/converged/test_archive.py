# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user gets: the built archive, and nothing of the checkout."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from shared import playbook, servers

from lab.observe import programs
from lab.podman import hosts

pytestmark = pytest.mark.thorough

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


def concurrency() -> set[int]:
    """Return what Celery says of all servers' workers, which all run."""
    found = hosts.existing(servers.LAB)
    assert {line.split()[1] for host in found for line in programs.status(host)} == {"RUNNING"}
    return {programs.nodes(host)[f"worker_00@{host.name}"] for host in found}


def test_rollback_from_the_archive_takes_back_what_apply_has_done(installed: Path, changed: playbook.Run) -> None:
    assert changed.status == 0
    assert concurrency() == {CONCURRENCY}
    # The later tests find what the variables say.
    returned = playbook.finish(playbook.start("rollback", collections=installed, cwd=installed))
    assert returned.status == 0
    assert all(returned.changed.values())
    assert concurrency() == {10}
