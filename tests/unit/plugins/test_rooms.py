# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which part of the plugins may import which: docs/architecture.md has the map."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PLUGINS = Path(__file__).resolve().parents[3] / "plugins"
UTILS = "ansible_collections.allianceauth.tuning.plugins.module_utils."

# What runs on the controller never imports what looks at a server, and the other way round.
ALLOWED = {
    "module_utils/model": {"model"},
    "module_utils/conf": {"model", "conf"},
    "module_utils/controller": {"model", "conf", "controller"},
    "module_utils/controller/audit": {"model", "conf", "controller"},
    "module_utils/server": {"model", "conf", "server"},
    "modules": {"model", "conf", "server"},
    "action": {"model", "conf", "controller"},
    "plugin_utils": {"model", "conf", "controller"},
}


def rooms_imported(source: str) -> Iterator[str]:
    """Yield the room of each import of ours."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith(UTILS):
            below = f"{node.module}."[len(UTILS) :].rstrip(".")
            yield from [below.split(".", maxsplit=1)[0]] if below else [alias.name for alias in node.names]


@pytest.mark.parametrize("room", ALLOWED)
def test_nothing_imports_what_runs_on_the_other_side(room: str) -> None:
    files = list((PLUGINS / room).glob("*.py"))
    assert files
    for file in files:
        assert set(rooms_imported(file.read_text())) <= ALLOWED[room], file.name


def test_every_file_has_a_room() -> None:
    assert [file.name for file in (PLUGINS / "module_utils").glob("*.py")] == []
