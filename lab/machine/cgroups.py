"""The control groups that this machine has, which decide how containers start here."""

from __future__ import annotations

from pathlib import Path


def hybrid_cgroups() -> bool:
    """Say whether this machine still has version 1 controllers."""
    return not Path("/sys/fs/cgroup/cgroup.controllers").exists()
