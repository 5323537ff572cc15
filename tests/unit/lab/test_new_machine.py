"""What the front door does on a machine that has nothing yet."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab.machine.paths import CHECKOUT


@pytest.mark.parametrize("command", ["lab.demo", "bench"])
def test_what_is_missing_is_seen_to_before_it_is_needed(command: str, tmp_path: Path) -> None:
    nothing = {**os.environ, "PATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", command], env=nothing, cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    # Without apt it can only be said.
    assert "The lab needs podman" in done.stderr
    assert "install them with this system's package manager" in done.stderr
