"""What was measured on: numbers mean nothing without."""

from __future__ import annotations

import os
import platform

from lab.machine import ansible_cli
from lab.observe import versions
from lab.podman.hosts import Host


def describe(host: Host) -> str:
    """Return what runs where, and how busy the machine is beside us."""
    ansible = ansible_cli.run(["ansible", "--version"]).stdout.split("]")[0].replace("[", "")
    load = os.getloadavg()[0]
    return (
        f"\n{versions.describe(host)}\n"
        f"The controller: {ansible}, Python {platform.python_version()}. "
        f"The machine: {os.cpu_count()} cores, load {load:.1f} before the first measurement."
    )
