# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The linters are the same for whoever commits as for `make lint`."""

from __future__ import annotations

import subprocess
from pathlib import Path

import yaml

CHECKOUT = Path(__file__).parents[3]


def test_pre_commit_runs_every_check_of_make_lint() -> None:
    (repository,) = yaml.safe_load((CHECKOUT / ".pre-commit-config.yaml").read_text())["repos"]
    asked = subprocess.run(["scripts/lint", "which"], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert asked.returncode == 2
    checks = asked.stderr.partition("there are: ")[2].rstrip(".\n").split()
    assert checks
    assert {hook["entry"] for hook in repository["hooks"]} == {f"scripts/lint {check}" for check in checks}
