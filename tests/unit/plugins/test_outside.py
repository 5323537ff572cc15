# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd and needrestart are told, so that tasks are whole whoever restarts supervisord."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import outside, variables
from ansible_collections.allianceauth.tuning.plugins.module_utils.model import outside as texts
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import guard_program

# beat, worker and gunicorn in one group, a memmon, and somebody else's program.
SECONDS = 600 + 10 + 33 + 60
OVERRIDE = "/etc/systemd/system/supervisor.service.d/override.conf"


def decide(defaults: dict[str, Any], given: dict[str, Any] | None = None, **found: Any) -> outside.Outside:
    declared, refusals = variables.declare({**defaults, **(given or {})}, "auth1")
    assert refusals == []
    look = {"stop_seconds": 90.0, "set_by": "", "drop_in": "", "needrestart": "", "has_needrestart": True, **found}
    groups = [{"name": name, "processes": [{"stopwaitsecs": 33}]} for name in ("bots", "myauth", "memmon_worker_00")]
    info = {"unit": True, "outside": look, "own_groups": ["memmon_worker_00"], "effective": {"groups": groups}}
    return outside.decide(declared, info)


def test_systemd_and_needrestart_are_told_once(defaults: dict[str, Any]) -> None:
    found = decide(defaults)
    assert found.texts == {
        texts.DROP_IN: texts.drop_in(SECONDS),
        texts.NEEDRESTART: texts.NEEDRESTART_TEXT,
    }
    assert found.reasons == (
        "systemd waits 90 s (TimeoutStopSec) for a supervisord that may take 703 s to stop its programs (stopwaitsecs)",
        "needrestart may restart supervisord by itself after an upgrade of packages",
    )
    written: dict[str, Any] = {"drop_in": texts.drop_in(SECONDS), "needrestart": texts.NEEDRESTART_TEXT}
    again = decide(defaults, stop_seconds=float(SECONDS), **written)
    assert (again.texts, again.reasons) == ({}, ())


def test_what_systemd_has_not_read_yet_is_a_reason(defaults: dict[str, Any]) -> None:
    found = decide(defaults, drop_in=texts.drop_in(SECONDS), needrestart=texts.NEEDRESTART_TEXT)
    assert (found.texts, len(found.reasons)) == ({}, 1)


def test_more_than_is_needed_stays(defaults: dict[str, Any]) -> None:
    (text,) = decide(defaults, stop_seconds=3600.0, has_needrestart=False).texts.values()
    assert "TimeoutStopSec=3600\n" in text
    assert decide(defaults, stop_seconds=None, has_needrestart=False).texts == {}


def test_a_drop_in_of_somebody_else_is_named(defaults: dict[str, Any]) -> None:
    found = decide(defaults, set_by=OVERRIDE, drop_in=texts.drop_in(SECONDS), needrestart=texts.NEEDRESTART_TEXT)
    assert (found.texts, found.reasons) == ({}, ())
    (said,) = found.warnings
    assert said.startswith("systemd waits 90 s (TimeoutStopSec) for a supervisord that may take 703 s")
    assert f"because {OVERRIDE} says so: raise it there" in said


@pytest.mark.parametrize("variable", ["auth_systemd_drop_in", "auth_needrestart_override"])
def test_each_can_be_left_out(defaults: dict[str, Any], variable: str) -> None:
    assert len(decide(defaults, {variable: False}).texts) == 1


def test_without_needrestart_no_file_for_it_is_written(defaults: dict[str, Any]) -> None:
    assert list(decide(defaults, has_needrestart=False).texts) == [texts.DROP_IN]


def test_a_supervisord_that_does_not_stop_is_killed_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The unit's long time is for tasks; nobody waits for so long for one that does not answer."""
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(
        f'#!/bin/sh\ncd {tmp_path}\n[ "$1" = kill ] && touch killed\nwhile [ ! -e killed ]; do sleep 0.05; done\n'
        'echo "$@" >> calls\n'
    )
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(guard_program, "_SILENT_SECONDS", 0.2)
    assert guard_program.end_silent("stop").returncode == 0
    calls = (tmp_path / "calls").read_text().splitlines()
    assert sorted(calls) == ["kill --kill-who=main --signal=KILL supervisor", "stop supervisor"]


def test_the_playbook_remove_knows_both_files() -> None:
    role = yaml.safe_load((Path(__file__).parents[3] / "roles/auth/vars/main.yml").read_text())
    assert {texts.DROP_IN, texts.NEEDRESTART} <= set(role["__auth_host_files"])
