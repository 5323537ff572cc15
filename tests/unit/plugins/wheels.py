# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wheels from PyPI that tests take files from: what each version of Alliance Auth generates, and a collection."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

CACHE = Path(__file__).parents[3] / ".cache/wheels"

PINNED = {
    ("allianceauth", "2.15.1"): "9588af14916d9a8bc6e4bc8ef79ee87368c17bc32e0ab2f0d8b5965996caf3b1",
    ("allianceauth", "3.8.1"): "78a9bb444da63e9b60780d85e29283a1d9dffda74e0ecbd1b01f2af17405cfa0",
    ("allianceauth", "4.6.4"): "5f8e265fa1082baba01866fd78baef712270aa1629ba92a6faf7521c2e1f2ea0",
    ("allianceauth", "4.13.1"): "9ebbee7c05e5341b3a6600261d75c3f97ad0f284d32a54bd0f4ea8bdf0a7495a",
    ("allianceauth", "5.0.1"): "69c22a0a624b31f597acbfb0e0f127e15c32fdaee0d9225ce180e4ab7b30dc45",
    ("allianceauth", "5.5.0"): "f53aba8e0708de13d37f160be796f9acf28d50160c6491212449daeb47bc00fa",
    # Has the collection ansible.posix 2.1.0.
    ("ansible", "12.2.0"): "daafa5c528317f60f68033ad70c59733f4a7548b6255759183cfc7cf422c7fda",
}

# Of Alliance Auth.
VERSIONS = tuple(version for name, version in PINNED if name == "allianceauth")


def wheel(name: str, version: str) -> Path:
    """Return a wheel, from the cache or from PyPI; what is not the pinned one is refused."""
    path = CACHE / f"{name}-{version}-py3-none-any.whl"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        # Tests run side by side: what is in the cache is whole.
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            # It is only unpacked, whatever Python it is for.
            choice = ["--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--quiet"]
            command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", *choice]
            subprocess.run([*command, "--dest", folder, f"{name}=={version}"], check=True)
            (Path(folder) / path.name).replace(path)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == PINNED[name, version]
    return path
