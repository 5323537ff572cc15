# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages and the sample inventory name what there is, and all of it."""

from __future__ import annotations

import ast
import json
import re
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import project

from bench import picture

CHECKOUT = Path(__file__).parents[3]
DOCS = CHECKOUT / "docs"
DEFAULTS = CHECKOUT / "roles/auth/defaults/main.yml"
SAMPLE = CHECKOUT / "inventory/group_vars/auth_servers.yml"


def defaults() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(DEFAULTS.read_text())
    return loaded


@pytest.mark.parametrize("page", [*DOCS.glob("*.md"), CHECKOUT / "README.md", SAMPLE], ids=lambda page: page.name)
def test_each_variable_that_is_named_exists(page: Path) -> None:
    plugins = {file.stem for file in CHECKOUT.glob("plugins/*/*.py")}
    named = set(re.findall(r"\bauth_[a-z_]*[a-z]\b(?![.…*]|_)", page.read_text()))
    assert named - set(defaults()) - plugins <= {"auth_servers"}


def test_each_playbook_and_scenario_has_its_place() -> None:
    headings = set(re.findall(r"^## ([a-z]+)$", (DOCS / "playbooks.md").read_text(), re.MULTILINE))
    assert headings == {file.stem for file in CHECKOUT.glob("playbooks/*.yml")}
    testing = (DOCS / "testing.md").read_text()
    for file in CHECKOUT.glob("molecule/*/molecule.yml"):
        assert f"`{file.parent.name}`" in testing


@pytest.fixture
def python_of(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Return a function that runs the only block of Python on a page, and returns what it has set."""

    def run(page: str, **known: Any) -> dict[str, Any]:
        (block,) = re.findall(r"(?ms)^```python\n(.*?)^```$", (DOCS / page).read_text())
        (tmp_path / "block.py").write_text(block)
        return runpy.run_path(str(tmp_path / "block.py"), known)

    return run


def test_the_route_of_an_app_is_kept_beside_alliance_auths_own_and_found_by_a_run(
    python_of: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    own = {"discord.*": {"queue": "services"}}
    for before in (own, None):
        app = SimpleNamespace(conf=SimpleNamespace(task_routes=before))
        python_of("programs.md", app=app)
        assert app.conf.task_routes == {**(before or {}), "memberaudit.*": {"queue": "memberaudit"}}
    assert project.routed_queues(str(tmp_path / "block.py")) == ["memberaudit"]


def test_the_settings_take_a_token_from_the_environment(
    python_of: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISCORD_BOT_TOKEN", raising=False)
    assert python_of("secrets.md")["DISCORD_BOT_TOKEN"] == ""
    monkeypatch.setenv("DISCORD_BOT_TOKEN", "a-token")
    assert python_of("secrets.md")["DISCORD_BOT_TOKEN"] == "a-token"


def spoken() -> Iterator[str]:
    """Return the text of each literal of the plugins and of each task of the role, in one line each."""
    for file in CHECKOUT.glob("plugins/**/*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.JoinedStr):
                yield "".join(str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
    for file in CHECKOUT.glob("roles/auth/tasks/**/*.yml"):
        # A sentence may go around what Jinja puts in, or be in it.
        text = file.read_text()
        yield " ".join(re.sub(r"{{.*?}}", "\0", text, flags=re.DOTALL).split())
        # What is said within an expression.
        yield from re.findall(r"'([^'\n]{8,})'", text)
        yield " ".join(file.read_text().split())


def test_each_message_that_is_explained_is_one_of_ours() -> None:
    """Not what Ansible itself says, which is the first table, nor what is to be typed, which is the last section."""
    page = (DOCS / "failures.md").read_text()
    ours = page[page.index("## A variable is refused") : page.index("## Something else")]
    rows = [line.split("|")[1] for line in ours.splitlines() if line.startswith("| `")]
    messages = [message for row in rows for message in re.findall(r"`([^`]+)`", row)]
    texts = list(spoken())
    unknown = [
        message
        for message in messages
        if not any(all(part.strip() in text for part in message.split("…")) for text in texts)
    ]
    assert len(messages) > 50
    assert not unknown


def test_the_sample_inventory_shows_the_defaults() -> None:
    """It sets what the README's example sets, and the rest is commented out as the role has it."""
    text = SAMPLE.read_text()
    (worked,) = re.findall(r"^ {7}(auth_\w+: .+)$", (CHECKOUT / "README.md").read_text(), re.MULTILINE)
    given = {name: value for name, value in yaml.safe_load(text).items() if name.startswith("auth_")}
    assert given == yaml.safe_load(worked)
    shown = yaml.safe_load("\n".join(re.findall(r"^# ?(auth_\w+: .+)$", text, re.MULTILINE)))
    assert len(shown) > 5
    assert shown == {name: defaults()[name] for name in shown}


def test_the_picture_shows_the_data_beside_it() -> None:
    seen = json.loads(picture.DATA.read_text())
    assert picture.PICTURE.read_text() == picture.draw(seen)
    assert f"{seen['requests']} requests, of which none failed" in (DOCS / "a-run.md").read_text()
    assert (seen["failed"], seen["lost"], seen["doubled"]) == ([], 0, 0)
