# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files and links that are put in place, and what was there before."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import files

STAMP = "2026-11-22T10-00-00Z"


def keep(path: Path, content: str, stamp: str = STAMP) -> Path:
    return Path(files.keep(str(path), content, stamp, os.getuid(), os.getgid()))


def kept(path: Path) -> list[str]:
    return [Path(file).read_text() for file in files.kept_files(str(path))]


def test_the_last_ten_files_are_kept_and_the_newest_is_the_last(tmp_path: Path) -> None:
    path = tmp_path / "myauth.conf"
    for number in range(12):
        assert keep(path, str(number), f"2026-11-22T10-00-{number:02d}Z").read_text() == str(number)
    assert kept(path) == [str(n) for n in range(2, 12)]
    assert files.kept_files(str(tmp_path / "nowhere/myauth.conf")) == []


def test_what_is_kept_already_pushes_no_other_out(tmp_path: Path) -> None:
    path = tmp_path / "myauth.conf"
    keep(path, "old")
    first = keep(path, "new", "2026-11-22T10-00-01Z")
    assert keep(path, "new", "2026-11-22T10-00-02Z") == first
    assert kept(path) == ["old", "new"]


def test_a_link_that_was_kept_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "myauth.conf"
    (tmp_path / ".myauth.conf.2026-11-22T09-00-00Z").symlink_to("/nowhere")
    assert keep(path, "old").read_text() == "old"
    os.mkfifo(tmp_path / "myauth.conf.2026-11-22T11-00-00Z")
    assert keep(path, "new", "2026-11-22T12-00-00Z").read_text() == "new"
    assert [files.readable(file) for file in files.kept_files(str(path))] == [None, "old", None, "new"]


def test_an_admins_own_copies_are_neither_counted_nor_removed(tmp_path: Path) -> None:
    path = tmp_path / "myauth.conf"
    own = [tmp_path / f"myauth.conf.{name}" for name in ("20260101", "2026-11-22", "2026-11-22T10-00-00Z.bak", "old")]
    for file in own:
        file.touch()
    for number in range(12):
        keep(path, str(number), f"2026-11-22T10-00-{number:02d}Z")
    assert all(file.exists() for file in own)
    assert len(kept(path)) == files.KEPT_FILES


def test_a_file_that_cannot_be_put_in_place_leaves_all_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "myauth.conf"
    path.mkdir()
    with pytest.raises(OSError, match=r"myauth\.conf"):
        files.replace_file(str(path), "new", os.getuid(), os.getgid())
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("before", ["file", "link", "nothing"])
def test_what_fails_in_between_puts_back_the_very_file_that_was_there(tmp_path: Path, before: str) -> None:
    path, target = tmp_path / "myauth.conf", tmp_path / "target"
    target.write_text("old")
    if before == "file":
        path.write_text("old")
        path.chmod(0o604)
    elif before == "link":
        path.symlink_to(target)
    was = path.lstat() if before != "nothing" else None

    def put_in_place() -> None:
        with files.put_back_on_error(str(path)):
            files.replace_file(str(path), "new", os.getuid(), os.getgid())
            files.put_link(str(tmp_path / "nowhere/link"), str(path), "")

    with pytest.raises(FileNotFoundError):
        put_in_place()
    assert {entry.name for entry in tmp_path.iterdir()} == {"target", *(["myauth.conf"] if was else [])}
    if was:
        assert (path.lstat().st_ino, path.lstat().st_mode) == (was.st_ino, was.st_mode)


def test_what_succeeds_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "myauth.conf"
    path.write_text("old")
    with files.put_back_on_error(str(path)):
        files.replace_file(str(path), "new", os.getuid(), os.getgid())
    assert {entry.name: entry.read_text() for entry in tmp_path.iterdir()} == {"myauth.conf": "new"}


@pytest.mark.parametrize("thing", ["file", "link", "pipe", "folder"])
def test_whatever_is_where_a_link_has_to_be_is_kept_as_it_is(tmp_path: Path, thing: str) -> None:
    path, link = tmp_path / "myauth.conf", tmp_path / "supervisor.conf"
    if thing == "file":
        link.write_text("by hand")
    elif thing == "link":
        link.symlink_to("/etc/shadow")
    elif thing == "pipe":
        os.mkfifo(link)
    else:
        link.mkdir()
    was = link.lstat()
    (aside,) = files.put_link(str(link), str(path), f"{link}.{STAMP}")
    assert os.readlink(link) == str(path)
    assert os.lstat(aside).st_ino == was.st_ino
    assert {entry.name for entry in tmp_path.iterdir()} == {"supervisor.conf", f"supervisor.conf.{STAMP}"}


def test_a_link_is_put_over_what_is_kept_elsewhere(tmp_path: Path) -> None:
    path, link = tmp_path / "myauth.conf", tmp_path / "supervisor.conf"
    link.write_text("by hand")
    assert files.put_link(str(link), str(path), "") == []
    assert [entry.name for entry in tmp_path.iterdir()] == ["supervisor.conf"]
    assert os.readlink(link) == str(path)
