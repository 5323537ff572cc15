# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A webhook hears how a run ended; the address is shown nowhere, and a failing webhook fails nothing."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import ending, variables
from ansible_collections.allianceauth.tuning.plugins.module_utils.model import webhook

SECRET = "s3cret-t0ken"


class Listener(http.server.ThreadingHTTPServer):
    """A webhook; ``heard`` has each message, ``answer`` is the status that it answers with."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.heard: list[dict[str, Any]] = []
        self.answer = 204

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{SECRET}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Listener

    def do_POST(self) -> None:
        self.server.heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.server.answer)
        if self.server.answer == 301:
            self.send_header("Location", self.server.url)
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *words: Any) -> None:  # noqa: A002 - as the base class has it
        """Say nothing."""


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    monkeypatch.setenv("no_proxy", "*")
    server = Listener()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def config(url: str, kind: str = "json") -> dict[str, str]:
    return {"url": url, "format": kind, "host": "auth1", "job": "apply"}


def test_the_message_arrives_in_both_formats(listener: Listener) -> None:
    assert webhook.send(config(listener.url), "ok", "auth1: nothing") == ""
    assert webhook.send(config(listener.url, "discord"), "failed", "auth1: @everyone " + "x" * 3000) == ""
    plain, discord = listener.heard
    assert plain == {"host": "auth1", "job": "apply", "result": "ok", "text": "auth1: nothing"}
    assert discord["content"].startswith("apply failed: auth1: @everyone xxx")
    assert len(discord["content"]) == 2000
    assert discord["allowed_mentions"] == {"parse": []}


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/s3cret-t0ken", f"nonsense {SECRET}", f"http://[{SECRET}/"])
def test_one_that_cannot_be_reached_raises_nothing_and_shows_no_address(url: str) -> None:
    problem = webhook.send(config(url), "ok", "text")
    assert problem
    assert SECRET not in problem


def test_one_that_refuses_is_told(listener: Listener) -> None:
    listener.answer = 404
    assert webhook.send(config(listener.url), "ok", "text") == "it answers 404"


def test_one_that_leads_elsewhere_is_told_and_not_followed(listener: Listener) -> None:
    listener.answer = 301
    assert webhook.send(config(listener.url), "ok", "text") == "it answers 301"


def test_as_a_program_it_needs_nothing_and_no_argument_has_the_address(listener: Listener, tmp_path: Path) -> None:
    (tmp_path / "webhook.json").write_text(json.dumps(config(listener.url)))
    code = tmp_path / "webhook.py"
    code.write_bytes(Path(webhook.__file__).read_bytes())
    command = [sys.executable, "-I", str(code), str(tmp_path / "webhook.json")]
    done = subprocess.run(command, input="the guard had to act", capture_output=True, text=True, check=True)
    assert done.stdout == "the webhook was told\n"
    assert listener.heard == [{"host": "auth1", "job": "apply", "result": "guard", "text": "the guard had to act"}]


def refusals(url: str, kind: str, given: dict[str, Any]) -> list[str]:
    return variables.declare({**given, "auth_notify_url": url, "auth_notify_format": kind}, "auth1")[1]


def test_a_wrong_address_is_refused_and_not_shown(defaults: dict[str, Any]) -> None:
    (sentence,) = refusals(f"ftp://{SECRET}", "json", defaults)
    assert sentence == (
        "auth1: auth_notify_url is not as it has to be: it has to be an address that begins with https:// or http://."
    )
    (sentence,) = refusals("https://discord.com/api/webhooks/1/x", "slack", defaults)
    assert "auth_notify_format is 'slack': it has to be one of" in sentence
    assert refusals("https://discord.com/api/webhooks/1/x", "discord", defaults) == []


def test_the_cause_is_that_of_the_step_that_failed() -> None:
    failed = {"failed": True, "msg": "auth1: no"}
    assert ending.cause({"__auth_info": {"msg": "x"}, "__auth_decided": failed}) == "auth1: no"
    assert ending.cause({"__auth_cause": "auth1: first", "__auth_decided": failed}) == "auth1: first"
    given = {"job": "apply", "ended": False, "changes": []}
    assert ending.text("auth1", given, ending.cause({})) == "auth1: what the run printed says why"
    assert ending.text("auth1", {**given, "ended": True}, "") == "auth1: nothing had to be changed."
