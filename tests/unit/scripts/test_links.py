# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Links that lead nowhere are found, with where they stand."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from scripts import links


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/there" else 404)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def site() -> Iterator[str]:
    with HTTPServer(("127.0.0.2", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.2:{server.server_port}"
        server.shutdown()


def test_files_and_headings_that_are_not_there_are_told(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# Who may write what?\n\n## `auth_user`, and more\n")
    page = tmp_path / "page.md"
    page.write_text(
        "# Page\n\n[a](other.md) [b](other.md#who-may-write-what) [c](other.md#auth_user-and-more) [d](#page)\n\n"
        "| x |\n| - |\n| [e](gone.md) |\n\n![f](gone.svg)\n\n[g](other.md#gone) <https://example.org/gone>\n"
    )
    assert links.problems([page], external=False) == [
        f"{page}:7: the link gone.md leads nowhere: there is no {tmp_path}/gone.md.",
        f"{page}:9: the link gone.svg leads nowhere: there is no {tmp_path}/gone.svg.",
        f"{page}:11: the link other.md#gone leads nowhere: {tmp_path}/other.md has no heading #gone.",
    ]


def test_pages_of_the_web_are_asked_for_only_when_wanted(tmp_path: Path, site: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"[a]({site}/there) [b]({site}/gone) [c](https://auth.example.org/gone) [d](gone.md)\n")
    (told,) = links.problems([page], external=True)
    assert told == f"{page}:1: the link {site}/gone leads nowhere: HTTP Error 404: Not Found."
    assert len(links.problems([page], external=False)) == 1
