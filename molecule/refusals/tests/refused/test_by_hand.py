# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A first run meets what somebody has chosen on the server: it shows that, and the lines that it offers keep it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from shared import playbook, server

FILE = f"{server.PROJECT}/supervisor.conf"
SECRET = "hunter2-of-the-bot"

SHOWN = [
    "worker --concurrency: 8 -> 10 (auth_worker_concurrency)",
    "worker --max-tasks-per-child: --max-tasks-per-child=50 -> none (options of worker in auth_workers)",
    "worker umask: 027 -> none (auth_program_settings.worker.umask)",
    "gunicorn --timeout: 300 -> 120 (auth_gunicorn_timeout)",
    "[program:authbot]: a program -> none (auth_extra_programs.authbot)",
]


@pytest.fixture
def by_hand(host: Any) -> Iterator[dict[str, str]]:
    """Have a supervisor.conf that an admin has worked on; return what is on the server then."""
    server.run(host, f"cp -a {FILE} {FILE}.stock")
    argument = r"s/^\( *\)--concurrency=5$/\1--concurrency=8\n\1--max-tasks-per-child=50/"
    edits = rf"{argument}; s/^killasgroup.*/&\numask = 027/"
    server.run(host, rf"sed -i '/^\[program:worker\]/,/^\[program:worker_services\]/ {{ {edits} }}' {FILE}")
    server.run(host, f"sed -i 's/--timeout 120/--timeout 300/' {FILE}")
    bot = f"\\n[program:authbot]\\ncommand = /bin/sleep 1d\\nuser = {server.USER}\\nenvironment = TOKEN={SECRET}\\n"
    server.run(host, f"printf '{bot}' >> {FILE}")
    yield server.traces(host)
    server.run(host, f"mv {FILE}.stock {FILE}")


@pytest.fixture
def host_vars(host: Any) -> Iterator[Path]:
    """Return the file of the host's variables, which is there for one test."""
    path = playbook.SERVERS / "host_vars" / f"{server.name(host)}.yml"
    path.parent.mkdir(exist_ok=True)
    yield path
    path.unlink(missing_ok=True)


def offered(run: playbook.Run) -> str:
    """Return the lines that a run offers to keep all of it."""
    answer = run.output.partition("Where you want another value")[2].partition("\n\n")[2]
    return "\n".join(line[2:] for line in answer.partition("\n\n")[0].splitlines())


def test_it_is_shown_one_a_line_and_nothing_is_touched(host: Any, by_hand: dict[str, str]) -> None:
    run = playbook.apply()
    assert run.status != 0
    assert sorted(re.findall(r"(?m)^  (\S.* -> .*)$", run.output)) == sorted(SHOWN)
    assert f"{server.SUPERVISOR_CONF} was not replaced: 5 values" in run.sentence
    assert SECRET not in run.output
    assert server.differences(by_hand, server.traces(host)) == {}


@pytest.mark.usefixtures("by_hand")
def test_the_offered_lines_in_the_file_that_is_named_keep_all_of_it(host_vars: Path) -> None:
    first = playbook.apply("--check")
    assert f"put these lines into host_vars/{host_vars.name}" in first.output
    text = offered(first)
    placeholder = "<the value that is in the present file>"
    assert text.count(placeholder) == 1
    host_vars.write_text(text)
    # The words that stand for the secret are no answer.
    assert "TOKEN still has the words that stand for its value" in playbook.apply("--check").output
    host_vars.write_text(text.replace(placeholder, SECRET))
    second = playbook.apply("--check", "--diff")
    assert second.status == 0
    for line in SHOWN:
        assert line not in second.output
    assert "gunicorn stopsignal: INT -> TERM (TERM lets requests finish, which INT aborts)" in second.output
    # What differs in meaning comes before the lines.
    assert second.output.index("what differs in meaning:") < second.output.index(f"+++ after: {server.SUPERVISOR_CONF}")


@pytest.mark.usefixtures("by_hand")
def test_a_value_that_was_set_is_done_and_what_is_discarded_goes(host_vars: Path) -> None:
    # Also where it is the default.
    answer = {
        "auth_worker_concurrency": 10,
        "auth_gunicorn_timeout": 60,
        "auth_discard": ["program:authbot", "program:worker --max-tasks-per-child"],
    }
    host_vars.write_text(yaml.safe_dump(answer))
    run = playbook.apply("--check")
    assert run.status != 0
    assert re.findall(r"(?m)^  (\S.* -> .*)$", run.output) == [SHOWN[2]]
    host_vars.write_text(yaml.safe_dump({**answer, "auth_program_settings": {"worker": {"umask": "022"}}}))
    run = playbook.apply("--check")
    assert run.status == 0
    for line in (SHOWN[0], "gunicorn --timeout: 300 -> 60 (auth_gunicorn_timeout)"):
        assert line in run.output
