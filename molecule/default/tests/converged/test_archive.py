# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user gets: the built archive, and nothing of the checkout."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from shared import playbook


def test_the_built_archive_runs_from_an_empty_folder(tmp_path: Path) -> None:
    said = subprocess.check_output([playbook.CHECKOUT / "scripts/build"], text=True)
    archive = playbook.CHECKOUT / said.partition(": ")[0]
    subprocess.run(
        ["ansible-galaxy", "collection", "install", archive, "--offline", "--collections-path", tmp_path],
        # It installs nothing that is on its path already, and the checkout is.
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(tmp_path)},
        cwd=tmp_path,
        check=True,
    )
    run = playbook.apply("--verbose", collections=tmp_path, cwd=tmp_path)
    assert run.status == 0
    assert str(playbook.CHECKOUT / ".cache/collections") not in run.output
    assert run.changed
    assert set(run.changed.values()) == {0}
