# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Molecule and Ansible do in the checkout what they are told, with nothing but the venv active.

One after the other, as they are typed; what needs no server is in the unit tests.
"""

from __future__ import annotations

import os
import pty
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from shared import playbook

from lab.machine.paths import locked
from lab.podman import hosts

LAB = "molecule-typed"

# Longer than any of them takes, on a slow machine too: one that hangs fails its test.
SECONDS = 1800

# What those set who run the tests; all else, such as a proxy, is the machine's.
SET = re.compile("ANSIBLE_|MOLECULE_|PYTEST_|JUNIT_|LAB_RUN|NO_COLOR|PYTHONPATH|VENV|VIRTUAL_ENV")


def type_in(command: str, stdin: int = subprocess.DEVNULL) -> str:
    """Have a shell in the checkout run a command; return what it says if it succeeds."""
    done = subprocess.run(
        ["bash", "-c", f". .venv/bin/activate && {command}"],
        env={name: value for name, value in os.environ.items() if not SET.match(name)},
        cwd=playbook.CHECKOUT,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, command
    return done.stdout


@pytest.fixture(scope="module", autouse=True)
def converged() -> Iterator[None]:
    """Have a server that is there and tuned."""
    # What Molecule knows of a scenario lies in the home, for all checkouts of one name.
    with locked(Path.home() / ".ansible/allianceauth.tuning.typed.lock"):
        type_in("molecule destroy -s typed")
        type_in("molecule converge -s typed")
        yield


def test_list_shows_every_scenario_and_the_server() -> None:
    rows = [line.split() for line in type_in("molecule list --format plain").splitlines()]
    (host,) = hosts.existing(LAB)
    assert [host.name, "default", "ansible", "typed", "true", "true"] in rows
    scenarios = {file.parent.name for file in playbook.CHECKOUT.glob("molecule/*/molecule.yml")}
    assert {row[-3] for row in rows if row[-1] in ("true", "false")} == scenarios


def test_verify_passes() -> None:
    assert re.search(r" \d+ passed", type_in("molecule verify -s typed"))


def test_login_leads_to_the_server() -> None:
    (host,) = hosts.existing(LAB)
    keyboard, terminal = pty.openpty()
    try:
        os.write(keyboard, b'echo "$(id -un) is on $(hostname)"\nexit\n')
        assert f"admin is on {host.name}" in type_in(f"molecule login -s typed --host {host.name}", terminal)
    finally:
        os.close(terminal)
        os.close(keyboard)


def test_a_playbook_is_the_checkouts() -> None:
    (host,) = hosts.existing(LAB)
    said = type_in(f"ansible-playbook -i .lab/{LAB}/inventory.yml playbooks/apply.yml --check")
    # The lab's inventory has none of the scenario's variables.
    assert f"{host.name}: " in said
    assert "would be replaced" in said


def test_destroy_leaves_nothing() -> None:
    type_in("molecule destroy -s typed")
    assert hosts.existing(LAB) == []
