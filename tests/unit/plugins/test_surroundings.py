# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What supervisor's parser does not look at: whom the socket admits, who takes a mail, who can change a file."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import preflight

NOBODY = pwd.getpwnam("nobody")


def listener(uid: int | None, command: str = "memmon -p worker_00=256MB") -> dict[str, Any]:
    return {"name": "memmon_worker_00", "uid": uid, "command": command}


def socket(mode: int, uid: int = 0, gid: int = 0) -> dict[str, Any]:
    return {"file": "/run/supervisor.sock", "mode": mode, "uid": uid, "gid": gid}


@pytest.mark.parametrize(
    ("mode", "owners", "admitted"),
    [
        (0o700, (0, 0), False),
        (0o700, (-1, -1), False),
        (0o770, (0, NOBODY.pw_gid), True),
        (0o750, (0, NOBODY.pw_gid), False),
        (0o700, (NOBODY.pw_uid, 0), True),
        (0o777, (0, 0), True),
    ],
)
def test_a_listener_that_may_not_connect_is_told_with_the_way_out(
    mode: int, owners: tuple[int, int], admitted: bool
) -> None:
    found = preflight.unable_to_connect([listener(NOBODY.pw_uid)], [socket(mode, *owners)])
    assert bool(found) is not admitted
    for sentence in found:
        assert "memmon_worker_00 runs as nobody, who may not connect to /run/supervisor.sock" in sentence
        assert "auth_memmon_user" in sentence
    assert preflight.unable_to_connect([listener(0)], [socket(mode, *owners)]) == []


def test_mail_that_nobody_would_take_is_told(tmp_path: Path) -> None:
    mails = "memmon -p worker_00=256MB -m me@example.com"
    taken = tmp_path / "sendmail"
    (sentence,) = preflight.lost_mail([listener(None, f"{mails} -s '{taken} -t'")] * 2)
    assert f"the mail for me@example.com would be lost, because {taken} does not exist" in sentence
    taken.touch(0o755)
    assert preflight.lost_mail([listener(None, f"{mails} -s '{taken} -t'")]) == []
    assert preflight.lost_mail([listener(None)]) == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_what_somebody_else_can_change_or_replace_is_told_with_who_that_is(tmp_path: Path) -> None:
    folder, file = tmp_path / "folder", tmp_path / "folder/file"
    folder.mkdir()
    file.touch()
    assert preflight.exposed([str(file), str(folder), "/nowhere"]) == {}
    os.chown(folder, NOBODY.pw_uid, -1)
    assert preflight.exposed([str(file), str(folder)]) == {str(file): "nobody", str(folder): "nobody"}
    os.chown(folder, 0, -1)
    os.chown(file, NOBODY.pw_uid, -1)
    assert preflight.exposed([str(file)]) == {str(file): "nobody"}


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file to a group")
def test_what_a_group_or_everybody_can_change_or_replace_is_told(tmp_path: Path) -> None:
    folder, file = tmp_path / "folder", tmp_path / "folder/file"
    folder.mkdir()
    file.touch()
    file.chmod(0o666)
    assert preflight.exposed([str(file)]) == {str(file): "everybody"}
    file.chmod(0o664)
    # root's own group is root.
    assert preflight.exposed([str(file)]) == {}
    os.chown(folder, 0, NOBODY.pw_gid)
    folder.chmod(0o775)
    group = grp.getgrgid(NOBODY.pw_gid).gr_name
    assert preflight.exposed([str(file)]) == {str(file): f"the group {group}"}
    assert preflight.exposed([str(file)], by_group=False) == {}
    # Nobody can replace what is another's in a folder like /tmp.
    folder.chmod(0o1777)
    assert preflight.exposed([str(file)]) == {}
