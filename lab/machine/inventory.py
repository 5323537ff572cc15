"""The Ansible inventory of a lab: what a user writes by hand for real servers."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path


def render(ports: Mapping[str, int], user_key: Path, known_hosts: Path) -> str:
    """Return the inventory as YAML from the hosts' SSH ports on 127.0.0.1.

    Strings are quoted as JSON, which YAML contains, so any path is safe.
    """
    lines = [
        "# Written by `python3 -m lab`; gone with `python3 -m lab down`.",
        "auth_servers:",
        "  vars:",
        '    ansible_host: "127.0.0.1"',
        "    ansible_user: admin",
        # Several servers start on few cores here: a login may take longer than Ansible's 10 seconds.
        "    ansible_ssh_timeout: 120",
        f"    ansible_ssh_private_key_file: {json.dumps(str(user_key))}",
        f"    ansible_ssh_common_args: {json.dumps(ssh_arguments(known_hosts))}",
        "  hosts:",
    ]
    for name, port in ports.items():
        lines += [f"    {name}:", f"      ansible_port: {port}"]
    return "\n".join(lines) + "\n"


def ssh_arguments(known_hosts: Path) -> str:
    """Return ssh's options: the lab's host keys and only its own user key.

    Quoted twice: once for ssh, which takes a list of files, once for Ansible, which splits
    as a shell does.
    """
    options = (
        f'UserKnownHostsFile="{known_hosts}"',
        "StrictHostKeyChecking=yes",
        "IdentitiesOnly=yes",
    )
    return " ".join(f"-o {shlex.quote(option)}" for option in options)
