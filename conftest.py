# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every pytest run of this checkout needs, the unit tests' and Molecule's alike."""

from __future__ import annotations

import importlib
import os
import subprocess
from itertools import count
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent

LEFT_OUT = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    subprocess.run([ROOT / "scripts/collection-link"], check=True, stdout=subprocess.DEVNULL)
    # In a fresh clone the link was not there yet when pytest put it into sys.path.
    importlib.invalidate_caches()
    config.option.xmlpath = config.option.xmlpath or _junit_file()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is marked as thorough, unless THOROUGH=1."""
    if os.environ.get("THOROUGH"):
        return
    left_out = [item for item in items if item.get_closest_marker("thorough")]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)
    config.stash[LEFT_OUT] = len(left_out)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Call it no failure if all the tests of one of a scenario's folders are thorough."""
    if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and session.config.stash.get(LEFT_OUT, 0):
        session.exitstatus = pytest.ExitCode.OK


def _junit_file() -> str | None:
    """Return a result file that no earlier run of the same suite has written.

    A Molecule scenario may verify more than once, and every run counts.
    """
    suite = os.environ.get("JUNIT_SUITE")
    if not suite:
        return None
    folder = ROOT / ".cache/junit"
    files = (folder / f"{suite}.{number}.xml" for number in count(1))
    return str(next(file for file in files if not file.exists()))
