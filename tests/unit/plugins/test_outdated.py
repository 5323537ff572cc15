# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which programs run older code than what is installed, by the times of real files and of what is said of processes."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import outdated
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import code, proc, proof

# Seconds since 1970: before the programs began, when they did, after that, and now.
EARLY, BEGAN, LATE, NOW = 1_000_000_000, 1_000_001_000, 1_000_002_000, 1_000_003_000


def process(name: str, kind: str, **more: Any) -> dict[str, Any]:
    return {"namespec": f"myauth:{name}", "kind": kind, "pid": 7, "began": float(BEGAN), **more}


WORKER, LISTENER = process("worker_00", "worker"), process("memmon_worker_00", "listener")


class Server:
    """A virtual environment and a project in a folder."""

    def __init__(self, folder: Path) -> None:
        self.venv, self.project = folder / "venv", folder / "myauth"
        self.packages = self.venv / "lib/python3.11/site-packages"
        self.packages.mkdir(parents=True)
        (self.venv / "pyvenv.cfg").touch()
        self.source(self.project / "myauth/settings/local.py", EARLY)
        self.settle()

    def install(self, package: str, version: str, at: int, source: str = "") -> None:
        for old in self.packages.glob(f"{package}-*.dist-info"):
            old.rename(old.with_name("gone"))
        folder = self.packages / f"{package}-{version}.dist-info"
        folder.mkdir()
        if source:
            told = {"url": f"file://{source}", "dir_info": {"editable": True}}
            (folder / "direct_url.json").write_text(json.dumps(told))
        os.utime(folder, (at, at))
        self.settle(at)

    def source(self, path: Path, at: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (at, at))

    def settle(self, at: int = EARLY) -> None:
        os.utime(self.packages, (at, at))

    def look(self) -> dict[str, Any]:
        return code.look(str(self.venv), str(self.project), "myauth", None)

    def changes(self, of: dict[str, Any]) -> list[str]:
        return outdated.changes(of, self.look(), NOW)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setattr(proof, "FOLDER", str(tmp_path / "kept"))
    return Server(tmp_path)


def test_nothing_is_old_that_began_after_the_last_install(server: Server) -> None:
    server.install("allianceauth", "5.5.0", EARLY)
    assert server.changes(WORKER) == []
    assert outdated.sentence([WORKER, LISTENER], server.look(), NOW) == ""


def test_a_package_that_is_installed_later_is_told_by_its_name(server: Server) -> None:
    server.install("allianceauth", "5.4.0", LATE)
    said = outdated.sentence([WORKER, LISTENER], server.look(), NOW)
    assert (
        "older than what is installed: worker_00 (since 2001-09-09 02:03:20 UTC) began before allianceauth 5.4.0"
        in said
    )
    assert "allianceauth.tuning.restart" in said


def test_with_a_kept_list_both_versions_and_removals_are_told(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("allianceauth", "aa_freight", "aa_gone"):
        server.install(package, "5.5.0", EARLY)
    monkeypatch.setattr("time.time", lambda: float(BEGAN + 1))
    code.keep("myauth", str(server.venv), None, {})
    server.install("allianceauth", "5.4.0", LATE)
    server.install("aa_freight", "5.5.0", LATE)
    server.install("aa_new", "1.0", LATE)
    (server.packages / "aa_gone-5.5.0.dist-info").rmdir()
    server.settle(LATE)
    assert server.changes(WORKER) == [
        "aa-freight 5.5.0 (installed again)",
        "aa-new 1.0 (new)",
        "allianceauth 5.5.0 -> 5.4.0",
        "aa-gone 5.5.0 (removed)",
    ]
    # What was kept before somebody started it by hand says nothing of what it runs.
    by_hand = process("worker_00", "worker", began=float(BEGAN + 2))
    assert "allianceauth 5.4.0" in server.changes(by_hand)


@pytest.mark.parametrize("tool", ["pip", "setuptools", "wheel", "uv"])
def test_what_installs_packages_counts_for_nobody(server: Server, tool: str) -> None:
    server.install(tool, "99", LATE)
    assert (server.changes(WORKER), server.changes(LISTENER)) == ([], [])


def test_what_pip_could_not_remove_is_no_package(server: Server) -> None:
    server.install("~lliance_auth", "5.5.0", LATE)
    assert server.changes(WORKER) == []


def test_superlance_counts_for_listeners_alone_and_nothing_else_does(server: Server) -> None:
    server.install("superlance", "2.0.0", LATE)
    server.install("allianceauth", "5.5.0", LATE)
    assert server.changes(WORKER) == ["allianceauth 5.5.0"]
    assert server.changes(LISTENER) == ["superlance 2.0.0"]


def test_the_project_and_an_editable_install_count_by_their_newest_source(server: Server, tmp_path: Path) -> None:
    server.install("aa_mine", "1.0", EARLY, source=str(tmp_path / "source"))
    server.source(tmp_path / "source/aa_mine/tasks.py", LATE)
    server.source(server.project / "myauth/urls.py", LATE)
    # What programs write, and what is none of the project's.
    for other in ("log/a.py", ".git/b.py", "__pycache__/c.py", "notes.txt"):
        server.source(server.project / other, LATE + 1)
    (server.project / "env").mkdir()
    (server.project / "env/pyvenv.cfg").touch()
    server.source(server.project / "env/lib/d.py", LATE + 1)
    assert server.changes(WORKER) == ["the project (urls.py)", "aa-mine (tasks.py)"]


def test_a_time_in_the_future_is_told_and_does_not_count(server: Server) -> None:
    server.install("allianceauth", "5.5.0", NOW + 1000)
    assert server.changes(WORKER) == []
    (said,) = outdated.future(server.look(), NOW)
    assert said.startswith("these have times in the future")
    assert "run them: allianceauth. Look" in said


def test_a_file_of_the_future_hides_no_change_beside_it(server: Server) -> None:
    server.source(server.project / "myauth/urls.py", LATE)
    server.source(server.project / "myauth/broken_clock.py", int(time.time()) + 1_000_000)
    assert server.changes(WORKER) == ["the project (urls.py)"]
    (said,) = outdated.future(server.look(), NOW)
    assert "broken_clock.py" in said


def test_who_does_not_run_is_not_old(server: Server) -> None:
    server.install("allianceauth", "5.5.0", LATE)
    assert server.changes(process("worker_00", "worker", pid=0, began=None)) == []


def test_a_venv_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    found = code.look(str(tmp_path / "none"), str(tmp_path / "none"), "myauth", None)
    assert (found["packages"], found["sources"], found["kept"]["versions"]) == ([], [], {})


def test_a_process_began_when_its_age_says(tmp_path: Path) -> None:
    began = proc.began(os.getpid())
    assert began is not None
    # A file that it makes is younger, one of before is not.
    made = tmp_path / "made"
    made.touch()
    assert began < made.stat().st_mtime
    assert proc.began(2**22 + 1) is None
