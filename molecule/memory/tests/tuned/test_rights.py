# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Root's daemon loads and writes nothing that the auth user can change, and starts nothing for it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from memory import leaks, rights
from shared import playbook, server

LINK = f"{server.PROJECT}/supervisor.conf"
SOCKET = "/run/supervisor.sock"

# What only root may read.
SECRET = "/srv/secret"
MARKER = "puffin-5d03"

# Python runs it before whatever it was started for; Ansible would read this as a module's answer.
ANSWER = """import os
print('{"changed": true, "kept": [], "ansible_facts": {"auth_user": "root", "auth_memmon_user": "root"}}', flush=True)
os._exit(0)
"""


def test_the_auth_user_can_change_nothing_that_root_uses(host: Any) -> None:
    found = rights.root_files(host)
    # The search has seen all kinds of them.
    for path in ("/", server.SUPERVISOR_CONF, "/etc/supervisor/conf.d", "/usr/bin/supervisord", "/usr/bin/python3"):
        assert path in found.loaded
    assert f"{server.LOG_DIR}/worker_00.log" in found.loaded
    assert any(re.search(r"/libc\.so\.6$", path) for path in found.loaded)
    assert any(path.endswith("/supervisor/options.py") for path in found.loaded)
    assert found.changeable == []


def test_what_a_rollback_would_put_back_is_not_the_auth_users_either(host: Any) -> None:
    assert server.kept(host)
    assert server.run(host, f"find /etc/supervisor -user {server.USER} -o -perm /022 -not -type l") == ""


def test_supervisord_is_the_only_root_among_them(host: Any) -> None:
    daemon = server.run(host, "systemctl show --property MainPID --value supervisor").strip()
    assert set(server.run(host, f"ps -o user:32= --ppid {daemon}").split()) == {server.USER}


@pytest.mark.parametrize("listener", ["memmon", "crashmail", "httpok"])
def test_the_listeners_are_the_auth_user(host: Any, listener: str) -> None:
    assert server.users(host, rf"/bin/{listener}\b") == {server.USER}


def test_the_socket_is_open_to_root_and_the_auth_users_group(host: Any) -> None:
    socket = host.file(SOCKET)
    assert (socket.user, socket.group, socket.mode) == ("root", server.USER, 0o770)


def test_another_user_cannot_use_the_daemon(host: Any) -> None:
    ask = f"supervisorctl -s unix://{SOCKET} pid"
    assert rights.attempt(host, server.USER, ask).strip().isdigit()
    assert "Permission denied" in rights.attempt(host, "nobody", ask)


@pytest.fixture
def restored(host: Any) -> Iterator[None]:
    """Have the project's link back after a test, and no trace of an intruder."""
    before = leaks.all_running(host)
    yield
    server.run(host, f"ln -sfn {server.SUPERVISOR_CONF} {LINK} && rm -f {rights.MARK}")
    assert leaks.all_running(host) == before


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize(
    "attempt",
    [
        f"printf '{rights.SECTION}' > /etc/supervisor/conf.d/intruder.conf",
        f"printf '{rights.SECTION}' >> {server.SUPERVISOR_CONF}",
        f"printf '{rights.SECTION}' >> {LINK}",
        f"sed -i 's,/bin/celery,/bin/true,' {server.SUPERVISOR_CONF}",
        f"mv {server.SUPERVISOR_CONF} /tmp/away",
        f"rm {LINK} && printf '{rights.SECTION}' > {LINK}",
        f"ln -sfn {server.PROJECT}/bot.py /etc/supervisor/supervisord.conf",
    ],
    ids=["a file", "a section", "through the link", "a command", "away", "the link", "the main file"],
)
def test_the_auth_user_cannot_make_the_daemon_start_a_new_command(host: Any, attempt: str) -> None:
    said = rights.attempt(host, server.USER, attempt)
    # The link is its own to turn round; nobody follows it.
    assert ("ermission denied" in said) is (not attempt.startswith("rm"))
    # Its group may talk to the daemon, so these commands are carried out.
    again = "supervisorctl reread; supervisorctl update; supervisorctl add intruder; supervisorctl start intruder"
    answer = rights.attempt(host, server.USER, again)
    assert "No config updates to processes" in answer
    assert "no such process" in answer
    assert not host.file(rights.MARK).exists


def beside(host: Any, path: str) -> set[str]:
    """Return what was kept beside a file or link."""
    folder, _slash, name = path.rpartition("/")
    return set(host.run(f"ls -d {folder}/.{name}.20*").stdout.split())


@pytest.fixture
def led_astray(host: Any) -> Iterator[None]:
    """Have the auth user turn its link round, to a file that it must not read."""
    leaks.place(host, SECRET, f"[program:{MARKER}]\ncommand = {MARKER}\n")
    server.run(host, f"chmod 600 {SECRET}")
    server.as_user(host, f"ln -sfn {SECRET} {LINK}")
    yield
    server.run(host, f"rm {SECRET}")


@pytest.mark.thorough
@pytest.mark.usefixtures("restored", "led_astray")
def test_a_link_of_the_auth_users_shows_nobody_what_it_leads_to(host: Any) -> None:
    files = beside(host, LINK)
    run = playbook.apply("-vvv", "--diff")
    assert run.status == 0, run.sentence
    assert MARKER not in run.output
    assert host.file(LINK).linked_to == server.SUPERVISOR_CONF
    (kept,) = beside(host, LINK) - files
    assert host.file(kept).linked_to == SECRET
    # The pattern is not what it finds: sudo's own log has these commands. Links are not followed.
    pattern = MARKER[:-1] + f"[{MARKER[-1]}]"
    assert host.run(f"grep -r --files-with-matches --devices=skip {pattern} /home /etc/supervisor").stdout == ""


@pytest.fixture
def answered_for(host: Any) -> Iterator[None]:
    """Have a Python of the auth user's that answers for whatever it is to run; superlance and a link are missing."""
    version = server.run(host, "python3 -c 'import sys; print(*sys.version_info[:2], sep=\".\")'").strip()
    local = f"/home/{server.USER}/.local/lib/python{version}"
    superlance = server.run(host, f"ls -d {server.VENV}/lib/python3*/site-packages/superlance-2.0.0.dist-info").strip()
    server.as_user(host, f"mkdir -p {local}/site-packages && mv {superlance} {superlance}.away")
    server.as_user(host, f"rm {server.PROJECT}/log/worker_00.log")
    leaks.place(host, f"{local}/site-packages/usercustomize.py", ANSWER, server.USER)
    yield
    server.run(host, f"rm {local}/site-packages/usercustomize.py")
    # Whichever of the two is whole.
    server.as_user(host, f"test -d {superlance} && rm -r {superlance}.away || mv {superlance}.away {superlance}")
    assert playbook.apply().status == 0


@pytest.mark.thorough
@pytest.mark.usefixtures("answered_for")
def test_a_forged_answer_of_the_auth_user_gives_no_program_to_root(host: Any) -> None:
    # It does.
    assert '"auth_user": "root"' in server.as_user(host, f"HOME=/home/{server.USER} python3 -c pass")
    run = playbook.apply()
    assert run.status == 0, run.sentence
    leaks.all_running(host)
    assert not re.search(r"(?m)^user *= *root$", host.file(server.SUPERVISOR_CONF).content_string)
    daemon = server.run(host, "systemctl show --property MainPID --value supervisor").strip()
    assert set(server.run(host, f"ps -o user:32= --ppid {daemon}").split()) == {server.USER}
    # What it was run for was done, not only said to be.
    assert "Version: 2.0.0" in server.as_user(host, f"{server.VENV}/bin/pip show superlance 2>&1")
    assert host.file(f"{server.PROJECT}/log/worker_00.log").linked_to == f"{server.LOG_DIR}/worker_00.log"
