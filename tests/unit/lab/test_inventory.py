"""What the lab writes is what Ansible and ssh read."""

from __future__ import annotations

import shlex
from pathlib import Path

import yaml

from lab.machine import inventory, keys


def test_an_inventory_has_what_a_user_would_write() -> None:
    text = inventory.render({"auth1-debian12": 40001}, Path("/a/key"), Path("/a/known_hosts"))
    group = yaml.safe_load(text)["auth_servers"]
    assert group["hosts"] == {"auth1-debian12": {"ansible_port": 40001}}
    assert group["vars"]["ansible_user"] == "admin"
    assert group["vars"]["ansible_ssh_private_key_file"] == "/a/key"
    assert "ansible_python_interpreter" not in text


def test_a_checkout_may_lie_below_a_folder_with_a_space() -> None:
    arguments = shlex.split(inventory.ssh_arguments(Path("/my work/known_hosts")))
    assert arguments[:2] == ["-o", 'UserKnownHostsFile="/my work/known_hosts"']


def test_host_keys_are_known_by_port() -> None:
    text = keys.known_hosts({40002: "ssh-ed25519 BBB root@b\n", 40001: "ssh-ed25519 AAA root@a\n"})
    assert text == "[127.0.0.1]:40001 ssh-ed25519 AAA\n[127.0.0.1]:40002 ssh-ed25519 BBB\n"
