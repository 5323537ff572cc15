"""Three ways to bring another concurrency into effect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lab.errors import LabError
from lab.machine import ansible_cli
from lab.podman import engine
from lab.podman.hosts import Host

CONFIGURATION = "/etc/supervisor/conf.d/myauth.conf"


@dataclass(frozen=True)
class Way:
    """How an admin does it; `go` returns once the admin would think it done."""

    key: str
    title: str
    go: Callable[[Host, int], None]


def by_hand(host: Host, concurrency: int) -> None:
    """Edit the file, then the tuning guide's two commands, in the spelling that works."""
    edit(host, concurrency)
    on_host(host, "supervisorctl", "stop", "myauth:")
    on_host(host, "systemctl", "restart", "supervisor")


def by_restart(host: Host, concurrency: int) -> None:
    """Edit the file, then restart the service, as a role's handler does it."""
    edit(host, concurrency)
    on_host(host, "systemctl", "restart", "supervisor")


def by_collection(host: Host, concurrency: int) -> None:
    """Run the playbook with another value."""
    done = ansible_cli.run(ansible_cli.apply(host.lab, "-e", f"auth_worker_concurrency={concurrency}"))
    if done.returncode != 0:
        raise LabError(f"The playbook apply failed:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")


def edit(host: Host, concurrency: int) -> None:
    """Put another number into the first worker's section."""
    on_host(host, "sed", "-i", f"0,/--concurrency=.*/s//--concurrency={concurrency}/", CONFIGURATION)


def on_host(host: Host, *words: str) -> None:
    """Run a command as root; it may wait for tasks that run."""
    engine.podman("exec", host.container, *words, timeout=900)


WAYS = (
    Way("a", "(a) the guide's two commands", by_hand),
    Way("b", "(b) systemctl restart alone", by_restart),
    Way("c", "(c) this collection", by_collection),
)
