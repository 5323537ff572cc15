"""The parts that a server is made of and their versions, as one line of text. A script of its own: it runs on the host.

VENV/bin/python versions.py
"""

from __future__ import annotations

import platform
import re
import subprocess
from importlib.metadata import distributions

# What the guide has people install with pip, and the community apps of the lab's image `apps`.
PACKAGES = (
    *("allianceauth", "celery", "gunicorn"),
    *("aa-memberaudit", "aa-structures", "allianceauth-corptools", "allianceauth-afat", "allianceauth-discordbot"),
)
PROGRAMS = (
    ("MariaDB", "mariadbd --version"),
    ("Redis", "redis-server --version"),
    ("nginx", "nginx -v"),
    ("supervisor", "supervisord --version"),
    ("systemd", "systemctl --version"),
    ("sudo", "sudo --version"),
)


def said(command: str) -> str:
    """Return the first word with a number in it that a program says of its version, and whether it is sudo-rs."""
    path = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    done = subprocess.run(command.split(), env=path, capture_output=True, text=True, check=False)
    text = done.stdout + done.stderr
    number = re.search(r"\d+(\.\d+)*", text)
    return ("(sudo-rs) " if "sudo-rs" in text else "") + (number[0] if number else "unknown")


def main() -> None:
    """Print them."""
    installed = {found.metadata["Name"].lower().replace("_", "-"): found.version for found in distributions()}
    parts = [f"{name} {installed[name]}" for name in PACKAGES if name in installed]
    parts += [f"Python {platform.python_version()}"]
    parts += [f"{name} {said(command)}" for name, command in PROGRAMS]
    print(", ".join(parts))


if __name__ == "__main__":
    main()
