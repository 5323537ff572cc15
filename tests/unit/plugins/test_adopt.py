# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that was adopted is described: what the role writes then differs by what was announced, and nothing else."""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import adopt

from tests.unit.plugins import looks
from tests.unit.plugins.adopting import Site, differences
from tests.unit.plugins.test_audit_templates import WHEELS, generated

CORES = os.cpu_count() or 1

# On purpose, for every version; each program has a log of its own.
LOGS = {(name, item) for name in ("beat", "worker", "gunicorn") for item in ("stdout_logfile", "stderr_logfile")}
ALL = LOGS | {("worker", "-n"), ("gunicorn", "stopsignal"), ("gunicorn", "stopwaitsecs"), ("gunicorn", "-c")}
SERVICES = {("worker_services", item) for item in ("stdout_logfile", "stderr_logfile", "-n")}
# What 2.x and 3.x leave to Celery, and all to gunicorn, is said now, and is the same.
SAID = {("worker", "-P"), ("worker", "-c"), ("gunicorn", "-b")}
MEMMON = {("memmon", "")}
# The gunicorn of these tests has a control socket, as that of 5.5 has.
SOCKET = {("gunicorn", "--pid"), ("gunicorn", "--no-control-socket")}

EXPECTED = {
    "2.15.1": ALL | SOCKET | {("worker", "name")},
    "3.8.1": ALL | SOCKET | {("worker", "name")},
    "4.6.4": ALL | SOCKET | MEMMON,
    "4.13.1": ALL | MEMMON,
    "5.0.1": ALL | MEMMON | SERVICES,
    "5.5.0": ALL | MEMMON | SERVICES,
}


@pytest.fixture
def site(defaults: dict[str, Any], tmp_path: Path) -> Site:
    return Site(tmp_path, defaults)


def listed(adopted: adopt.Adopted) -> set[tuple[str, str]]:
    """Return what was announced, in the words of `differences`."""
    words = {"process_name": "name", "--config": "-c", "--hostname": "-n"}
    found = {
        (change["section"].partition(":")[2], words.get(change["item"], change["item"])) for change in adopted.left
    }
    # A memmon as a whole stands for what it is told; the limit of gunicorn's small main process was never reached.
    return {("memmon", "") if name.startswith("memmon") else (name, item) for name, item in found} - {
        ("gunicorn", "memory limit")
    }


def seen(site: Site, adopted: adopt.Adopted) -> set[tuple[str, str]]:
    """Return how the file that is written for the variables differs, as supervisor's parser expands both."""
    before = site.expanded()
    site.put(auth1=site.render(site.written(adopted)))
    found = differences(before, site.expanded())
    return {("memmon", "") if name.startswith("memmon") else (name, item) for name, item in found}


@pytest.mark.parametrize("version", WHEELS)
def test_a_generated_file_differs_by_what_was_announced(version: str, site: Site) -> None:
    site.project.mkdir()
    site.put(myauth=generated(version, site.project))
    adopted = site.adopt()
    assert [change for change in adopted.left if not adopt.is_deliberate(change)] == []
    assert adopted.refused == []
    assert listed(adopted) == EXPECTED[version]
    assert seen(site, adopted) - SAID == EXPECTED[version]
