"""Ansible on this machine, as a user of the collection would run it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from .paths import CHECKOUT, folder

APPLY = "allianceauth.tuning.apply"


def environment() -> dict[str, str]:
    """Return the environment in which this checkout is the installed collection.

    Its own ANSIBLE_HOME keeps a released version in the user's home from going before it;
    but ssh's sockets stay there, because their paths must be short.
    """
    linked = subprocess.run(
        [CHECKOUT / "scripts/collection-link"], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.strip()
    tools = Path(sys.prefix) / "bin"
    return {
        **os.environ,
        "PATH": f"{tools}{os.pathsep}{os.environ.get('PATH', '')}",
        "ANSIBLE_COLLECTIONS_PATH": linked,
        "ANSIBLE_HOME": str(CHECKOUT / ".cache/ansible"),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(Path.home() / ".ansible/cp"),
    }


def inventory(lab: str) -> str:
    """Return the lab's inventory, as one types it in the checkout."""
    return str((folder(lab) / "inventory.yml").relative_to(CHECKOUT))


def apply(lab: str, *arguments: str) -> list[str]:
    """Return the command that tunes the lab's servers."""
    return playbook(lab, APPLY, *arguments)


def playbook(lab: str, name: str, *arguments: str) -> list[str]:
    """Return the command that runs a playbook of the collection on the lab's servers."""
    return ["ansible-playbook", "-i", inventory(lab), name, *arguments]


def ping(lab: str) -> list[str]:
    """Return the command that only reaches the lab's servers."""
    return ["ansible", "-i", inventory(lab), "auth_servers", "-m", "ping"]


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run to the end, in silence."""
    return subprocess.run(command, env=environment(), cwd=CHECKOUT, capture_output=True, text=True, check=False)
