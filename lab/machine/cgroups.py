"""The control groups that this machine has, which decide how containers start here."""

from __future__ import annotations

from pathlib import Path

# Where a hybrid machine has version 2.
UNIFIED = Path("/sys/fs/cgroup/unified")


def hybrid_cgroups() -> bool:
    """Say whether this machine still has version 1 controllers."""
    return not Path("/sys/fs/cgroup/cgroup.controllers").exists()
