# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An audit's table in the terminal and its page."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.allianceauth.tuning.plugins.action import auth_audit
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.audit import audit, table

from tests.unit.plugins import looks

DOCS = Path(__file__).parents[3] / "docs/audit.md"
TEMPLATE = (Path(__file__).parents[3] / "roles/auth/templates/audit.html.j2").read_text()


def bad() -> dict[str, Any]:
    look = looks.good()
    look["unit"]["stop_seconds"] = 90.0
    look["processes"][3]["stopsignal"] = "INT"
    return look


def whole(**hosts: dict[str, Any]) -> dict[str, Any]:
    return audit.report(hosts, {}, "2026-11-25T21:56:27Z")


def test_a_good_server_says_so_in_one_line() -> None:
    assert table.lines(whole(auth1=looks.good()), 100) == ["auth1: good (myauth: Alliance Auth 5.5.0)"]


def test_what_can_wait_is_counted_in_that_line() -> None:
    look = looks.good()
    look["unit"]["stop_seconds"] = 90.0
    (line,) = table.lines(whole(auth1=look), 100)
    assert line.startswith("auth1: good (myauth: Alliance Auth 5.5.0); 1 low, which can wait")


def test_a_bad_server_has_its_findings_with_the_worst_first() -> None:
    lines = table.lines(whole(auth1=bad()), 80)
    assert lines[1] == "auth1: 1 medium, 1 low (myauth: Alliance Auth 5.5.0)"
    assert lines[2].startswith("  medium  myauth:gunicorn: stopsignal is INT")
    assert [line for line in lines if line.startswith("  low     supervisor.service: systemd waits 90 s")]
    assert max(map(len, lines)) <= 80


def test_several_projects_are_each_named() -> None:
    look = looks.good()
    look["projects"].append({**look["projects"][0], "name": "other", "versions": {}, "processes": []})
    assert "(myauth: Alliance Auth 5.5.0, other)" in table.lines(whole(auth1=look), 200)[1]


def test_a_host_that_nobody_saw_is_not_called_good() -> None:
    lines = table.lines(audit.report({}, {"auth1": "unreachable"}, "now"), 100)
    assert lines == ["auth1: not audited: unreachable"]


def documented() -> dict[str, set[str]]:
    """Return the keys that the documentation tells of, by the place of what has them in audit.json."""
    table = DOCS.read_text().partition("## audit.json")[2].partition("A host without a look")[0]
    found: dict[str, set[str]] = {}
    row = ""
    for path, said in re.findall(r"^\| `(\S+)` \| (.*) \|$", table, re.MULTILINE):
        # "….places" is of what the row before, or the one above that, is about.
        row = path if not path.startswith("….") else f"hosts.NAME.projects{path[1:]}"
        words = row.split(".")
        for depth, word in enumerate(words):
            found.setdefault(".".join(words[:depth]), set()).add(word)
        if row not in ("hosts.NAME.verdict", "hosts.NAME.counts"):
            found.setdefault(row, set()).update(re.findall(r"`([a-z_]+)`", said))
    return found


def keys(value: Any, path: str = "") -> dict[str, set[str]]:
    """Return the keys of all that is in a report, by place: a host's and a queue's is NAME, a package's is left out."""
    found: dict[str, set[str]] = {}
    if isinstance(value, list):
        for one in value:
            for place, inside in keys(one, path).items():
                found.setdefault(place, set()).update(inside)
    if isinstance(value, dict) and path.rpartition(".")[2] not in ("versions", "counts"):
        for name, one in value.items():
            key = "NAME" if path.rpartition(".")[2] in ("hosts", "queues") else name
            found.setdefault(path, set()).add(key)
            for place, inside in keys(one, f"{path}.{key}".lstrip(".")).items():
                found.setdefault(place, set()).update(inside)
    return found


def test_audit_json_has_the_keys_that_are_documented_and_no_others() -> None:
    # As it is written, and with a finding.
    written = json.loads(json.dumps(whole(auth1=bad())))
    said = {place: inside for place, inside in documented().items() if inside}
    for place, inside in keys(written).items():
        assert inside == said[place], place
    assert set(said) <= set(keys(written))


class Page(HTMLParser):
    """A page's words, what it needs from elsewhere, and the widths of its bars."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words, self.widths, self.needs = "", [], []  # type: tuple[str, list[str], list[str]]
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag not in ("meta", "!doctype"):
            self.open.append(tag)
        if given.get("style"):
            self.widths.append(given["style"])
        self.needs += [given[name] for name in ("src", "href") if not given.get(name, "#").startswith("#")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def test_the_page_is_whole_and_needs_nothing_else() -> None:
    other = looks.good()
    other["projects"][0]["asked"]["broker"]["identity"] = "of its own"
    text = auth_audit.render(TEMPLATE, whole(auth1=bad(), auth2=other))
    page = Page(text)
    assert (page.open, page.needs) == ([], [])
    assert "@import" not in text
    assert "url(" not in text
    assert "prefers-color-scheme: dark" in text
    # Readable on a phone: as wide as it is, and in one column there.
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in text
    assert re.search(r"@media \(max-width: \d+rem\) \{\s*\S", text)
    assert "stopsignal is INT" in page.words
    assert "Good: nothing of high or medium severity." in page.words


def test_each_process_has_a_bar_of_what_it_holds_against_its_limit() -> None:
    look = looks.good()
    look["processes"][1]["rss"] = 600 * looks.MEGABYTE
    page = Page(auth_audit.render(TEMPLATE, whole(auth1=look)))
    assert len(page.widths) == len(look["processes"])
    assert page.widths[1] == "width: 100%"
    assert page.widths[2] == "width: 23%"
    assert "600 MB of 512 MB" in page.words
    assert "117 MB, no limit" in page.words


def test_what_a_server_says_of_itself_is_no_markup() -> None:
    look = looks.good()
    look["projects"][0]["asked"] = {"problem": "<script>alert('x')</script>"}
    text = auth_audit.render(TEMPLATE, whole(auth1=look))
    assert "<script" not in text
    assert "<script>alert('x')</script>" in Page(text).words


def test_a_host_that_nobody_saw_is_on_the_page() -> None:
    text = auth_audit.render(TEMPLATE, audit.report({}, {"auth1": "no route"}, "now"))
    assert "Not audited: no route" in Page(text).words


@pytest.mark.parametrize("key", ["version", "audited", "hosts"])
def test_the_report_is_json(key: str) -> None:
    assert key in json.loads(json.dumps(whole(auth1=bad())))
