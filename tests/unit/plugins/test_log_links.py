# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs that have moved are found where they were, and what was there is not lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a project's folder of logs, with one of each kind."""
    folder = tmp_path / "log"
    folder.mkdir()
    (folder / "worker.log").write_text("old\n")
    (folder / "beat.log").symlink_to("/elsewhere/beat.log")
    (folder / "memmon.log").symlink_to("/logs/memmon.log")
    (folder / "allianceauth.log").write_text("the site's own\n")
    return folder


def run(folder: Path, *names: str, check: bool = False) -> dict[str, Any]:
    """Run the module, as Ansible does."""
    given = {"folder": str(folder), "logs": [f"/logs/{name}.log" for name in names], "_ansible_check_mode": check}
    command = [sys.executable, "-m", "ansible_collections.allianceauth.tuning.plugins.modules.log_links"]
    done = subprocess.run(
        command,
        input=json.dumps({"ANSIBLE_MODULE_ARGS": given}),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(done.stdout))


def test_what_was_there_is_kept_and_a_second_run_changes_nothing(folder: Path) -> None:
    names = ("worker", "beat", "memmon", "gunicorn")
    before = {path.name for path in folder.iterdir()}
    asked = run(folder, *names, check=True)
    assert {path.name for path in folder.iterdir()} == before
    result = run(folder, *names)
    assert (result["changed"], result["linked"]) == (True, asked["linked"])
    assert [os.path.basename(link) for link in result["linked"]] == ["worker.log", "beat.log", "gunicorn.log"]
    assert {os.readlink(folder / f"{name}.log") for name in names} == {f"/logs/{name}.log" for name in names}
    old, elsewhere = map(Path, result["kept"])
    assert old.read_text() == "old\n"
    assert os.readlink(elsewhere) == "/elsewhere/beat.log"
    assert (folder / "allianceauth.log").read_text() == "the site's own\n"
    assert not run(folder, *names)["changed"]


def test_a_folder_that_is_not_there_is_worth_a_warning(folder: Path) -> None:
    result = run(folder / "gone", "worker")
    assert (result["changed"], result["linked"], result["kept"]) == (False, [], [])
    # Newer ansible-core wraps a warning up.
    sentence = f"No such file or directory while making links to the logs in {folder}/gone."
    assert sentence in json.dumps(result["warnings"])
