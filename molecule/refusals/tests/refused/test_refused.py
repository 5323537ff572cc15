# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables that cannot work are refused in a sentence that names them, and nothing is touched."""

from __future__ import annotations

from typing import Any

import pytest
from shared import playbook, server

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a word for a number": ({"auth_worker_concurrency": "many"}, "auth_worker_concurrency"),
    "a negative number": ({"auth_worker_numprocs": -1}, "auth_worker_numprocs"),
    "an unknown pool": ({"auth_worker_pool": "fibres"}, "auth_worker_pool"),
    "a list for a text": ({"auth_memmon_email": ["a@example.com"]}, "auth_memmon_email"),
    "a name with a space": ({"auth_workers": [{"name": "big worker", "queues": ["big"]}]}, "auth_workers[0].name"),
    "a name with a percent sign": ({"auth_workers": [{"name": "big%d", "queues": ["big"]}]}, "auth_workers[0].name"),
    "a newline in an argument": ({"auth_worker_options": ["-E\nuser = root"]}, "auth_worker_options"),
    "a newline in a command": (
        {"auth_extra_programs": {"bot": {"command": ["bot", "\n[program:x]"]}}},
        "auth_extra_programs.bot.command",
    ),
    "a variable that does not exist": (
        {"auth_worker_concurency": 20},
        "auth_worker_concurency is no variable of this role (did you mean auth_worker_concurrency?)",
    ),
    "a key that no pool has": (
        {"auth_workers": [{"name": "big", "queue": ["big"]}]},
        "auth_workers[0].queue is ['big']: no pool has such a key (did you mean queues?).",
    ),
    "a pool that cannot grow": (
        {"auth_worker_options": ["--autoscale=10,3"]},
        "--autoscale needs the pool prefork: the pool threads cannot grow",
    ),
    "a size that memmon does not know": ({"auth_worker_memory_limit": "256MiB"}, "auth_worker_memory_limit"),
}

# The unit tests refuse all of them and more, without a server.
ONCE = ("a newline in an argument", "a variable that does not exist")


@pytest.fixture(scope="module")
def before(host: Any) -> dict[str, str]:
    """Return what is on the stock server."""
    return server.traces(host)


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        pytest.param(*case, marks=[] if name in ONCE else pytest.mark.thorough, id=name)
        for name, case in REFUSED.items()
    ],
)
def test_it_is_refused_and_nothing_is_touched(
    host: Any, before: dict[str, str], variables: dict[str, Any], named: str
) -> None:
    run = playbook.apply(*playbook.extra_vars(variables))
    assert run.status != 0
    assert named in run.sentence
    assert set(run.changed.values()) == {0}
    assert server.differences(before, server.traces(host)) == {}


def test_several_are_told_one_a_line(host: Any, before: dict[str, str]) -> None:
    variables = {"auth_worker_concurrency": "many", "auth_worker_numprocs": -1, "auth_gunicorn_bnid": "[::1]:80"}
    run = playbook.apply(*playbook.extra_vars(variables))
    assert run.status != 0
    name = server.name(host)
    other = "if it belongs to something else, name it in auth_other_variables."
    for line in (
        f"{name}: auth_worker_concurrency is 'many': it has to be a whole number.",
        f"{name}: auth_worker_numprocs is -1: it has to be 1 or more.",
        f"{name}: auth_gunicorn_bnid is no variable of this role (did you mean auth_gunicorn_bind?); {other}",
    ):
        assert line in run.output.splitlines()
    assert run.sentence == f"{name}: 3 things have to be set right first, see the lines above; nothing was touched."
    assert server.differences(before, server.traces(host)) == {}


def test_a_variable_of_something_else_can_be_named(host: Any, before: dict[str, str]) -> None:
    variables = {"auth_of_something_else": 1, "auth_other_variables": ["auth_of_something_else"]}
    assert playbook.apply("--check", *playbook.extra_vars(variables)).status == 0
    assert server.differences(before, server.traces(host)) == {}


@pytest.mark.parametrize("name", ["apply", "load"])
def test_a_play_without_root_is_told_the_line_that_is_missing(host: Any, before: dict[str, str], name: str) -> None:
    run = playbook.finish(playbook.start(name, "-e", "ansible_become=false"))
    assert run.status != 0
    assert "add `become: true` to the play that calls the role." in run.sentence
    assert server.differences(before, server.traces(host)) == {}
