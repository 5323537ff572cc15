# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's variables stand in one order wherever somebody reads or types them, and the tables name their defaults.

The README's table has some of the variables, defaults/main.yml has all: where both are in order, so is everything that
is in the order of the defaults.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.options import POOL_KEYS
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import adopt, variables
from markdown_it import MarkdownIt

CHECKOUT = Path(__file__).parents[3]
README = CHECKOUT / "README.md"
PAGES = [README, *sorted((CHECKOUT / "docs").glob("*.md"))]
SAMPLE = CHECKOUT / "inventory/group_vars/auth_servers.yml"
DEFAULTS: dict[str, Any] = yaml.safe_load((CHECKOUT / "roles/auth/defaults/main.yml").read_text())
SPECS = yaml.safe_load((CHECKOUT / "roles/auth/meta/argument_specs.yml").read_text())["argument_specs"]
ORDER = list(DEFAULTS)
KEYS_OF_A_POOL = ["name", "enabled", "queues", *POOL_KEYS]

# What a table says in words in the place of a default.
NOTHING: tuple[Any, ...] = ("", [], {})
IN_WORDS = {"none": NOTHING, "Celery's": ("",)}
# The places of Alliance Auth's installation guide.
THE_GUIDES = {
    "auth_project": "myauth",
    "auth_user": "allianceserver",
    "auth_venv": "/home/{{ auth_user }}/venv/auth",
}


def tables(page: Path) -> Iterator[list[list[str]]]:
    """Return the rows of each of a page's tables of variables, the head among them."""
    rows: list[list[str]] = []
    for token in MarkdownIt("commonmark").enable("table").parse(page.read_text()):
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline" and rows:
            rows[-1].append(token.content)
        elif token.type == "table_close":
            if rows[0][0] == "variable":
                yield rows
            rows = []


def names(cell: str) -> list[str]:
    return re.findall(r"`(auth_\w+)`", cell)


def examples(page: Path) -> Iterator[dict[str, Any]]:
    """Return what each of a page's examples of variables sets."""
    for token in MarkdownIt("commonmark").parse(page.read_text()):
        given = None
        # Other blocks without a language are commands and what they print.
        with contextlib.suppress(yaml.YAMLError):
            given = yaml.safe_load(token.content) if token.info == "yaml" or token.type == "code_block" else None
        if isinstance(given, dict) and set(given) & set(ORDER):
            yield given


def assert_in_order(found: list[str], order: list[str]) -> None:
    """See that these are among the names of ``order``, and follow each other as they do there."""
    assert found == [name for name in order if name in found]


@pytest.mark.parametrize("page", [page for page in PAGES if any(tables(page))], ids=lambda page: page.name)
def test_the_tables_are_in_the_order_of_the_defaults(page: Path) -> None:
    for _head, *rows in tables(page):
        found = [name for row in rows for name in names(row[0])]
        assert found
        assert_in_order(found, ORDER)


def test_the_readme_has_the_table_of_what_people_change() -> None:
    ((_head, *rows),) = tables(README)
    assert len(rows) > 15


@pytest.mark.parametrize("entry", SPECS)
def test_the_argument_specification_is_in_the_order_of_the_defaults(entry: str) -> None:
    assert list(SPECS[entry]["options"]) == ORDER
    assert list(SPECS[entry]["options"]["auth_workers"]["options"]) == KEYS_OF_A_POOL


def test_the_sample_inventory_is_in_the_order_of_the_defaults() -> None:
    found = re.findall(r"^(?:# ?)?(auth_\w+):", SAMPLE.read_text(), re.MULTILINE)
    assert len(found) > 5
    assert_in_order(found, ORDER)


def test_the_keys_of_a_pool_are_in_the_order_of_their_variables() -> None:
    assert [f"auth_worker_{key}" for key in POOL_KEYS] == [name for name in ORDER if name.startswith("auth_worker_")]


@pytest.mark.parametrize("page", [page for page in PAGES if any(examples(page))], ids=lambda page: page.name)
def test_the_examples_are_in_the_order_of_the_defaults(page: Path) -> None:
    for given in examples(page):
        assert_in_order([name for name in given if name in ORDER], ORDER)
        for pool in given.get("auth_workers", []):
            assert_in_order(list(pool), KEYS_OF_A_POOL)


def test_what_adopt_writes_is_in_the_order_of_the_defaults() -> None:
    assert list(variables.NAMES) == ORDER
    assert_in_order(list(adopt.PLACES), ORDER)
    assert_in_order(list(adopt.COMMENTS), ORDER)
    # As they may arrive: in any order.
    text, _secrets, _count = adopt.texts({name: DEFAULTS[name] for name in sorted(ORDER)}, (), "2026-11-29")
    assert re.findall(r"^(auth_\w+):", text, re.MULTILINE) == ORDER


def is_said(name: str, cell: str) -> bool:
    """Whether a table's cell says what the variable's default is."""
    default = DEFAULTS[name]
    if cell == "the guide's":
        return bool(default == THE_GUIDES[name])
    if cell in IN_WORDS:
        return default in IN_WORDS[cell]
    value = re.fullmatch(r"`([^`]+)`", cell)
    said = yaml.safe_load(value[1]) if value else None
    # 1 is not true.
    return type(said) is type(default) and bool(said == default)


def test_the_tables_name_the_defaults() -> None:
    found = [rows for page in PAGES for rows in tables(page) if rows[0][1] == "default"]
    wrong = [
        f"{name}: {row[1]} is not {DEFAULTS[name]!r}"
        for _head, *rows in found
        for row in rows
        for name in names(row[0])
        if not is_said(name, row[1])
    ]
    # The README's and that of the audit.
    assert len(found) == 2
    assert wrong == []
