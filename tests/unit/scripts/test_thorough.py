# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests that are marked as thorough run with THOROUGH=1 alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[3]
TESTS = "import pytest\n\n{rest}@pytest.mark.thorough\ndef test_more():\n    assert {holds}\n"


def run(folder: Path, rest: str, holds: bool, **environment: str) -> tuple[int, str]:
    """Return with which status pytest ends, by this checkout's conftest.py, and its last line."""
    file = folder / "test_some.py"
    file.write_text(TESTS.format(rest=rest, holds=holds))
    inherited = {key: value for key, value in os.environ.items() if key not in ("THOROUGH", "JUNIT_SUITE")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "conftest", "-c", CHECKOUT / "pyproject.toml", file],
        cwd=CHECKOUT,
        env={**inherited, "PYTHONPATH": str(CHECKOUT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout.splitlines()[-1]


@pytest.mark.parametrize("rest", ["", "def test_once():\n    pass\n\n\n"], ids=["alone", "beside another"])
def test_a_thorough_test_runs_only_where_it_is_asked_for(tmp_path: Path, rest: str) -> None:
    status, said = run(tmp_path, rest, holds=False)
    # A folder of a scenario may have no others.
    assert (status, "1 deselected" in said) == (0, True)
    status, said = run(tmp_path, rest, holds=False, THOROUGH="1")
    assert (status, "1 failed" in said) == (1, True)


def test_no_test_at_all_is_still_a_failure(tmp_path: Path) -> None:
    status, _said = run(tmp_path, "", holds=True, PYTEST_ADDOPTS="-k nothing", THOROUGH="1")
    assert status == pytest.ExitCode.NO_TESTS_COLLECTED
