# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A webhook hears how a run ended; the address is shown nowhere, and a failing webhook fails nothing."""

from __future__ import annotations

import http.server
import json
import socket
import subprocess
import sys
import threading
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.allianceauth.tuning.plugins.action import auth_result
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import ending, variables
from ansible_collections.allianceauth.tuning.plugins.module_utils.model import webhook

from tests.unit import playbook

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


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the address of a webhook that takes a connection and never answers, with a time limit for a test."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(webhook, "SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/{SECRET}"


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


def ended(url: str) -> dict[str, Any]:
    """Return the result of the action that ends a run which went well."""
    action: Any = object.__new__(auth_result.ActionModule)
    action._task = types.SimpleNamespace(args={"job": "apply", "ended": True}, async_val=0, check_mode=False)
    action._templar = types.SimpleNamespace(template=lambda value: value)
    action._connection = types.SimpleNamespace(_shell=types.SimpleNamespace(tmpdir="/nonexistent"))
    result: dict[str, Any] = action.run(task_vars={"inventory_hostname": "auth1", "auth_notify_url": url})
    return result


def test_a_run_goes_on_where_nobody_answers_and_is_not_held_up(silent: str) -> None:
    begun = time.monotonic()
    result = ended(silent)
    assert time.monotonic() - begun < 5
    assert not result.get("failed")
    (said,) = result["warnings"]
    assert said.startswith("auth1: the webhook of auth_notify_url has not taken the message: ")
    assert SECRET not in json.dumps(result)


@pytest.mark.parametrize("answer", [301, 404, 500])
def test_nothing_that_ansible_shows_has_the_address_of_a_webhook_that_refuses(
    listener: Listener, tmp_path: Path, answer: int
) -> None:
    listener.answer = answer
    arguments = {"job": "apply", "ended": True, "changes": ["auth1: all is new."]}
    tasks = [
        {"allianceauth.tuning.auth_result": arguments, "register": "__auth_ended"},
        {"ansible.builtin.debug": {"msg": "the run goes on with {{ __auth_ended }}"}},
    ]
    play = {"hosts": "localhost", "gather_facts": False, "tasks": tasks}
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    (tmp_path / "variables.json").write_text(json.dumps({"auth_notify_url": listener.url}))
    words = ["-vvv", "--diff", "-i", "localhost,", "-c", "local", "-e", f"@{tmp_path}/variables.json", "play.yml"]
    done = playbook.run(tmp_path, *words, no_proxy="*", ANSIBLE_SHOW_CUSTOM_STATS="1")
    assert done.returncode == 0
    assert listener.heard
    assert f"it answers {answer}" in " ".join(done.stdout.split())
    assert "the run goes on with" in done.stdout
    assert SECRET not in done.stdout


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
