"""The hosts: containers that boot like servers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lab.machine import cgroups
from lab.machine.cgroups import UNIFIED, hybrid_cgroups
from lab.machine.keys import ensure_user_key
from lab.machine.paths import (
    LABEL_CHECKOUT,
    LABEL_DISTRO,
    LABEL_HOST,
    LABEL_IMAGE,
    LABEL_LAB,
    LABEL_PROJECT,
    PROJECT,
    UNNAMED,
    checkout_id,
)

from . import engine
from .distros import DISTROS, Distro

# What Alliance Auth and its apps would ask. Here nobody listens on these ports, so that it fails at once.
ELSEWHERE = (
    *("esi.evetech.net", "login.eveonline.com", "images.evetech.net", "developers.eveonline.com"),
    *("discord.com", "gateway.discord.gg", "zkillboard.com"),
)


@dataclass(frozen=True)
class Wanted:
    """A host as it shall be: its name, distribution (key) and image (podman's name)."""

    name: str
    distro: str
    image: str


@dataclass(frozen=True)
class Host:
    """A host as podman has it; `port` is sshd's on 127.0.0.1, 0 if there is none."""

    name: str
    distro: str
    image: str
    lab: str
    container: str
    state: str
    port: int


def wanted(images: dict[Distro, str], count: int) -> list[Wanted]:
    """Return the hosts of a lab: `count` of each distribution."""
    return [
        Wanted(f"auth{number}-{distro.key}", distro.key, image)
        for distro, image in images.items()
        for number in range(1, count + 1)
    ]


def existing(lab: str | None = None) -> list[Host]:
    """Return this checkout's hosts, of one lab or of all."""
    filters = ["--filter", f"label={LABEL_CHECKOUT}={checkout_id()}"]
    if lab is not None:
        filters += ["--filter", f"label={LABEL_LAB}={lab}"]
    found = [_host(entry) for entry in engine.listed("ps", "--all", *filters)]
    return sorted(found, key=lambda host: (host.lab, host.name))


def labs() -> list[str]:
    """Name this checkout's labs, also those that were interrupted before they had a host."""
    label = f"label={LABEL_CHECKOUT}={checkout_id()}"
    networks = engine.listed("network", "ls", "--filter", label)
    names = {str(network["labels"][LABEL_LAB]) for network in networks}
    return sorted(names | {host.lab for host in existing()})


def _host(entry: dict[str, Any]) -> Host:
    labels = entry["Labels"]
    ports = [int(port["host_port"]) for port in entry.get("Ports") or []]
    return Host(
        name=labels[LABEL_HOST],
        distro=labels[LABEL_DISTRO],
        image=labels[LABEL_IMAGE],
        lab=labels[LABEL_LAB],
        container=entry["Names"][0],
        state=entry["State"],
        port=ports[0] if ports else 0,
    )


def create(lab: str, host: Wanted, port: int = 0) -> None:
    """Boot a new host; with a `port` its sshd is published there, else on a free one."""
    name = container_name(lab, host.name)
    labels = {
        **_labels(lab),
        LABEL_HOST: host.name,
        LABEL_DISTRO: host.distro,
        LABEL_IMAGE: host.image,
    }
    arguments = ["create", "--name", name, "--hostname", host.name, "--network", network_name(lab)]
    # podman's names are this machine's; among themselves hosts use their own.
    arguments += ["--network-alias", host.name]
    for key, value in labels.items():
        arguments += ["--label", f"{key}={value}"]
    podmans, inits = boot_arguments(DISTROS[host.distro], hybrid_cgroups())
    arguments += ["--systemd=always", *engine.ULIMITS, *podmans]
    # podman's manager is systemd's where systemd is there to ask, and gives slices their due.
    if engine.manages_cgroups() and (parent := cgroups.parent()):
        arguments += [f"--cgroup-parent={parent}"]
    arguments += [f"--add-host={elsewhere}:127.0.0.1" for elsewhere in ELSEWHERE]
    arguments += ["--publish", f"127.0.0.1:{port or ''}:22"]
    engine.podman(*arguments, host.image, "/sbin/init", *inits)
    public_key = ensure_user_key().with_suffix(".pub")
    for user in ("admin", "manager"):
        engine.podman("cp", str(public_key), f"{name}:/home/{user}/.ssh/authorized_keys")
    engine.podman("start", name)


def boot_arguments(distro: Distro, hybrid: bool) -> tuple[list[str], list[str]]:
    """Return podman's and init's arguments with which a systemd boots here.

    On a hybrid machine version 256 has to be allowed version 1 control groups, which 258 no longer
    knows (its NEWS): that one gets to see the version 2 hierarchy, which is there as well.
    """
    if not hybrid or distro.systemd < 256:
        return [], []
    if distro.systemd < 258:
        return [], ["SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1", "systemd.unified_cgroup_hierarchy=0"]
    return [f"--volume={UNIFIED}:/sys/fs/cgroup:rw", "--cgroupns=host"], []


def start(host: Host) -> None:
    """Boot a host that a reboot of this machine has stopped."""
    engine.podman("start", host.container)


def remove(host: Host) -> None:
    """Remove a host with all that happened on it."""
    engine.podman("rm", "--force", "--time", "0", host.container)


def recreate(host: Host) -> None:
    """Bring a host back to its image's state, at the same address."""
    remove(host)
    create(host.lab, Wanted(host.name, host.distro, host.image), host.port)


def ensure_network(lab: str) -> None:
    """Have a network on which the lab's hosts find each other by name."""
    if engine.attempt("network", "exists", network_name(lab)).returncode == 0:
        return
    labels = [f"--label={key}={value}" for key, value in _labels(lab).items()]
    engine.podman("network", "create", *labels, network_name(lab))


def remove_network(lab: str) -> None:
    """Remove the lab's network, if it has one."""
    if engine.attempt("network", "exists", network_name(lab)).returncode == 0:
        engine.podman("network", "rm", network_name(lab))


def network_name(lab: str) -> str:
    """Return the network's name in podman."""
    return f"{PROJECT}-{checkout_id()}" + ("" if lab == UNNAMED else f"-{lab}")


def container_name(lab: str, host: str) -> str:
    """Return the container's name in podman, unlike any other checkout's."""
    return f"{network_name(lab)}-{host}"


def _labels(lab: str) -> dict[str, str]:
    return {LABEL_PROJECT: PROJECT, LABEL_CHECKOUT: checkout_id(), LABEL_LAB: lab}
