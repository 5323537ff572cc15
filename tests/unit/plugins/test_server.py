# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read of a server's files and processes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import proc, project

KINDS = [
    (["/venv/bin/python3", "/venv/bin/celery", "-A", "myauth", "worker", "-n", "beat_00"], "worker"),
    (["/venv/bin/python3", "/venv/bin/celery", "-A", "myauth", "beat"], "beat"),
    (["/venv/bin/python3", "/venv/bin/celery", "-A", "myauth", "inspect"], "other"),
    (["/venv/bin/python3", "/venv/bin/gunicorn", "myauth.wsgi"], "gunicorn"),
    (["gunicorn: master [myauth.wsgi]"], "gunicorn"),
    (["[celeryd: worker_00@auth1:MainProcess] -active- (-A myauth worker --pool=threads)"], "worker"),
    (["[celery beat] (-A myauth beat)"], "beat"),
    (["/venv/bin/python3", "/venv/bin/memmon", "-p", "worker_00=1GB"], "listener"),
    (["python", "manage.py", "worker"], "other"),
    ([], "other"),
]


@pytest.mark.parametrize(("arguments", "kind"), KINDS)
def test_a_process_is_what_its_command_line_says(arguments: list[str], kind: str) -> None:
    assert proc.kind(arguments) == kind


ROUTES = """
app = Celery("myauth")
app.conf.task_routes = {"discord.*": {"queue": "services"}, "a.*": {"queue": "heavy", "priority": 3}}
app.conf.other = {"x": {"queue": "not this"}}
"""


def test_the_queues_that_a_project_routes_to_are_found_without_running_it(tmp_path: Path) -> None:
    celery_py = tmp_path / "celery.py"
    celery_py.write_text(ROUTES)
    assert project.routed_queues(str(celery_py)) == ["heavy", "services"]


@pytest.mark.parametrize(
    "text", [None, "", "not python", "\0", "\udce4", "(" * 100_000, "app.conf.task_routes = make()"]
)
def test_a_project_without_readable_routes_has_none(tmp_path: Path, text: str | None) -> None:
    celery_py = tmp_path / "celery.py"
    if text is not None:
        celery_py.write_text(text, errors="surrogateescape")
    assert project.routed_queues(str(celery_py)) == []


@pytest.mark.parametrize("endless", ["pipe", "/dev/zero"])
def test_what_never_ends_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path, endless: str) -> None:
    packages = tmp_path / "lib/python3.11/site-packages"
    (packages / "gunicorn").mkdir(parents=True)
    files = [tmp_path / "celery.py", packages / "gunicorn/config.py"]
    for path in files:
        if endless == "pipe":
            os.mkfifo(path)
        else:
            path.symlink_to(endless)
    assert project.routed_queues(str(files[0])) == []
    assert project.venv(str(tmp_path))["gunicorn_control_socket"] is False


def test_a_link_is_told_with_the_checksum_of_what_it_leads_to(tmp_path: Path) -> None:
    target, link = tmp_path / "myauth.conf", tmp_path / "supervisor.conf"
    target.write_text("x")
    target.chmod(0o640)
    link.symlink_to(target)
    found = project.file(str(link))
    assert (found["kind"], found["target"], found["mode"]) == ("link", str(target), 0o640)
    assert found["checksum"] == hashlib.sha1(b"x").hexdigest()
    target.unlink()
    assert (project.file(str(link))["kind"], project.file(str(link))["checksum"]) == ("link", None)
    assert [project.file(str(path))["kind"] for path in (target, tmp_path)] == ["absent", "other"]


def test_a_user_is_told_with_the_primary_group() -> None:
    assert project.user("root") == {"uid": 0, "gid": 0, "group": "root", "home": "/root"}
    assert project.user("nobody-of-that-name") is None


def test_a_process_is_known_by_its_start_until_it_is_gone_even_as_a_zombie() -> None:
    command = [sys.executable, "-c", "print(flush=True); input()", "a b"]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout
    # Popen returns during the exec, when a process has no arguments yet.
    child.stdout.readline()
    assert proc.parent(child.pid) == os.getpid()
    assert proc.command_line(child.pid)[-1] == "a b"
    assert proc.start_ticks(child.pid) is not None
    child.kill()
    # Ended and not yet waited for: waitid leaves the zombie.
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert proc.start_ticks(child.pid) is None
    child.communicate()
    assert (proc.command_line(child.pid), proc.parent(child.pid), proc.rss(child.pid)) == ([], None, 0)
