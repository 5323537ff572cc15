# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of a server, each for a while.

`host` is testinfra's.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shared import server

from lab.podman import engine, hosts


@contextmanager
def moved(host: Any, path: str) -> Iterator[None]:
    """Have no such file or folder for a while."""
    server.run(host, f"mv {path} {path}.away")
    try:
        yield
    finally:
        server.run(host, f"mv {path}.away {path}")


@contextmanager
def written(host: Any, path: str, text: str) -> Iterator[None]:
    """Have a file for a while."""
    server.run(host, f"printf %s {shlex.quote(text)} > {path}")
    try:
        yield
    finally:
        server.run(host, f"rm {path}")


@contextmanager
def replaced(host: Any, program: str, script: str) -> Iterator[None]:
    """Have a script of the auth user's in a program's place for a while; in it, REAL is where the program is."""
    folder = f"{program}.real"
    real = f"{folder}/{Path(program).name}"
    server.as_user(host, f"mkdir {folder} && mv {program} {real}")
    try:
        text = script.replace("REAL", real)
        server.as_user(host, f"printf %s {shlex.quote(text)} > {program} && chmod 755 {program}")
        yield
    finally:
        server.as_user(host, f"mv {real} {program} && rmdir {folder}")


@contextmanager
def frozen(host: Any, process: str) -> Iterator[str]:
    """Have a process that reacts to nothing for a while, but to SIGKILL; yield its number."""
    number = server.pid(host, process)
    server.run(host, f"kill -STOP {number}")
    try:
        yield number
    finally:
        server.run(host, f"kill -CONT {number} || true")


@contextmanager
def stopped(host: Any, service: str, answers: str) -> Iterator[None]:
    """Have a service of systemd's stopped for a while, and end once a command says that it answers again."""
    server.run(host, f"systemctl stop {service}")
    try:
        yield
    finally:
        server.run(host, f"systemctl start {service}")
        assert server.wait(lambda: host.run(answers).rc, lambda status: status == 0) == 0


@contextmanager
def read_only(host: Any, path: str) -> Iterator[None]:
    """Have a folder that nobody can write for a while; a file that is open already goes on."""
    _as_owner_of_the_machine(host, f"mount --bind {path} {path} && mount -o remount,bind,ro {path}")
    try:
        yield
    finally:
        _as_owner_of_the_machine(host, f"umount {path}")


@contextmanager
def full(host: Any, path: str) -> Iterator[None]:
    """Have a folder with the same files on a disk without room for another one."""
    disk = f"mount -t tmpfs -o size=256k,mode=755 full {path}"
    copy = f"cp -a {path}/. /tmp/copy && {disk} && cp -a /tmp/copy/. {path} && rm -r /tmp/copy"
    _as_owner_of_the_machine(host, f"mkdir /tmp/copy && {copy}; cat /dev/zero > {path}/.filler; df {path} | grep 100%")
    try:
        yield
    finally:
        _as_owner_of_the_machine(host, f"umount {path}")


def _as_owner_of_the_machine(host: Any, command: str) -> None:
    """Run what root in a container may not do."""
    port = int(host.ansible.get_variables()["ansible_port"])
    (container,) = (found.container for found in hosts.existing() if found.port == port)
    engine.podman("exec", "--privileged", container, "sh", "-c", command)


@contextmanager
def taken(host: Any, port: int) -> Iterator[None]:
    """Have another server listen on a port for a while, and answer there."""
    listen = f"python3 -m http.server --bind 127.0.0.1 {port}"
    server.run(host, f"systemd-run --quiet --unit foreign --working-directory=/srv {listen}")
    try:
        asked = server.wait(lambda: host.run(f"ss -Hltn sport = {port}").stdout, bool)
        assert asked
        yield
    finally:
        server.run(host, "systemctl stop foreign")
