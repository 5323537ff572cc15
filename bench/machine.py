"""What was measured on: numbers mean nothing without."""

from __future__ import annotations

import os
import platform

from lab.machine import ansible_cli
from lab.podman import engine
from lab.podman.distros import DISTROS
from lab.podman.hosts import Host

VERSIONS = (
    "for p in allianceauth celery gunicorn; do "
    "/home/allianceserver/venv/auth/bin/python -c "
    "'import importlib.metadata, sys; print(sys.argv[1], importlib.metadata.version(sys.argv[1]))' $p; done; "
    "echo supervisor $(supervisord --version); systemctl --version | head -n 1 | cut -d ' ' -f 1,2"
)


def describe(host: Host) -> str:
    """Return what runs where, and how busy the machine is beside us."""
    versions = engine.podman("exec", host.container, "bash", "-c", VERSIONS).split("\n")
    ansible = ansible_cli.run(["ansible", "--version"]).stdout.split("]")[0].replace("[", "")
    load = os.getloadavg()[0]
    return (
        f"\n{host.name} runs {DISTROS[host.distro].title} in a container: {', '.join(filter(None, versions))}.\n"
        f"The controller: {ansible}, Python {platform.python_version()}. "
        f"The machine: {os.cpu_count()} cores, load {load:.1f} before the first measurement."
    )
