"""What the command line can do, each as one function."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence

from .errors import LabError
from .machine import inventory, keys, prerequisites
from .machine.cgroups import UNIFIED, hybrid_cgroups
from .machine.paths import UNNAMED, folder, locked, titled
from .observe import versions
from .podman import base_image, distros, engine, hosts, image, readiness
from .podman.hosts import Host
from .podman.image import PLAIN, Contents
from .progress import Progress


def up(lab: str, names: list[str], count: int, contents: Contents) -> None:
    """Have exactly these hosts running and ready; reuse what already is as asked."""
    progress = Progress(steps=4)
    progress.step("Prepare this machine")
    prerequisites.ensure()
    chosen = _choose(names, contents, progress)
    progress.step("Have an image of each distribution")
    images = {distro: image.ensure(distro, contents, progress) for distro in chosen}
    with locked(folder(lab) / "lab.lock"):
        progress.step(f"Start the hosts of {titled(lab)}")
        _converge(lab, hosts.wanted(images, count), progress)
        _finish(lab, progress)
    where = folder(lab) / "inventory.yml"
    for host in hosts.existing(lab):
        print(versions.describe(host))
    print(f"Ready. Try: ansible -i {where} auth_servers -m ping")


def stock_hosts(lab: str, names: list[str], count: int, contents: Contents = PLAIN) -> list[Host]:
    """Have stock hosts that nothing has happened to, and remove what an interrupted run may have left."""
    # A new machine has no podman yet to ask for what is left.
    prerequisites.ensure()
    if hosts.existing(lab):
        down(lab)
    up(lab, names, count, contents)
    return hosts.existing(lab)


def reset(lab: str) -> None:
    """Bring every host of the lab back to its stock state, at the same address."""
    _some(lab)
    with locked(folder(lab) / "lab.lock"):
        found = _some(lab)
        progress = Progress(steps=2)
        progress.step(f"Recreate {', '.join(host.name for host in found)}")
        for host in found:
            hosts.recreate(host)
        _finish(lab, progress)


def down(lab: str | None) -> None:
    """Remove one lab, or all of this checkout's."""
    if shutil.which("podman") is None:
        print("No podman here, so nothing to remove.")
        return
    labs = [lab] if lab is not None else hosts.labs()
    if not labs:
        print("This checkout has no labs, so nothing to remove.")
    for name in labs:
        with locked(folder(name) / "lab.lock"):
            found = hosts.existing(name)
            for host in found:
                hosts.remove(host)
            hosts.remove_network(name)
            for leftover in ("inventory.yml", "known_hosts"):
                (folder(name) / leftover).unlink(missing_ok=True)
        if name != UNNAMED:
            shutil.rmtree(folder(name))
        removed = ", ".join(host.name for host in found) or "nothing was there"
        print(f"Removed {titled(name)}: {removed}.")


def build(names: list[str], contents: Contents, prune: bool) -> None:
    """Have the images, start nothing."""
    progress = Progress(steps=2)
    progress.step("Prepare this machine")
    prerequisites.ensure()
    chosen = _choose(names, contents, progress)
    progress.step("Have an image of each distribution")
    built = {image.ensure(distro, contents, progress) for distro in chosen}
    for name in sorted(built):
        print(name)
    if prune:
        for name in image.prune(keep=built):
            print(f"Removed {name}.")


def status() -> None:
    """Print this checkout's hosts and the machine's cached images."""
    if shutil.which("podman") is None:
        print("No podman here, so no hosts. Start some with `python3 -m lab up`.")
        return
    for host in hosts.existing():
        print(f"{host.name:20} {titled(host.lab):16} {host.state:10} 127.0.0.1:{host.port}")
    for name in image.cached():
        print(f"image {name}")


def execute(lab: str, name: str, arguments: Sequence[str]) -> int:
    """Run a command as root on a host; return its exit status."""
    found = {host.name: host for host in _some(lab)}
    if name not in found:
        raise LabError(f"No host {name} in {titled(lab)}; it has {', '.join(found)}.")
    terminal = ["--interactive", "--tty"] if sys.stdin.isatty() else ["--interactive"]
    return engine.run_in_terminal(["exec", *terminal, found[name].container, *arguments])


def _choose(names: list[str], contents: Contents, progress: Progress) -> list[distros.Distro]:
    if names:
        chosen = distros.named(names)
        for distro in chosen:
            _refuse_unbootable(distro)
        return chosen
    cached = engine.image_exists(image.tag(distros.PREFERRED, contents))
    distro, sentence = distros.default("" if cached else base_image.obstacle(distros.PREFERRED))
    progress.note(sentence)
    return [distro]


def _refuse_unbootable(distro: distros.Distro) -> None:
    """Version 258 dropped version 1 control groups (its NEWS); without version 2 such a host would never boot."""
    if distro.systemd >= 258 and hybrid_cgroups() and not UNIFIED.exists():
        raise LabError(
            f"{distro.title} cannot boot here: its systemd {distro.systemd} needs a machine whose "
            "control groups are version 2; boot this one with "
            "systemd.unified_cgroup_hierarchy=1 or take another --distro."
        )


def _converge(lab: str, wanted: list[hosts.Wanted], progress: Progress) -> None:
    present = {host.name: host for host in hosts.existing(lab)}
    names = {host.name for host in wanted}
    for name, host in present.items():
        if name not in names:
            progress.note(f"{name}: removed, not asked for")
            hosts.remove(host)
    hosts.ensure_network(lab)
    for target in wanted:
        current = present.get(target.name)
        if current is None:
            progress.note(f"{target.name}: new")
            hosts.create(lab, target)
        elif current.image != target.image:
            progress.note(f"{target.name}: recreated, its image has changed")
            hosts.remove(current)
            hosts.create(lab, target, current.port)
        elif current.state == "running":
            progress.note(f"{target.name}: runs already")
        elif current.state == "exited":
            progress.note(f"{target.name}: started again")
            hosts.start(current)
        else:
            progress.note(f"{target.name}: recreated, it was {current.state}")
            hosts.recreate(current)


def _finish(lab: str, progress: Progress) -> None:
    """Wait for the lab's hosts and write what Ansible and ssh need to reach them."""
    found = hosts.existing(lab)
    progress.step("Wait for sshd and for Alliance Auth's programs")
    readiness.wait(found, progress)
    known_hosts = folder(lab) / "known_hosts"
    known_hosts.write_text(keys.known_hosts({host.port: _host_key(host) for host in found}))
    ports = {host.name: host.port for host in found}
    text = inventory.render(ports, keys.USER_KEY, known_hosts)
    (folder(lab) / "inventory.yml").write_text(text)


def _host_key(host: Host) -> str:
    return engine.podman("exec", host.container, "cat", "/etc/ssh/ssh_host_ed25519_key.pub")


def _some(lab: str) -> list[Host]:
    found = hosts.existing(lab)
    if not found:
        option = "" if lab == UNNAMED else f" --name {lab}"
        raise LabError(f"{titled(lab)} has no hosts; start some with `python3 -m lab up{option}`.")
    return found
