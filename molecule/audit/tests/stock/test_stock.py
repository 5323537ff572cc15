# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an audit finds on a server as Alliance Auth's guide leaves it, without writing anything there."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from shared import server
from shared.audits import Audit, audit

MAIN = "/etc/supervisor/supervisord.conf"
LINK = f"{server.CONF_D}/myauth.conf"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audit")


@pytest.fixture(scope="module")
def before(host: Any) -> dict[str, str]:
    """Return what is on the server before anybody looks at it."""
    return server.traces(host)


@pytest.fixture(scope="module")
def stock(host: Any, folder: Path, before: dict[str, str]) -> Audit:
    return audit(host, folder)


def test_it_finds_what_is_wrong_with_the_template_and_nothing_else(stock: Audit) -> None:
    assert stock.run.status == 0
    assert stock.found == {
        ("high", "limit-without-process"),
        ("high", "root-runs-what-others-write"),
        ("high", "root-loads-what-others-write"),
        ("medium", "worker-without-limit"),
        ("medium", "limit-counts-one-process"),
        ("medium", "gunicorn-aborts-requests"),
        ("medium", "root-writes-where-others-write"),
        ("low", "unit-stops-too-early"),
        ("low", "shared-log"),
        ("low", "node-name-without-host"),
        ("low", "settings-readable"),
    }
    assert len(stock.report["findings"]) == len(stock.found)


@pytest.mark.parametrize(
    ("rule", "evidence"),
    [
        ("limit-without-process", "-p worker=256MB, -p worker_services=256MB match no process"),
        ("limit-without-process", "worker_00, worker_services_00"),
        ("root-runs-what-others-write", "root runs /home/allianceserver/venv/auth/bin/memmon"),
        ("root-loads-what-others-write", "allianceserver can change it"),
        ("gunicorn-aborts-requests", "stopsignal is INT"),
        ("unit-stops-too-early", "systemd waits 90 s (TimeoutStopSec) for a supervisord that may take 670 s"),
        ("node-name-without-host", "celery@worker_00, celery@worker_services_00"),
    ],
)
def test_each_finding_has_its_evidence(stock: Audit, rule: str, evidence: str) -> None:
    finding = stock.finding(rule)
    assert evidence in finding["evidence"]
    assert finding["why"]
    assert finding["remedy"]
    assert finding["evidence"].split()[0] in stock.run.output


def test_it_writes_nothing_on_the_server(host: Any, stock: Audit, before: dict[str, str]) -> None:
    assert set(stock.run.changed.values()) == {0}
    assert server.differences(before, server.traces(host)) == {}


@pytest.mark.thorough
def test_check_mode_finds_the_same(host: Any, folder: Path, stock: Audit) -> None:
    assert audit(host, folder, "--check", "--diff").found == stock.found


def test_a_nightly_job_fails_on_what_it_was_told_to(host: Any, folder: Path) -> None:
    nightly = audit(host, folder, auth_audit_strict="high")
    assert nightly.run.status != 0
    assert f"{server.name(host)} (3)" in nightly.run.sentence
    assert "auth_audit_strict" in nightly.run.sentence


class Page(HTMLParser):
    """What a page needs from elsewhere, and what it shows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.needs: list[str] = []
        self.bars = 0
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.needs += [str(given[name]) for name in ("src", "href") if not str(given.get(name) or "#").startswith("#")]
        self.bars += given.get("class") == "rail"
        if tag == "script":
            self.needs.append(tag)

    def handle_data(self, data: str) -> None:
        self.words += data


def test_the_page_needs_nothing_else_and_shows_what_was_found(stock: Audit) -> None:
    text = stock.texts[1]
    page = Page(text)
    assert page.needs == []
    assert "url(" not in text
    assert page.bars == len(stock.report["processes"])
    for finding in stock.report["findings"]:
        assert finding["evidence"] in page.words


@pytest.fixture
def layout(host: Any) -> Iterator[Any]:
    """Lay the configuration out in another way, until the test is over."""
    yield lambda command: server.run(host, command)
    server.run(host, f"rm -f {server.CONF_D}/*.conf && ln -s {server.PROJECT}/supervisor.conf {LINK}")
    server.run(host, f"sed -i 's,^files = .*,files = {server.CONF_D}/*.conf,' {MAIN}")


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("commands", "file"),
    [
        (f"mv {LINK} {server.CONF_D}/allianceauth.conf", f"{server.CONF_D}/allianceauth.conf"),
        (f"cp --remove-destination {server.PROJECT}/supervisor.conf {LINK}", LINK),
        (
            f"cp {server.PROJECT}/supervisor.conf {server.CONF_D}/10-site.conf && rm {LINK}",
            f"{server.CONF_D}/10-site.conf",
        ),
        (
            f"sed -i 's,^files = .*,files = {server.PROJECT}/*.conf,' {MAIN} && rm {LINK}",
            f"{server.PROJECT}/supervisor.conf",
        ),
    ],
    ids=["linked under another name", "copied", "copied under another name", "included from the project"],
)
def test_the_project_is_found_in_every_layout(
    host: Any, folder: Path, stock: Audit, layout: Any, commands: str, file: str
) -> None:
    layout(commands)
    (project,) = audit(host, folder).report["projects"]
    assert project == {**stock.report["projects"][0], "files": [file], "tasks_now": project["tasks_now"]}
