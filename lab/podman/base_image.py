"""Base images: the bare distribution, before anything of Alliance Auth."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from lab.errors import LabError, last_lines
from lab.machine.paths import LABEL_PROJECT, PROJECT

from . import engine, registry
from .distros import Distro

# Part of the tag: a change of how the base is made goes here.
RECIPE = "minbase-1"
# debootstrap's own default.
MIRROR = "http://deb.debian.org/debian"
SCRIPTS = Path("/usr/share/debootstrap/scripts")


def obstacle(distro: Distro) -> str:
    """Return why this machine cannot have the base image, empty if it can."""
    if _bootstrapped(distro):
        return ""
    return registry.pull(distro.reference)


def ensure(distro: Distro) -> str:
    """Have the base image in podman's storage and return its name."""
    if not _bootstrapped(distro):
        why = registry.pull(distro.reference)
        if why:
            raise LabError(_refusal(distro, why))
        return distro.reference
    tag = f"localhost/{PROJECT}/base:{distro.key}-{RECIPE}"
    if not engine.image_exists(tag):
        _bootstrap(distro, tag)
    return tag


def _bootstrapped(distro: Distro) -> bool:
    """Say whether debootstrap makes it: the same result wherever root runs it."""
    return bool(distro.suite) and os.geteuid() == 0 and _debootstrap() is not None


def _debootstrap() -> str | None:
    return shutil.which("debootstrap", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def _refusal(distro: Distro, why: str) -> str:
    if distro.suite:
        way_out = "run this as root, where debootstrap can make it."
    else:
        way_out = (
            f"make a registry reachable, `podman load` {distro.reference}, "
            "or take --distro debian12, which needs no registry."
        )
    return f"{distro.title}'s image {distro.reference} cannot be had: {why}; {way_out}"


def _script(suite: str) -> list[str]:
    """Return debootstrap's further arguments for a release that is younger than debootstrap: all are made alike."""
    return [] if (SCRIPTS / suite).exists() else [MIRROR, "sid"]


def _bootstrap(distro: Distro, tag: str) -> None:
    scratch = Path(tempfile.mkdtemp(prefix=f"{PROJECT}-", dir="/var/tmp"))
    root = scratch / "root"
    try:
        made = subprocess.run(
            [str(_debootstrap()), "--variant=minbase", distro.suite, str(root), *_script(distro.suite)],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode != 0:
            # debootstrap says on stdout what went wrong.
            raise LabError(f"debootstrap {distro.suite} failed: {last_lines(made.stdout)}")
        archive = subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE)
        label = f"LABEL {LABEL_PROJECT}={PROJECT}"
        imported = subprocess.run(
            engine.command("import", "--quiet", "--change", label, "-", tag),
            stdin=archive.stdout,
            capture_output=True,
            text=True,
            check=False,
        )
        if archive.wait() != 0 or imported.returncode != 0:
            raise LabError(f"`podman import` failed: {last_lines(imported.stderr)}")
    finally:
        # A debootstrap that was killed leaves the machine's /proc mounted below.
        subprocess.run(["rm", "-rf", "--one-file-system", str(scratch)], check=False)
