# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the release before has left on a server works on with this one, step by step."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from shared import play, playbook, server

# What the first release is tested from; it has to be in the clone's history, as each release's tag has.
FIRST = "a32823d"


def release_before() -> str:
    """Return the newest tag before what is here, or what the first release is tested from."""
    asked = ["git", "describe", "--tags", "--abbrev=0", "--match", "v*", "HEAD^"]
    return (
        subprocess.run(asked, cwd=playbook.CHECKOUT, capture_output=True, text=True, check=False).stdout.strip()
        or FIRST
    )


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the collection as it was then."""
    collections = tmp_path_factory.mktemp("before")
    folder = collections / "ansible_collections/allianceauth/tuning"
    folder.mkdir(parents=True)
    archive = subprocess.run(
        ["git", "archive", release_before()], cwd=playbook.CHECKOUT, capture_output=True, check=True
    )
    subprocess.run(["tar", "--extract", "--directory", folder], input=archive.stdout, check=True)
    return collections


def old_apply(before: Path, **variables: Any) -> playbook.Run:
    return playbook.apply(*playbook.extra_vars(variables), collections=before, cwd=before)


def test_a_server_of_the_release_before_converges(host: Any, before: Path) -> None:
    assert old_apply(before, auth_worker_concurrency=4).status == 0
    assert old_apply(before, auth_worker_concurrency=6).status == 0
    server.keep_busy(host, "upgraded", 12)
    run = play.run("apply", auth_worker_concurrency=6)
    assert run.status == 0
    assert server.done(host, "upgraded")
    assert "--concurrency=6" in server.arguments(host)["worker_00"]
    assert server.healthy(host)
    again = play.run("apply", auth_worker_concurrency=6)
    assert again.changed == {server.name(host): 0}


def test_rollback_finds_its_backups(host: Any) -> None:
    kept = sorted(
        server.run(host, f"cd {server.CONF_D} && ls -d .myauth.conf.20* myauth.conf.20* 2>/dev/null; :").split()
    )
    texts = {name: host.file(f"{server.CONF_D}/{name}").content_string for name in kept}
    (fourth,) = [name for name, text in texts.items() if "--concurrency=4\n" in text]
    listed = play.run("rollback", auth_rollback_to="list")
    assert listed.status == 0
    assert fourth.lstrip(".") in listed.output
    assert play.run("rollback", auth_rollback_to=fourth).status == 0
    assert "--concurrency=4" in server.arguments(host)["worker_00"]
    assert server.healthy(host)


def test_remove_finds_the_first_file_among_them(host: Any) -> None:
    run = play.run("remove")
    assert run.status == 0
    assert "superlance stays, because no run has noted that it was not there before" in " ".join(run.output.split())
    own = host.file(f"{server.PROJECT}/supervisor.conf")
    assert (own.is_symlink, own.user) == (False, server.USER)
    assert "-p worker=256MB" in own.content_string
    assert host.file(server.SUPERVISOR_CONF).linked_to == f"{server.PROJECT}/supervisor.conf"
    assert "--concurrency=5" in server.arguments(host)["worker_00"]
    assert server.run(host, f"find {server.PROJECT}/log -type l") == ""
