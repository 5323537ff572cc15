"""What a host is made of."""

from __future__ import annotations

from lab.podman import engine
from lab.podman.distros import DISTROS
from lab.podman.hosts import Host

from .traffic import ON_HOST, SCRIPTS, VENV_PYTHON


def describe(host: Host) -> str:
    """Return a sentence that names the host's distribution and its parts with their versions."""
    engine.podman("cp", str(SCRIPTS / "versions.py"), f"{host.container}:{ON_HOST}/versions.py")
    parts = engine.podman("exec", host.container, VENV_PYTHON, f"{ON_HOST}/versions.py").strip()
    return f"{host.name} runs {DISTROS[host.distro].title} in a container: {parts}."
