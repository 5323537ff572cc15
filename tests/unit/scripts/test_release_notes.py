# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A release says what the changelog has on it, and is not made if tag, version and changelog do not agree."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "scripts/release-notes"

# As antsibull-changelog 0.36 writes it.
CHANGELOG = r"""# allianceauth\.tuning Release Notes

<a id="v0-2-0"></a>
## v0\.2\.0

<a id="bugfixes"></a>
### Bug fixes

* drain \- waits\.

<a id="v0-1-0"></a>
## v0\.1\.0

The first\.
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "scripts").mkdir()
    shutil.copy(SCRIPT, tmp_path / "scripts")
    (tmp_path / "galaxy.yml").write_text("version: 0.2.0\n")
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    return tmp_path


def notes(checkout: Path, tag: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([checkout / "scripts/release-notes", tag], capture_output=True, text=True, check=False)


def test_the_notes_are_the_part_on_that_version(checkout: Path) -> None:
    done = notes(checkout, "v0.2.0")
    assert done.returncode == 0
    assert done.stdout.strip() == "### Bug fixes\n\n* drain \\- waits\\."


def test_another_tag_than_the_version_is_refused(checkout: Path) -> None:
    done = notes(checkout, "v0.1.0")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "The tag v0.1.0 is not v0.2.0, the version in galaxy.yml.\n"


def test_a_version_without_a_part_in_the_changelog_is_refused(checkout: Path) -> None:
    (checkout / "galaxy.yml").write_text("version: 0.3.0\n")
    done = notes(checkout, "v0.3.0")
    assert (done.returncode, done.stdout) == (1, "")
    assert "CHANGELOG.md has nothing on v0.3.0" in done.stderr
