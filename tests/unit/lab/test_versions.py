# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab says that a server is made of."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from lab.observe import versions
from lab.on_host import versions as on_host
from lab.podman import engine
from lab.podman.distros import DISTROS
from lab.podman.hosts import Host

# What the programs print, on Debian 12 and with sudo-rs.
PRINTED = {
    "mariadbd": ("mariadbd  Ver 10.11.14-MariaDB-0+deb12u2 for debian-linux-gnu on x86_64 (Debian 12)\n", ""),
    "redis-server": ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=a1\n", ""),
    "nginx": ("", "nginx version: nginx/1.22.1\n"),
    "supervisord": ("4.2.5\n", ""),
    "systemctl": ("systemd 252 (252.39-1~deb12u1)\n+PAM +AUDIT\n", ""),
    "sudo": ("sudo-rs 0.2.15\n", ""),
}


def test_every_part_is_named_with_its_version(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(command: list[str], **_how: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 0, *PRINTED[command[0]])

    monkeypatch.setattr(subprocess, "run", run)
    on_host.main()
    said = capsys.readouterr().out
    assert said.endswith(
        "MariaDB 10.11.14, Redis 7.0.15, nginx 1.22.1, supervisor 4.2.5, systemd 252, sudo (sudo-rs) 0.2.15\n"
    )
    assert "Python 3." in said


def test_the_sentence_names_the_host_and_its_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    called = []

    def podman(*words: str) -> str:
        called.append(words[0])
        return "MariaDB 10.11.14, Redis 7.0.15\n"

    monkeypatch.setattr(engine, "podman", podman)
    host = object.__new__(Host)
    for name, value in {"name": "auth1", "distro": "debian12", "container": "lab-auth1"}.items():
        object.__setattr__(host, name, value)
    title = DISTROS["debian12"].title
    assert versions.describe(host) == f"auth1 runs {title} in a container: MariaDB 10.11.14, Redis 7.0.15."
    assert called == ["cp", "exec"]
