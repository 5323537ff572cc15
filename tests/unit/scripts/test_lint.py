# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The linters are the same for whoever commits as for `make lint`, and the public workflow tries each distribution."""

from __future__ import annotations

import subprocess
from pathlib import Path

import yaml

from lab.podman.distros import DISTROS

CHECKOUT = Path(__file__).parents[3]


def test_pre_commit_runs_every_check_of_make_lint() -> None:
    (repository,) = yaml.safe_load((CHECKOUT / ".pre-commit-config.yaml").read_text())["repos"]
    asked = subprocess.run(["scripts/lint", "which"], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert asked.returncode == 2
    checks = asked.stderr.partition("there are: ")[2].rstrip(".\n").split()
    assert checks
    assert {hook["entry"] for hook in repository["hooks"]} == {f"scripts/lint {check}" for check in checks}


def test_the_public_workflow_tries_each_distribution_with_the_newest_ansible_core() -> None:
    jobs = yaml.safe_load((CHECKOUT / ".github/workflows/ci.yml").read_text())["jobs"]
    tried = jobs["molecule"]["strategy"]["matrix"]["include"]
    assert [job["distro"] for job in tried if job["tools"] == "newest"] == list(DISTROS)
    # Each with an older one as well, whose packages are pinned.
    assert [job["distro"] for job in tried if job["tools"] != "newest"] == list(DISTROS)
    # What the README's table says of each one's Python.
    oldest = {"2.18": {"debian13"}, "2.20": {"ubuntu2604", "debian14"}}
    oldest["oldest"] = set(DISTROS) - oldest["2.18"] - oldest["2.20"]
    assert {job["distro"]: job["tools"] for job in tried if job["tools"] != "newest"} == {
        distro: tools for tools, distros in oldest.items() for distro in distros
    }
    assert all((CHECKOUT / f"requirements/{job['tools']}.txt").is_file() for job in tried)
    scenarios = {file.parent.name for file in CHECKOUT.glob("molecule/*/molecule.yml")}
    assert {name for job in tried for name in job.get("scenario", "").split()} <= scenarios
