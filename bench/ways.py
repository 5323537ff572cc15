"""Ways to bring another concurrency into effect, and ways to bring new code into service."""

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


@dataclass(frozen=True)
class Comparison:
    """Ways to the same end: what happens, in a sentence's first half, and the keys of ours and of those by hand."""

    what: str
    ways: tuple[Way, ...]
    ours: str
    by_hand: tuple[str, ...]


def by_hand(host: Host, concurrency: int) -> None:
    """Edit the file, then the tuning guide's two commands, in the spelling that works."""
    edit(host, concurrency)
    stop_and_restart(host, concurrency)


def stop_and_restart(host: Host, _concurrency: int) -> None:
    """Stop the programs and restart the service, as the tuning guide says."""
    on_host(host, "supervisorctl", "stop", "myauth:")
    on_host(host, "systemctl", "restart", "supervisor")


def by_restart(host: Host, concurrency: int) -> None:
    """Edit the file, then restart the service, as a role's handler does it."""
    edit(host, concurrency)
    on_host(host, "systemctl", "restart", "supervisor")


def by_supervisorctl(host: Host, _concurrency: int) -> None:
    """Restart the programs, as Alliance Auth's documentation says after an upgrade."""
    on_host(host, "supervisorctl", "restart", "myauth:")


def by_apply(host: Host, concurrency: int) -> None:
    """Run the playbook with another value."""
    play(ansible_cli.apply(host.lab, "-e", f"auth_worker_concurrency={concurrency}"))


def by_apply_alone(host: Host, concurrency: int) -> None:
    """Run the playbook with another value, and without workers that take tasks meanwhile."""
    play(
        ansible_cli.apply(host.lab, "-e", f"auth_worker_concurrency={concurrency}", "-e", "auth_worker_handover=false")
    )


def by_playbook_restart(host: Host, _concurrency: int) -> None:
    """Run the playbook that restarts the programs."""
    play(ansible_cli.playbook(host.lab, "allianceauth.tuning.restart"))


def play(command: list[str]) -> None:
    """Run a playbook, which must succeed."""
    done = ansible_cli.run(command)
    if done.returncode != 0:
        raise LabError(f"`{' '.join(command)}` failed:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")


def edit(host: Host, concurrency: int) -> None:
    """Put another number into the first worker's section."""
    on_host(host, "sed", "-i", f"0,/--concurrency=.*/s//--concurrency={concurrency}/", CONFIGURATION)


def on_host(host: Host, *words: str) -> None:
    """Run a command as root; it may wait for tasks that run."""
    engine.podman("exec", host.container, *words, timeout=900)


CHANGE = Comparison(
    "The concurrency changes",
    (
        Way("a", "(a) the guide's two commands", by_hand),
        Way("b", "(b) systemctl restart alone", by_restart),
        Way("c", "(c) this collection", by_apply),
        Way("d", "(d) the same, no handover", by_apply_alone),
    ),
    ours="c",
    by_hand=("a", "b"),
)

RESTART = Comparison(
    "All programs restart, as after an upgrade,",
    (
        Way("e", "(e) supervisorctl restart myauth:", by_supervisorctl),
        Way("f", "(f) the guide's two commands", stop_and_restart),
        Way("g", "(g) the playbook restart", by_playbook_restart),
    ),
    ours="g",
    by_hand=("e", "f"),
)
