# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What nobody gets to read of a file that holds secrets."""

from __future__ import annotations

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import description, managed_file

# Every way in which supervisor's parser takes one, and what it leaves out.
SECRETIVE = [
    'environment=TOKEN="s3cret"',
    'environment = TOKEN="s3cret"\nautostart = true\n',
    'environment: TOKEN="s3cret"\n',
    'Environment =\n    A="b",\n    TOKEN="s3cret"\nautostart = true\n',
    'environment = A="b",\n; a remark\n  TOKEN="s3cret"\nautostart = true\n',
    'environment = A="b",\n\n  TOKEN="s3cret"\n\nautostart = true\n',
    ';environment = TOKEN="s3cret"\nautostart = true\n',
    '# environment=TOKEN="s3cret"\n',
]


@pytest.mark.parametrize("text", SECRETIVE)
def test_no_spelling_of_an_environment_is_shown_and_all_else_is(text: str) -> None:
    shown = managed_file.shown(f"[program:bot]\ncommand = bot\n{text}\n[program:other]\ncommand = other\n")
    assert "s3cret" not in shown
    assert "command = bot\n" in shown
    assert "[program:other]\ncommand = other\n" in shown
    assert ("autostart" in shown) == ("autostart" in text)


@pytest.mark.parametrize("section", ["unix_http_server", "inet_http_server", "supervisorctl"])
def test_no_password_of_supervisors_own_is_shown(section: str) -> None:
    shown = managed_file.shown(f"[{section}]\nusername = admin\npassword = s3cret\nPassword:s3cret\nchmod = 0700\n")
    assert "s3cret" not in shown
    assert "username = admin\n" in shown
    assert "chmod = 0700\n" in shown


@pytest.mark.parametrize("text", [text for text in SECRETIVE if text[0] not in ";#"])
def test_these_are_what_the_parser_takes(text: str) -> None:
    assert "s3cret" in description.sections(f"[program:bot]\n{text}")["program:bot"]["environment"]


def test_a_programs_own_words_lose_what_its_environment_may_have_put_there() -> None:
    environment = {"TOKEN": "s3cret", "LONGER": "s3cret-and-more", "DEBUG": "1", "AA_PROJECT_DIRECTORY": "/srv/myauth"}
    words = "ValueError: 's3cret-and-more' and s3cret are no numbers, as 1 is; see /srv/myauth"
    assert managed_file.redacted(words, managed_file.secret_values(environment)) == (
        "ValueError: '(not shown)' and (not shown) are no numbers, as 1 is; see /srv/myauth"
    )
