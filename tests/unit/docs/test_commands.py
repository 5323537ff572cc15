# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that the pages have people type name what there is, and are spelt the same on every page."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from markdown_it import MarkdownIt

CHECKOUT = Path(__file__).parents[3]
PAGES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md"))]
VARIABLES: dict[str, Any] = yaml.safe_load((CHECKOUT / "roles/auth/defaults/main.yml").read_text())


def lines(page: Path) -> Iterator[str]:
    """Return each line that the page has as a command: in a block of its own, or within a sentence."""
    for token in MarkdownIt("commonmark").enable("table").parse(page.read_text()):
        if token.type == "code_block" or (token.type == "fence" and token.info in ("bash", "sh", "console")):
            yield from token.content.splitlines()
        for part in token.children or ():
            if part.type == "code_inline":
                yield part.content


def found(pattern: str, pages: list[Path]) -> list[str]:
    """Return what the pattern's group matches in the commands of the pages."""
    return [word for page in pages for line in lines(page) for word in re.findall(pattern, line)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_playbook_and_variable_and_target_of_a_command_exists(page: Path) -> None:
    playbooks = {file.stem for file in CHECKOUT.glob("playbooks/*.yml")}
    assert set(found(r"ansible-playbook .*?\ballianceauth\.tuning\.(\w+)", [page])) <= playbooks
    assert set(found(r"(?:-e|--extra-vars)[ =]['\"]?(auth_\w+)", [page])) <= set(VARIABLES)
    targets = set(re.findall(r"^([a-z][a-z-]*):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))
    assert set(found(r"(?:^|[;&] |\w=\S+ |sudo )make ([a-z][a-z-]*)\b", [page])) <= targets


def test_the_pages_have_commands() -> None:
    assert len(found(r"ansible-playbook .*?\ballianceauth\.tuning\.(\w+)", PAGES)) > 20
    assert found(r"(?:-e|--extra-vars)[ =]['\"]?(auth_\w+)", PAGES)
    assert len(found(r"(?:^|[;&] |\w=\S+ |sudo )make ([a-z][a-z-]*)\b", PAGES)) > 10


def test_the_collection_is_installed_by_one_form_of_the_command() -> None:
    """--force also replaces an older one, and -p is where an ansible.cfg of the folder does not lead elsewhere."""
    commands = [line for page in PAGES for line in lines(page) if "ansible-galaxy collection install" in line]
    assert len(commands) > 4
    start = "ansible-galaxy collection install --force -p ~/.ansible/collections "
    others = {command.removeprefix(start) for command in commands}
    assert others == {
        "git+https://github.com/allianceauth/ansible-collection-tuning.git",
        f"allianceauth-tuning-{yaml.safe_load((CHECKOUT / 'galaxy.yml').read_text())['version']}.tar.gz",
    }


def messages() -> Iterator[tuple[str, str]]:
    """Return the texts of plugins, playbooks, the sample inventory and the issue templates, with their files."""
    for file in sorted((CHECKOUT / "plugins/module_utils/controller").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield file.name, node.value
    for folder in ("playbooks", "inventory", ".github"):
        for file in sorted((CHECKOUT / folder).rglob("*.yml")):
            yield file.name, file.read_text()


def test_messages_have_people_type_what_the_pages_do() -> None:
    said = [(file, text) for file, text in messages() if "ansible-playbook" in text]
    assert len(said) > 10
    playbooks = {file.stem for file in CHECKOUT.glob("playbooks/*.yml")}
    for file, text in said:
        for inventory, name in re.findall(r"ansible-playbook (.*?)\ballianceauth\.tuning\.(\w+)", text):
            assert (file, inventory) == (file, "-i my-servers ")
            assert name in playbooks


def test_the_inventory_has_one_name() -> None:
    named = set(found(r"ansible(?:-playbook)? .*?(?:-i|--inventory)[ =](\S+)", PAGES))
    # A host may stand in the place of an inventory.
    folders = {name for name in named if not name.endswith(",")}
    # The others are those of this repository and its lab, for those who work on it.
    assert folders - {"inventory", ".lab/inventory.yml"} == {"my-servers"}
