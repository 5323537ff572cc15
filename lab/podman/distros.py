"""The distributions a host can run, and which one it is when nobody says."""

from __future__ import annotations

from dataclasses import dataclass

from lab.errors import LabError


@dataclass(frozen=True)
class Distro:
    """A distribution as users, registries and debootstrap call it."""

    key: str
    title: str
    reference: str
    systemd: int
    # debootstrap's name of the release; empty where no image is made by debootstrap.
    suite: str = ""
    # The Alliance Auth that its Python can have; empty for the one in requirements.txt.
    auth_version: str = ""


DISTROS = {
    distro.key: distro
    for distro in (
        Distro("ubuntu2204", "Ubuntu 22.04", "docker.io/library/ubuntu:22.04", 249),
        Distro("ubuntu2404", "Ubuntu 24.04", "docker.io/library/ubuntu:24.04", 255),
        Distro("ubuntu2604", "Ubuntu 26.04", "docker.io/library/ubuntu:26.04", 259),
        Distro("debian11", "Debian 11", "docker.io/library/debian:11", 247, "bullseye", "4.6.4"),
        Distro("debian12", "Debian 12", "docker.io/library/debian:12", 252, "bookworm"),
        Distro("debian13", "Debian 13", "docker.io/library/debian:13", 257, "trixie"),
        Distro("debian14", "Debian 14", "docker.io/library/debian:forky", 262, "forky"),
    )
}
PREFERRED = DISTROS["ubuntu2404"]
FALLBACK = DISTROS["debian12"]


def named(keys: list[str]) -> list[Distro]:
    """Return the distributions asked for, each once, in the order given."""
    unknown = [key for key in keys if key not in DISTROS]
    if unknown:
        raise LabError(f"--distro {unknown[0]}: choose one of {', '.join(DISTROS)}.")
    return [DISTROS[key] for key in dict.fromkeys(keys)]


def default(obstacle: str) -> tuple[Distro, str]:
    """Choose where nobody named one.

    `obstacle` says why the preferred one's image cannot be had, empty if it can. Returns the
    distribution and one sentence that says which and why.
    """
    if not obstacle:
        return PREFERRED, f"Hosts run {PREFERRED.title}, what most Alliance Auth servers run."
    return FALLBACK, (f"Hosts run {FALLBACK.title}, because {PREFERRED.title}'s image cannot be had here: {obstacle}.")
