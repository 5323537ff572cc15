# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What root does in folders of somebody else: as that one, or not at all."""

from __future__ import annotations

import errno
import os
import pwd
import signal
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import files, privileges
from ansible_collections.allianceauth.tuning.plugins.modules import auth_info, celery_call

NOBODY = pwd.getpwnam("nobody").pw_uid

as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")


@pytest.fixture
def home() -> Iterator[Path]:
    """Have a folder of nobody's, on a way that everybody can go."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        os.chmod(name, 0o711)
        folder = Path(name) / "home"
        folder.mkdir()
        os.chown(folder, NOBODY, -1)
        yield folder


def secret(folder: Path) -> Path:
    file = folder.parent / "secret"
    file.write_text("secret")
    file.chmod(0o600)
    return file


def test_a_child_hands_over_what_it_finds_and_what_goes_wrong() -> None:
    assert privileges.in_child(lambda: [os.getpid(), "\udce4"])[1] == "\udce4"
    with pytest.raises(FileNotFoundError, match="nowhere"):
        privileges.in_child(lambda: os.stat("/nowhere").st_uid)
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        privileges.in_child(lambda: 1 // 0)


def test_a_child_that_never_ends_or_dies_is_no_reason_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privileges, "_SECONDS", 0.5)
    with pytest.raises(TimeoutError):
        privileges.in_child(signal.pause)
    with pytest.raises(RuntimeError, match="ended at once"):
        privileges.in_child(lambda: os.kill(os.getpid(), signal.SIGKILL))


def test_a_file_without_end_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privileges, "_LARGEST_FILE", 1000)
    (tmp_path / "right").write_text("a" * 1000)
    (tmp_path / "large").write_text("a" * 1001)
    (tmp_path / "zero").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe")
    assert len(privileges.read(str(tmp_path / "right"))) == 1000
    for name, code in {"large": errno.EFBIG, "zero": errno.EINVAL, "pipe": errno.EINVAL}.items():
        with pytest.raises(OSError, match=os.strerror(code) if code == errno.EFBIG else "Not a regular file"):
            privileges.read(str(tmp_path / name))


@as_root
def test_a_child_has_no_more_rights_than_its_user() -> None:
    def identity() -> list[list[int]]:
        return [list(os.getresuid()), list(os.getresgid()), os.getgroups()]

    group = pwd.getpwuid(NOBODY).pw_gid
    assert privileges.in_child(identity, NOBODY) == [[NOBODY] * 3, [group] * 3, os.getgrouplist("nobody", group)]


@as_root
def test_who_owns_a_folder_on_the_way_decides_where_it_leads(home: Path) -> None:
    (home / "root's").mkdir()
    (home.parent / "link").symlink_to(home / "file")
    (home.parent / "relative").symlink_to("home/file")
    (home.parent / "loop").symlink_to("loop")
    assert privileges.untrusted_owner("/etc/passwd") is None
    assert privileges.untrusted_owner(str(home)) is None
    assert privileges.untrusted_owner(str(home.parent / "loop")) is None
    for path in (f"{home}/.", home / "file", home / "root's/file", home.parent / "link", home.parent / "relative"):
        assert privileges.untrusted_owner(str(path)) == NOBODY
    assert privileges.untrusted_owner(f"{home}/../secret") == NOBODY


@as_root
def test_a_link_to_what_its_owner_cannot_read_is_not_read_either(home: Path) -> None:
    (home / "supervisor.conf").symlink_to(secret(home))
    with pytest.raises(PermissionError):
        privileges.read(str(home / "supervisor.conf"))
    (home.parent / "conf.d").symlink_to(home / "supervisor.conf")
    with pytest.raises(PermissionError):
        privileges.read(str(home.parent / "conf.d"))
    assert privileges.read(str(secret(home))) == "secret"


def test_only_a_file_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="Not a regular file"):
        privileges.read(str(tmp_path / "pipe"))
    with pytest.raises(OSError, match="Not a regular file"):
        privileges.read("/dev/zero")


@as_root
def test_a_link_is_made_by_the_folders_owner(home: Path) -> None:
    link = home / "supervisor.conf"
    link.write_text("root has put it here")
    (aside,) = files.put_link(str(link), "/etc/supervisor/conf.d/myauth.conf", f"{home}/kept")
    assert link.lstat().st_uid == NOBODY
    assert stat.S_ISLNK(link.lstat().st_mode)
    assert Path(aside).read_text() == "root has put it here"
    # A folder that has become a way to another one.
    elsewhere = home.parent / "elsewhere"
    elsewhere.mkdir()
    (home / "moved").symlink_to(elsewhere)
    with pytest.raises(PermissionError):
        files.put_link(str(home / "moved/supervisor.conf"), "/etc/passwd", f"{home}/kept")
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("called", [auth_info, celery_call], ids=["apply", "load"])
def test_a_play_without_root_is_told_the_line_that_is_missing(
    called: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**result: Any) -> None:
        raise SystemExit(result["msg"])

    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(called, "AnsibleModule", lambda **_given: SimpleNamespace(check_mode=True, fail_json=fail))
    with pytest.raises(SystemExit, match=r": the role needs root on the server, .* add `become: true` to the play"):
        called.main()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert privileges.root_missing() == ""
