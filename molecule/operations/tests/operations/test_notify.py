# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A webhook on the lab's own machine hears how runs end, from the controller and from the server's guard."""

from __future__ import annotations

import http.server
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from shared import play, playbook, server
from shared.audits import audit

SECRET = "s3cret-t0ken"
STATE = "/run/allianceauth.tuning.myauth.guard"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        heard = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.heard.append({**heard, "path": self.path})  # type: ignore[attr-defined]
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *words: Any) -> None:  # noqa: A002 - as the base class has it
        """Say nothing."""


@pytest.fixture
def webhook(host: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Return the address of a webhook that server and controller reach, and what it has heard."""
    monkeypatch.setenv("no_proxy", "*")
    found = re.search(r"default via (\S+)", server.run(host, "ip route"))
    assert found
    listener = http.server.ThreadingHTTPServer(("0.0.0.0", 0), Handler)
    listener.heard = []  # type: ignore[attr-defined]
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    yield f"http://{found[1]}:{listener.server_address[1]}/{SECRET}", listener.heard  # type: ignore[attr-defined]
    listener.shutdown()
    listener.server_close()


def test_the_end_of_a_run_is_told(host: Any, webhook: tuple[str, list[dict[str, Any]]]) -> None:
    url, heard = webhook
    name = server.name(host)
    run = play.run("apply", "-vvv", auth_notify_url=url)
    assert run.status == 0
    failed = play.run("apply", "-vvv", auth_notify_url=url, auth_worker_numprocs=0)
    assert failed.status != 0
    checked = play.run("apply", "--check", auth_notify_url=url)
    assert checked.status == 0
    assert [(said["host"], said["job"], said["result"], said["path"]) for said in heard] == [
        (name, "apply", "ok", f"/{SECRET}"),
        (name, "apply", "failed", f"/{SECRET}"),
    ]
    assert heard[1]["text"].startswith(f"{name}: auth_worker_numprocs is 0: ")
    assert SECRET not in run.output + failed.output


def test_one_that_is_not_there_fails_no_run(host: Any) -> None:
    run = play.run("apply", auth_notify_url=f"http://127.0.0.1:1/{SECRET}")
    assert run.status == 0
    assert "the webhook of auth_notify_url has not taken the message" in " ".join(run.output.split())
    assert SECRET not in run.output


@pytest.mark.thorough
def test_the_guard_tells_it_too(host: Any, webhook: tuple[str, list[dict[str, Any]]], tmp_path: Path) -> None:
    url, heard = webhook
    server.keep_busy(host, "notified")
    # As short as a busy machine allows.
    running = play.start("apply", auth_worker_concurrency=3, auth_notify_url=url, __auth_guard_seconds=45)
    assert server.wait(lambda: host.run(f"stat -c '%U %a' {STATE}/webhook.json").stdout, bool) == "root 600\n"
    # In mid-drain: the worker takes no more tasks, and has one.
    server.await_pause(host)
    assert host.run(f"ps -eo args | grep '{SECRET}' | grep -v grep").stdout == ""
    playbook.kill(running)
    said, _none = running.communicate()
    assert SECRET not in said
    server.release(host, "notified-0")
    assert server.wait(lambda: [said for said in heard if said["result"] == "guard"], bool)
    assert "had to act" in heard[-1]["text"]
    assert server.wait(lambda: host.run(f"test -e {STATE}").rc, bool) == 1
    # So does an audit, which writes nothing, and the next run, which puts right what is left.
    assert "had to act" in audit(host, tmp_path).finding("run-cut-off")["evidence"]
    run = play.run("apply")
    assert run.status == 0
    assert "had to act" in run.output
