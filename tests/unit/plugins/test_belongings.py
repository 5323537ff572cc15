# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Root's files that the role puts on a server beside supervisor.conf."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import guard, guard_program
from ansible_collections.allianceauth.tuning.plugins.modules import auth_belongings

Put = Callable[..., dict[str, Any]]


class Ended(Exception):
    """The module has ended; its result is the argument."""


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Return a function that has one file, and a folder for the logs, in place."""

    def end(**result: Any) -> None:
        raise Ended(result)

    def work(check_mode: bool = False, **more: Any) -> dict[str, Any]:
        given = {
            "texts": {str(tmp_path / "units/own.conf"): "new\n"},
            "log_dir": str(tmp_path / "log/myauth"),
            "reload_units": False,
            "log_group": "",
            "guard": {},
            **more,
        }
        module: Any = SimpleNamespace(
            params=given, check_mode=check_mode, exit_json=end, fail_json=lambda **result: end(failed=True, **result)
        )
        with pytest.raises(Ended) as ended:
            auth_belongings.put(module)
        return dict(ended.value.args[0])

    return work


def test_a_file_is_written_once_and_shown_before(put: Put, tmp_path: Path) -> None:
    file = tmp_path / "units/own.conf"
    asked = put(check_mode=True)
    assert not file.exists()
    done = put()
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == ("new\n", 0o644)
    assert asked == done
    assert (done["changed"], done["files"]) == (True, [str(file)])
    assert not put()["changed"]
    file.write_text("somebody's\n")
    (shown,) = put()["diff"]
    assert (shown["before"], shown["after"], shown["after_header"]) == ("somebody's\n", "new\n", str(file))


def test_the_folder_for_the_logs_is_made_for_those_who_may_read_them(
    put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owners: list[tuple[str, ...]] = []
    monkeypatch.setattr(shutil, "chown", lambda *words: owners.append(words))
    folder = tmp_path / "log/myauth"
    asked = {"texts": {}, "log_group": "adm"}
    assert put(check_mode=True, **asked)["changed"]
    assert not folder.exists()
    assert put(**asked)["changed"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o750
    assert owners == [(str(folder), "root", "adm")]
    assert not put(**asked)["changed"]


def test_a_file_that_cannot_be_written_is_named(put: Put, tmp_path: Path) -> None:
    (tmp_path / "units").write_text("no folder\n")
    result = put()
    assert result["failed"]
    assert f"{tmp_path}/units/own.conf cannot be written: " in result["msg"]


def test_a_run_that_was_taken_for_dead_writes_nothing(
    put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "RUN_FOLDER", str(tmp_path))
    with guard_program.opened(guard.lock_path()) as held:
        held.update(owner="another")
    result = put(guard={"name": "myauth", "owner": "me", "seconds": 120})
    assert result["guard_acted"]
    assert not (tmp_path / "units").exists()


def test_systemd_is_asked_to_read_what_is_there_until_it_has(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = ["Access denied", "Access denied", ""]
    monkeypatch.setattr(guard, "systemd", lambda *_words: answers.pop(0))
    # By the second time, what it has not read is written already.
    for _time in (1, 2):
        assert "systemd does not read its units again: Access denied. " in put(reload_units=True)["msg"]
    assert "failed" not in put(reload_units=True)
    assert answers == []
    put()
