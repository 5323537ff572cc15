# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets of auth_environment reach the programs, and nobody else: not on the way there, not if the way ends early.

The server becomes a tuned one here.
"""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
from memory import leaks
from shared import playbook, server

# The telling parts of vars/start.yml.
TOKEN = "razorbill-94d7"
BOT_TOKEN = "guillemot-61c2"
SECRETS = (TOKEN, BOT_TOKEN)
VERBOSE = ("-vvv", "--diff")

# Where a server keeps what is written at run time.
PLACES = "/etc /home /opt /root /run /srv /tmp /usr/local /var"


@pytest.fixture(scope="module", autouse=True)
def failed(host: Any) -> list[playbook.Run]:
    """Run into failures: while superlance is installed, at the daemon's parser, at the variables themselves."""
    no_index = {"auth_pip_extra_args": ["--no-index"], "auth_superlance_version": "1.0.0"}
    runs = [playbook.apply(*VERBOSE, *playbook.extra_vars(no_index))]
    leaks.place(host, "/etc/supervisor/conf.d/broken.conf", "[program:broken]\n")
    runs.append(playbook.apply(*VERBOSE))
    server.run(host, "rm /etc/supervisor/conf.d/broken.conf")
    for wrong in (f"LAB_TOKEN={TOKEN}", {"LAB_TOKEN": f"{TOKEN}\n"}, {"LAB_TOKEN": [TOKEN]}):
        runs.append(playbook.apply(*VERBOSE, *playbook.extra_vars({"auth_environment": wrong})))
    bot = {"command": "/bin/true", "environment": f"LAB_BOT_TOKEN={BOT_TOKEN}"}
    runs.append(playbook.apply(*VERBOSE, *playbook.extra_vars({"auth_extra_programs": {"bot": bot}})))
    return runs


@pytest.fixture(scope="module", autouse=True)
def tuned(failed: list[playbook.Run]) -> playbook.Run:
    """Run as somebody does who wants to know it all."""
    run = playbook.apply(*VERBOSE)
    assert run.status == 0
    return run


def said(run: playbook.Run) -> set[str]:
    """Return the secrets that a run has shown."""
    return {secret for secret in SECRETS if secret in run.output}


def test_runs_that_fail_show_no_secret(failed: list[playbook.Run]) -> None:
    assert all(run.status != 0 for run in failed)
    assert [said(run) for run in failed] == [set()] * len(failed)


def test_a_run_shows_no_secret_with_vvv_and_diff(tuned: playbook.Run) -> None:
    assert re.search(r"(?m)^\+environment = \(not shown\)", tuned.output)
    assert said(tuned) == set()


def test_a_later_run_changes_nothing_and_shows_no_secret() -> None:
    run = playbook.apply(*VERBOSE)
    assert set(run.changed.values()) == {0}
    assert said(run) == set()


@pytest.mark.parametrize("program", ["beat", "worker_00", "worker_02", "worker_fork_00", "gunicorn", "bot"])
def test_the_secrets_reach_the_programs_unchanged(host: Any, program: str) -> None:
    pid = leaks.all_running(host)[f"myauth:{program}"]
    # Not even root may read another's in a container, but its user may anywhere.
    environment = server.as_user(host, f"cat /proc/{pid}/environ").split("\0")
    assert f"LAB_TOKEN=it's 100% {TOKEN}; of all" in environment
    assert (f"LAB_BOT_TOKEN=of-the-bot-{BOT_TOKEN}" in environment) is (program == "bot")


def test_the_servers_journal_has_no_secret(host: Any) -> None:
    journal = server.run(host, "journalctl --no-pager --output cat")
    assert "environments=NOT_LOGGING_PARAMETER" in journal
    assert not [line for line in journal.splitlines() if any(secret in line for secret in SECRETS)]


@pytest.mark.parametrize("secret", SECRETS)
def test_only_root_and_the_auth_user_can_read_a_secret_in_a_file(host: Any, secret: str) -> None:
    # The pattern is not what it finds: sudo's own log has these commands.
    pattern = secret[:-1] + f"[{secret[-1]}]"
    search = f"grep --recursive --files-with-matches --no-messages --devices=skip {pattern} {PLACES}"
    assert host.run(f"runuser -u nobody -- {search}").stdout == ""
    holders = host.run(search).stdout.split()
    assert server.SUPERVISOR_CONF in holders
    assert all(
        path.startswith(server.SUPERVISOR_CONF) or path == f"{server.PROJECT}/supervisor.conf" for path in holders
    )


@pytest.mark.parametrize("secret", SECRETS)
def test_other_users_see_no_secret_among_the_processes(host: Any, secret: str) -> None:
    listing = shlex.join(["ps", "axeww", "-o", "args"])
    assert secret in server.as_user(host, listing)
    assert secret not in server.run(host, f"runuser -u nobody -- {listing}")
