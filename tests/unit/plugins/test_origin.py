# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was there before the first run comes back, and if it is not kept, the guide's layout."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import backup_name, managed_file
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import files, origin, proof

STOCK = "[program:worker]\ncommand = celery\n"
TUNED = managed_file.complete(
    "[program:worker]\ncommand = celery\nstdout_logfile = /logs/worker.log\n"
    "[program:gunicorn]\ncommand = gunicorn\n    --config /etc/gunicorn.py\n    --bind 127.0.0.1:8000\n",
    {},
)


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Have a server as the installation guide leaves it."""
    monkeypatch.setattr(proof, "FOLDER", str(tmp_path / "notes"))
    project, path = tmp_path / "project", tmp_path / "conf.d/myauth.conf"
    project.mkdir()
    path.parent.mkdir()
    (project / "supervisor.conf").write_text(STOCK)
    (project / "supervisor.conf").chmod(0o604)
    path.symlink_to(project / "supervisor.conf")
    return {
        "name": "myauth",
        "path": str(path),
        "link": str(project / "supervisor.conf"),
        "project_dir": str(project),
        "log_dir": "/logs",
        "gunicorn_conf": "/etc/gunicorn.py",
        "uid": os.getuid(),
        "gid": os.getgid(),
    }


def tune(given: dict[str, Any], text: str = TUNED) -> None:
    """Do what a run does."""
    origin.note(given["name"], given["path"], given["link"])
    now = files.read(given["path"]) or ""
    files.keep(given["path"], now, backup_name.now(), os.getuid(), os.getgid())
    files.replace_file(given["path"], text, os.getuid(), os.getgid())
    files.put_link(given["link"], given["path"], "")


def is_stock(given: dict[str, Any]) -> bool:
    own = Path(given["link"])
    return not own.is_symlink() and own.read_text() == STOCK and os.readlink(given["path"]) == str(own)


def test_a_server_without_our_file_has_nothing_to_give_back(given: dict[str, Any]) -> None:
    found = origin.find(given)
    assert (found.source, found.in_place()) == ("nothing", True)
    assert is_stock(given)


def test_the_first_file_comes_back_with_its_mode_and_link(given: dict[str, Any]) -> None:
    tune(given)
    tune(given, TUNED.replace("celery", "celery5"))
    for kept in files.kept_files(given["path"]):
        os.unlink(kept)
    found = origin.find(given)
    assert (found.source, found.text, found.in_place()) == ("noted", STOCK, False)
    origin.give_back(found)
    assert is_stock(given)
    assert Path(given["link"]).stat().st_mode & 0o7777 == 0o604
    assert found.in_place()


def test_what_was_given_back_by_hand_is_noted_anew(given: dict[str, Any]) -> None:
    tune(given)
    own = Path(given["link"])
    own.unlink()
    own.write_text(STOCK.replace("celery", "other"))
    os.unlink(given["path"])
    os.symlink(own, given["path"])
    tune(given)
    assert "command = other" in str(origin.find(given).text)


def test_without_a_note_the_oldest_file_of_somebody_else_is_it(given: dict[str, Any]) -> None:
    tune(given)
    os.unlink(f"{proof.FOLDER}/myauth.origin.json")
    found = origin.find(given)
    assert found.text == STOCK
    assert found.kept in files.kept_files(given["path"])
    origin.give_back(found)
    assert is_stock(given)


def test_without_that_the_values_stay_in_the_guides_layout(given: dict[str, Any]) -> None:
    tune(given)
    os.unlink(f"{proof.FOLDER}/myauth.origin.json")
    for kept in files.kept_files(given["path"]):
        os.unlink(kept)
    found = origin.find(given)
    assert found.source == "present"
    origin.give_back(found)
    text = Path(given["link"]).read_text()
    assert text == (
        f"[program:worker]\ncommand = celery\nstdout_logfile = {given['project_dir']}/log/worker.log\n"
        "[program:gunicorn]\ncommand = gunicorn\n    --bind 127.0.0.1:8000\n"
    )
    assert os.readlink(given["path"]) == given["link"]


def test_what_runs_have_brought_is_noted_once(given: dict[str, Any]) -> None:
    origin.has_brought(given["name"], ["superlance", "supervisor"])
    origin.has_brought(given["name"], ["superlance"])
    assert origin.brought(given["name"]) == ["superlance", "supervisor"]
    assert [Path(note).name for note in origin.notes(given["name"])] == ["myauth.brought.json"]
