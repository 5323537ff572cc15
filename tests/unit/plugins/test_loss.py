# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody added by hand is not dropped unasked."""

from __future__ import annotations

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils import loss, sealing

NEW = "[program:worker]\ncommand = celery worker -n a\nuser = auth\n[group:myauth]\nprograms = worker\n"

ADDED = {
    "a bot": (NEW + "[program:authbot]\ncommand = bot\n", "program:authbot", "auth_extra_programs.authbot"),
    "an option": (
        NEW.replace("user =", "umask = 022\nuser ="),
        "program:worker.umask",
        "auth_program_settings.worker.umask",
    ),
    "an argument": (NEW.replace("-n a", "-n a --autoscale=3"), "program:worker --autoscale", "auth_worker_options"),
    "a log level": (NEW.replace("-n a", "-n a -l info"), "program:worker -l", "auth_worker_loglevel"),
    "a group": (NEW + "[group:bots]\nprograms = a\n", "group:bots", "[group:bots]"),
}


@pytest.mark.parametrize(("old", "name", "keeper"), ADDED.values(), ids=list(ADDED))
def test_what_would_be_gone_is_named_with_what_keeps_it(old: str, name: str, keeper: str) -> None:
    (sentence,) = loss.losses(old, NEW, [])
    assert keeper in sentence
    assert loss.losses(old, NEW, [name]) == []


def test_what_both_have_is_no_loss_whatever_its_value() -> None:
    assert loss.losses(NEW.replace("auth", "other"), NEW.replace("-n a", "-n b"), ["group:myother"]) == []


def test_what_a_variable_switches_off_is_no_loss() -> None:
    old = NEW + "[program:beat]\ncommand = beat\n[eventlistener:memmon]\ncommand = memmon -p worker=256MB\n"
    assert loss.losses(old, NEW, []) == []


def test_what_the_role_wrote_is_no_loss_until_somebody_changes_it() -> None:
    old = sealing.complete(NEW + "[program:bot]\ncommand = a\n", {})
    assert loss.losses(old, NEW, []) == []
    assert loss.losses(old.replace("command = a", "command = b"), NEW, []) != []


def test_the_seal_holds_for_environments_too_and_they_are_not_shown() -> None:
    sections = NEW.replace("user =", "environment = <environment of worker>\nuser =")
    text = sealing.complete(sections, {"worker": 'TOKEN="hunter2"'})
    assert 'environment = TOKEN="hunter2"' in text
    assert sealing.is_sealed(text)
    assert not sealing.is_sealed(text.replace("hunter2", "hunter3"))
    shown = sealing.shown(text)
    assert "hunter2" not in shown
    assert "user = auth" in shown


@pytest.mark.parametrize("text", ["", NEW, "; sha1 of what follows: 0\n"])
def test_another_file_is_not_sealed(text: str) -> None:
    assert not sealing.is_sealed(text)
