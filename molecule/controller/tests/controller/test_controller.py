# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server of the lab is the controller: it has ansible-core and the built archive, as an admin installs them there.

It tunes itself by `ansible_connection: local`, and the other servers, if there are any, by SSH.
"""

from __future__ import annotations

import re
import subprocess
import textwrap
from pathlib import Path

import pytest
import yaml
from shared import playbook, servers

from lab.machine.keys import USER_KEY
from lab.observe import programs
from lab.podman import engine, hosts
from lab.podman.hosts import Host

HOME = "/home/admin"
# As docs/one-server.md has it.
VARIABLES = {"ansible_python_interpreter": "/usr/bin/python3"}


def controller() -> Host:
    """Return the server with the newest distribution."""
    return hosts.existing(servers.LAB)[-1]


def on_controller(command: str) -> subprocess.CompletedProcess[str]:
    """Run a command there as the admin."""
    login = ("exec", "--user", "admin", "--env", f"HOME={HOME}", "--env", "LANG=C.UTF-8", "--workdir", HOME)
    done = engine.attempt(*login, controller().container, "bash", "-c", command, timeout=1800)
    print(done.stdout, done.stderr)
    return done


def copy(source: Path, name: str) -> None:
    """Give the admin a file that only the admin can read."""
    place = controller().container
    engine.podman("cp", str(source), f"{place}:{HOME}/{name}")
    engine.podman("exec", place, "sh", "-c", f"chown admin: {HOME}/{name} && chmod 600 {HOME}/{name}")


def play(name: str, *arguments: str) -> playbook.Run:
    """Run a playbook of the collection there."""
    words = " ".join([f"./ansible/bin/ansible-playbook -i inventory.yml allianceauth.tuning.{name}", *arguments])
    done = on_controller(f"ANSIBLE_NOCOLOR=1 {words}")
    return playbook.Run(done.returncode, done.stdout + done.stderr)


@pytest.fixture(scope="module", autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Install what a controller needs, and write its inventory."""
    said = subprocess.check_output([playbook.CHECKOUT / "scripts/build"], text=True)
    copy(playbook.CHECKOUT / said.partition(": ")[0], "collection.tar.gz")
    copy(USER_KEY, "key")
    near = {"ansible_connection": "local"}
    far = {
        "ansible_ssh_private_key_file": f"{HOME}/key",
        "ansible_ssh_common_args": "-o StrictHostKeyChecking=accept-new",
    }
    group = {
        "vars": VARIABLES,
        "hosts": {host.name: near if host == controller() else far for host in hosts.existing(servers.LAB)},
    }
    inventory = tmp_path_factory.mktemp("controller") / "inventory.yml"
    inventory.write_text(yaml.safe_dump({"auth_servers": group}))
    copy(inventory, "inventory.yml")
    # Not every distribution's sshd brings ssh.
    ssh = "sudo apt-get update -q -o Acquire::Check-Valid-Until=false && sudo apt-get install -qy openssh-client"
    install = "python3 -m venv ansible && ansible/bin/pip install --quiet --disable-pip-version-check ansible-core"
    unpack = "ansible/bin/ansible-galaxy collection install --offline collection.tar.gz"
    assert on_controller(f"{ssh} && {install} && {unpack} && ansible/bin/ansible --version").returncode == 0


def test_apply_tunes_every_server_and_a_second_one_changes_nothing() -> None:
    names = {host.name for host in hosts.existing(servers.LAB)}
    checked = play("apply", "--check", "--diff")
    assert checked.status == 0
    first = play("apply")
    assert first.status == 0
    assert set(first.changed) == names
    assert all(first.changed.values())
    again = play("apply")
    assert again.status == 0
    assert again.changed == dict.fromkeys(names, 0)
    # It would be named if it were not supported; Ansible breaks lines of warnings.
    assert "which runs here, supports Python" not in " ".join(first.output.split())
    for host in hosts.existing(servers.LAB):
        assert {line.split()[1] for line in programs.status(host)} == {"RUNNING"}
        assert programs.nodes(host)[f"worker_00@{host.name}"] == 10


def test_rollback_brings_the_stock_server_back() -> None:
    assert play("rollback").status == 0
    for host in hosts.existing(servers.LAB):
        assert programs.nodes(host)["celery@worker_00"] == 5
        assert "-p worker" in programs.configuration(host)


def test_the_page_for_one_server_works_as_typed() -> None:
    page = (playbook.CHECKOUT / "docs/one-server.md").read_text()
    blocks = re.findall(r"(?ms)^( *)```(bash|yaml)\n(.*?)^\1```$", page)
    commands = next(text for _indent, kind, text in blocks if kind == "bash").splitlines()
    assert len(commands) == 10
    # What one types into each file that `nano` opens, in the page's order.
    files = iter(textwrap.dedent(text) for _indent, kind, text in blocks if kind == "yaml")
    typed = []
    for command in commands:
        if command.startswith("nano "):
            typed.append(f"cat >{command.removeprefix('nano ')} <<'EOF'\n{next(files)}EOF")
            continue
        # The repository cannot be reached from here, and sudo wants no password.
        typed.append(re.sub(r"git\+https://\S+", "collection.tar.gz", command).replace(" --ask-become-pass", ""))
    assert on_controller("\n".join(["set -e", *typed])).returncode == 0
    assert {line.split()[1] for line in programs.status(controller())} == {"RUNNING"}
    assert programs.nodes(controller())[f"worker_00@{controller().name}"] == 15
