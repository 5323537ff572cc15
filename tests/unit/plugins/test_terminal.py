# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run prints fits the terminal and the callback plugin."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.allianceauth.tuning.plugins.plugin_utils import terminal

from tests.unit.plugins.wheels import wheel

LINE = (
    "auth1: waiting for worker_00 (allianceauth.eveonline.tasks.update_character for 31 s), 569 s left; beat, 2 s left"
)


def test_a_line_breaks_between_words() -> None:
    shown = terminal.wrapped(LINE, 79)
    lines = shown.split("\n")
    assert max(map(len, lines)) <= 79
    assert " ".join(shown.split()) == LINE
    assert lines[1].startswith("  ")


def test_tables_and_what_is_to_be_pasted_stay_as_they_are() -> None:
    text = "auth1: short\n  authbot: " + "x" * 100 + " y\n\n"
    assert terminal.wrapped(text, 79) == text
    assert terminal.wrapped(LINE, 0) == LINE


@pytest.mark.parametrize(
    ("callback", "writes"),
    [
        ("default", False),
        ("ansible.posix.json", True),
        ("json", True),
        ("minimal", False),
        ("ansible.posix.jsonl", True),
    ],
)
def test_a_callback_that_writes_json_is_known(callback: str, writes: bool) -> None:
    assert terminal.writes_json(callback) is writes


PLAY = """
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - name: Say what is stopped, and how to start it
      allianceauth.tuning.auth_report:
        plan: {job: drain, drain: {stages: [[myauth:beat], [myauth:worker_00, myauth:worker_01, myauth:a_longer_name]],
               site: [myauth:gunicorn]}}
      register: reported
    - name: Say how it ended
      allianceauth.tuning.auth_result:
        job: drain
        ended: true
        changes: "{{ reported.changes }}"
"""

SAID = (
    "localhost: these are stopped: beat, worker_00, worker_01, a_longer_name, gunicorn. The site is down. They start "
    "again with the playbook allianceauth.tuning.start, or when the server reboots."
)


@pytest.fixture(scope="session")
def posix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of collections with ansible.posix in it, as the package ansible has it."""
    folder = tmp_path_factory.mktemp("collections")
    with zipfile.ZipFile(wheel("ansible", "12.2.0")) as archive:
        archive.extractall(
            folder, [name for name in archive.namelist() if name.startswith("ansible_collections/ansible/posix/")]
        )
    return folder


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    (tmp_path / "play.yml").write_text(PLAY)
    return [f"{sys.prefix}/bin/ansible-playbook", "-i", "localhost,", str(tmp_path / "play.yml")]


def environment(tmp_path: Path, callback: str, **more: str) -> dict[str, str]:
    collections = str(Path(__file__).parents[3] / ".cache/collections")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
        "ANSIBLE_COLLECTIONS_PATH": collections,
        "ANSIBLE_STDOUT_CALLBACK": callback,
        "ANSIBLE_SHOW_CUSTOM_STATS": "1",
        "ANSIBLE_NOCOLOR": "1",
        "HOME": str(tmp_path),
        **more,
    }


def run(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True)


def test_stdout_is_one_document_and_the_rest_goes_to_stderr(command: list[str], tmp_path: Path, posix: Path) -> None:
    env = environment(tmp_path, "ansible.posix.json")
    done = run(command, {**env, "ANSIBLE_COLLECTIONS_PATH": f"{env['ANSIBLE_COLLECTIONS_PATH']}:{posix}"})
    stats = json.loads(done.stdout)["custom_stats"]["localhost"]["allianceauth_tuning"]
    assert stats == {"job": "drain", "result": "ok", "check_mode": False, "changes": [SAID], "cause": ""}
    assert SAID in done.stderr


@pytest.mark.parametrize(
    "file", sorted((Path(__file__).parents[3] / "plugins/action").glob("*.py")), ids=lambda file: file.stem
)
def test_no_plugin_prints_past_that(file: Path) -> None:
    assert ".display(" not in file.read_text()


@pytest.mark.parametrize(("callback", "more"), [("default", {}), ("minimal", {}), ("default", {"yaml": "1"})])
def test_other_callbacks_have_it_on_stdout(
    command: list[str], tmp_path: Path, callback: str, more: dict[str, Any]
) -> None:
    asked = {"ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml"} if more else {}
    assert SAID in run(command, environment(tmp_path, callback, **asked)).stdout.split("\n")


def test_on_a_terminal_of_80_columns_no_word_is_broken(command: list[str], tmp_path: Path) -> None:
    outside, inside = pty.openpty()
    env = environment(tmp_path, "default")
    script = f"stty cols 80; exec {' '.join(command)}"
    with subprocess.Popen(["bash", "-c", script], env=env, stdin=inside, stdout=inside, stderr=inside) as running:
        os.close(inside)
        said = b""
        while True:
            try:
                part = os.read(outside, 65536)
            except OSError:
                break
            said += part
        running.wait()
    os.close(outside)
    text = said.decode().replace("\r\n", "\n")
    shown = re.search(r"localhost: these are stopped.*?reboots\.", text, re.DOTALL)
    assert shown
    assert " ".join(shown[0].split()) == SAID
    assert len(shown[0].split("\n")) > 1
    assert max(map(len, shown[0].split("\n"))) <= 80
