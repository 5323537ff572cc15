"""The control groups that this machine has, which decide how containers start here and what processor time they get."""

from __future__ import annotations

from pathlib import Path

# Where a hybrid machine has version 2.
UNIFIED = Path("/sys/fs/cgroup/unified")


def hybrid_cgroups() -> bool:
    """Say whether this machine still has version 1 controllers."""
    return not Path("/sys/fs/cgroup/cgroup.controllers").exists()


# The lab's own, where podman keeps its containers in version 1 control groups by itself. Otherwise all servers together
# would weigh as much as a single process of this machine, and starve beside a few linters.
_PARENT = "allianceauth-tuning"
_CPU = Path("/sys/fs/cgroup/cpu")
# That of eight processes, each of which has 1024.
_SHARES = 8 * 1024


def parent() -> str:
    """Return the control group to keep servers in, made with its weight; "" if podman's own will do."""
    if not hybrid_cgroups() or not _CPU.is_dir():
        return ""
    group = _CPU / _PARENT
    group.mkdir(exist_ok=True)
    (group / "cpu.shares").write_text(str(_SHARES))
    return f"/{_PARENT}"
