"""SSH: the key the lab logs in with, and the host keys it knows."""

from __future__ import annotations

import subprocess
from pathlib import Path

from lab.errors import LabError

from .paths import STATE

USER_KEY = STATE / "id_ed25519"


def ensure_user_key() -> Path:
    """Have a key pair of this checkout; return the private key's path."""
    if not USER_KEY.exists():
        STATE.mkdir(exist_ok=True)
        made = subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(USER_KEY)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode != 0:
            raise LabError(f"ssh-keygen could not make {USER_KEY}: {made.stderr.strip()}")
    return USER_KEY


def known_hosts(keys: dict[int, str]) -> str:
    """Return a known_hosts file from host public keys by their port on 127.0.0.1."""
    return "".join(f"[127.0.0.1]:{port} {' '.join(key.split()[:2])}\n" for port, key in sorted(keys.items()))
