# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody edits the file that the role has written, as its first lines say one should not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from shared import playbook, server


@pytest.fixture
def edited(host: Any) -> Iterator[dict[str, str]]:
    """Change a value that a variable was set for, and one that none was; return what is on the server then."""
    server.run(host, f"cp -a {server.SUPERVISOR_CONF} /var/lib/lab/before-the-edit")
    edits = "s/--concurrency=10$/--concurrency=8/; s/^startsecs = 10$/startsecs = 12/"
    server.run(
        host, rf"sed -i '/^\[program:worker\]/,/^\[program:worker_services\]/ {{ {edits} }}' {server.SUPERVISOR_CONF}"
    )
    yield server.traces(host)
    server.run(host, f"mv /var/lib/lab/before-the-edit {server.SUPERVISOR_CONF}")


def test_what_no_variable_was_set_for_is_asked_about(host: Any, edited: dict[str, str]) -> None:
    run = playbook.apply()
    assert run.status != 0
    assert re.findall(r"(?m)^  (\S.* -> .*)$", run.output) == [
        "worker startsecs: 12 -> 10 (auth_program_settings.worker.startsecs)"
    ]
    assert server.differences(edited, server.traces(host)) == {}


@pytest.mark.usefixtures("edited")
def test_what_a_variable_was_set_for_is_shown_and_the_offered_line_keeps_the_other() -> None:
    kept = {"auth_program_settings": {"worker": {"startsecs": 12}}}
    run = playbook.apply("--check", *playbook.extra_vars(kept))
    assert run.status == 0
    assert re.findall(r"(?m)^  (\S.* -> .*)$", run.output) == [
        "worker --concurrency: 8 -> 10 (auth_worker_concurrency)"
    ]
