# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several servers in one run, of which one has a long task to finish."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest
from shared import playbook, server, servers

from lab.observe import programs
from lab.observe.traffic import Traffic, traffic
from lab.podman import engine, hosts
from lab.podman.hosts import Host

LOCAL = "/home/allianceserver/myauth/myauth/settings/local.py"
BROKEN = "/etc/supervisor/conf.d/broken.conf"


def daemon(host: Host) -> str:
    """Return the number of a server's supervisord, empty while there is none."""
    return engine.attempt("exec", host.container, "systemctl", "show", "-p", "MainPID", "--value", "supervisor").stdout


def daemon_started(container: str) -> float:
    """Return when a server's supervisord was started, in seconds since the epoch."""
    pid = engine.podman("exec", container, "supervisorctl", "pid").strip()
    return time.time() - float(engine.podman("exec", container, "ps", "-o", "etimes=", "-p", pid))


@pytest.fixture(scope="module")
def seen() -> tuple[playbook.Run, Traffic]:
    """Change all servers while the first has a task that ends when the others have long been changed."""
    busy, *others = hosts.existing(servers.LAB)
    assert others
    before = {host: daemon(host) for host in others}
    with traffic(busy, "together", once=[1800]) as going:
        running = playbook.start("apply", *playbook.extra_vars({"auth_worker_concurrency": 9}))
        changed = server.wait(lambda: all(daemon(host) not in ("", before[host]) for host in others), bool)
        # Longer than two of the lines that a drain prints are apart.
        time.sleep(25)
        (task,) = {line["key"] for line in going.ledger()}
        engine.podman("exec", busy.container, "touch", f"/var/lib/lab/release-{task}")
        run = playbook.finish(running)
    counted = going.settle(300)
    assert changed
    assert run.status == 0
    assert counted.lost == counted.doubled == ()
    return run, going


def test_no_server_waits_for_the_longest_task_of_another(seen: tuple[playbook.Run, Traffic]) -> None:
    busy, *others = hosts.existing(servers.LAB)
    (end,) = [line["time"] for line in seen[1].ledger() if line["event"] == "end"]
    # ps counts whole seconds.
    assert daemon_started(busy.container) > end - 2
    assert others
    for other in others:
        assert daemon_started(other.container) < end


def test_a_drain_says_every_ten_seconds_what_still_runs(seen: tuple[playbook.Run, Traffic]) -> None:
    ages = [int(age) for age in re.findall(r"waiting for .*worker_00 \(lab_tasks\.sleep for (\d+) s\)", seen[0].output)]
    # The long task is the only one that is that old.
    assert len(ages) > 2
    # Each is rounded to a second.
    assert [pair for pair in pairwise(ages) if pair[1] - pair[0] > 10 + 1] == []


def pids(host: Host) -> list[list[str]]:
    """Return each program with its state and number, but without how long it has been running."""
    return [line.split()[:4] for line in programs.status(host)]


@pytest.fixture
def one_broker() -> Iterator[list[Host]]:
    """Have all servers use the first one's broker. A Redis 6.0 that runs cannot be told to listen elsewhere."""
    first, *others = found = hosts.existing(servers.LAB)
    proxy = "systemd-socket-activate --listen=6380 /lib/systemd/systemd-socket-proxyd 127.0.0.1:6379"
    engine.podman("exec", first.container, "systemd-run", "--quiet", "--unit=elsewhere", *proxy.split())
    address = engine.podman("exec", first.container, "hostname", "-I").split()[0]
    for other in others:
        line = f"BROKER_URL = 'redis://{address}:6380/0'"
        engine.podman("exec", other.container, "sh", "-c", f'cp -p {LOCAL} {LOCAL}.before && echo "{line}" >>{LOCAL}')
    yield found
    for other in others:
        engine.podman("exec", other.container, "mv", f"{LOCAL}.before", LOCAL)
    engine.podman("exec", first.container, "systemctl", "stop", "elsewhere")


@pytest.mark.thorough
def test_two_hosts_with_a_beat_on_one_broker_are_refused(one_broker: list[Host]) -> None:
    before = [pids(host) for host in one_broker]
    # Whoever looks first cannot know of the other one; whoever comes later is refused, and nothing of it is touched.
    run = playbook.start("apply", "--check", *playbook.extra_vars({"auth_worker_concurrency": 7}))
    said = playbook.finish(run)
    assert said.status != 0
    refused = re.search(r"(\S+): auth_beat is true here and for (\S+), on one and the same broker", said.sentence)
    assert refused
    assert {*refused.groups()} == {host.name for host in one_broker}
    assert [pids(host) for host in one_broker] == before
    # With the advice followed.
    (_first, second) = one_broker
    path = playbook.SERVERS / "host_vars" / second.name / "beat.yml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("auth_beat: false\n")
    try:
        again = playbook.finish(
            playbook.start("apply", "--check", *playbook.extra_vars({"auth_worker_concurrency": 7}))
        )
    finally:
        path.unlink()
        path.parent.rmdir()
    assert again.status == 0


@pytest.fixture
def broken() -> Iterator[Host]:
    """Have a file beside the first server's supervisor.conf that supervisord would not read."""
    (first, *_others) = hosts.existing(servers.LAB)
    engine.podman("exec", first.container, "sh", "-c", f"echo '[program:oops]' >{BROKEN}")
    yield first
    engine.podman("exec", first.container, "rm", BROKEN)


def test_a_host_that_fails_does_not_stop_the_programs_on_the_others(broken: Host) -> None:
    others = [host for host in hosts.existing(servers.LAB) if host != broken]
    before = pids(broken)
    run = playbook.apply(*playbook.extra_vars({"auth_worker_concurrency": 8}))
    assert run.status != 0
    assert run.sentence.startswith(f"{broken.name}: ")
    assert BROKEN in run.sentence
    assert run.changed[broken.name] == 0
    assert pids(broken) == before
    assert others
    for other in others:
        assert run.changed[other.name] > 0
        assert {line.split()[1] for line in programs.status(other)} == {"RUNNING"}
        assert programs.nodes(other)[f"worker_00@{other.name}"] == 8
