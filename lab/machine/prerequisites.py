"""The programs the lab needs on this machine, and the Debian packages that hold them."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from lab.errors import LabError, last_lines

from .cgroups import hybrid_cgroups

PODMAN_PARTS = (Path("/usr/lib/podman"), Path("/usr/libexec/podman"))


def _program(name: str) -> Callable[[], bool]:
    return lambda: shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is not None


def _podman_part(name: str) -> Callable[[], bool]:
    return lambda: any((folder / name).exists() for folder in PODMAN_PARTS)


def _debian_keys() -> bool:
    return Path("/usr/share/keyrings/debian-archive-keyring.gpg").exists()


def _runc() -> bool:
    return not hybrid_cgroups() or _program("runc")()


# Each package, and a function that says whether what it brings is there already. netavark calls iptables, which
# its Debian package does not depend on.
PACKAGES: dict[str, Callable[[], bool]] = {
    "podman": _program("podman"),
    "runc": _runc,
    "netavark": _podman_part("netavark"),
    "aardvark-dns": _podman_part("aardvark-dns"),
    "iptables": _program("iptables"),
    "debootstrap": _program("debootstrap"),
    "debian-archive-keyring": _debian_keys,
    "openssh-client": _program("ssh-keygen"),
    "python3-venv": lambda: importlib.util.find_spec("ensurepip") is not None,
}
# Without these the lab cannot work at all; the others have older or other forms.
ESSENTIAL = ("podman", "openssh-client")


def missing() -> list[str]:
    """Name the packages this machine lacks."""
    return [name for name, present in PACKAGES.items() if not present()]


def ensure() -> list[str]:
    """Install what is missing, as root with apt; return what was installed."""
    wanted = missing()
    if not wanted:
        return []
    has_apt = shutil.which("apt-get") is not None
    if not has_apt or os.geteuid() != 0:
        if not any(name in ESSENTIAL for name in wanted):
            return []
        how = (
            f"run `sudo apt-get install --no-install-recommends {' '.join(wanted)}`."
            if has_apt
            else "install them with this system's package manager."
        )
        raise LabError(f"The lab needs {', '.join(wanted)}: {how}")
    if not all(_known(name) for name in wanted):
        _apt("update")
    # Older releases have no netavark: their podman brings another network.
    known = [name for name in wanted if _known(name)]
    if not known:
        return []
    print(f"Installing {' '.join(known)} ...", flush=True)
    try:
        _apt("install", "-y", "--no-install-recommends", *known)
    except LabError:
        # The lists may be older than what the mirror still has.
        _apt("update")
        _apt("install", "-y", "--no-install-recommends", *known)
    return known


def _known(package: str) -> bool:
    shown = subprocess.run(["apt-cache", "show", package], capture_output=True, check=False)
    return shown.returncode == 0


def _apt(*arguments: str) -> None:
    done = subprocess.run(
        ["apt-get", "-q", *arguments],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise LabError(f"`apt-get {' '.join(arguments)}` failed: {last_lines(done.stderr)}")
