# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A second gunicorn that answers while the first one restarts: real ones, with visitors who count."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import proc, sockets, standby

ROLE = Path(__file__).parents[3] / "roles/auth"

# It takes its time to load, as Django does, and says which gunicorn answers.
APPLICATION = """
import os, time
time.sleep(LOAD_SECONDS)
def application(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        time.sleep(3)
    start_response(open("status").read(), [("Content-Type", "text/plain")])
    return [str(os.getppid()).encode()]
"""

PATIENCE_SECONDS = 60
# Far more than any answer takes: whoever is sent to a gunicorn that has just begun to load waits that long.
LONG_LOAD_SECONDS = 8


@dataclass
class Visitors:
    """Some who ask without a pause; ``failed`` says what went wrong for whom."""

    port: int
    answers: dict[int, int] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    longest: dict[str, float] = field(default_factory=dict)
    going: bool = True

    def ask(self, path: str = "/") -> int:
        """Return the process of the gunicorn that answered."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        assert answer.status == 200
        return int(text)

    def visit(self, path: str) -> None:
        while self.going:
            began = time.monotonic()
            try:
                pid = self.ask(path)
                self.longest[path] = max(self.longest.get(path, 0), time.monotonic() - began)
                self.answers[pid] = self.answers.get(pid, 0) + 1
            except (OSError, http.client.HTTPException, AssertionError) as why:
                self.failed.append(f"{path}: {why!r}")
                time.sleep(0.1)


@dataclass
class Site:
    """A gunicorn as the role has it started."""

    folder: Path
    port: int
    options: list[str]
    process: subprocess.Popen[bytes] | None = None
    command: list[str] = field(default_factory=lambda: [sys.executable, f"{sys.exec_prefix}/bin/gunicorn"])

    @property
    def bind(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> int:
        self.process = subprocess.Popen(
            [
                *(*self.command, "application"),
                *("--workers=2", f"--bind={self.bind}", "--pid", f"{self.folder}/pid", *self.options),
            ],
            cwd=self.folder,
            stderr=subprocess.DEVNULL,
        )
        return self.process.pid

    def stop(self) -> None:
        assert self.process
        self.process.terminate()
        self.process.wait(PATIENCE_SECONDS)
        self.process = None

    @contextlib.contextmanager
    def visited(self, *paths: str) -> Iterator[Visitors]:
        """Have visitors as soon as the site answers, and until the end; none may have failed."""
        visitors = Visitors(self.port)
        eventually(lambda: answers(visitors))
        threads = [threading.Thread(target=visitors.visit, args=[path]) for path in paths]
        for thread in threads:
            thread.start()
        try:
            yield visitors
        finally:
            visitors.going = False
            for thread in threads:
                thread.join()


def answers(visitors: Visitors) -> bool:
    try:
        return bool(visitors.ask())
    except (OSError, http.client.HTTPException, AssertionError):
        return False


def eventually(condition: Callable[[], object]) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.fixture
def note(tmp_path: Path) -> Iterator[str]:
    path = str(tmp_path / "note")
    yield path
    standby.stop(path)


@pytest.fixture
def site(tmp_path: Path, port: int) -> Iterator[Site]:
    (tmp_path / "application.py").write_text(APPLICATION.replace("LOAD_SECONDS", "1"))
    (tmp_path / "status").write_text("200 OK")
    built = Site(tmp_path, port, ["--config", str(ROLE / "files/gunicorn.py")])
    yield built
    if built.process:
        built.stop()


def test_no_visitor_notices_a_restart(site: Site, note: str) -> None:
    (site.folder / "application.py").write_text(APPLICATION.replace("LOAD_SECONDS", str(LONG_LOAD_SECONDS)))
    first = site.start()
    with site.visited("/", "/", "/", "/", "/slow") as visitors:
        assert standby.start(first, site.bind, note, PATIENCE_SECONDS) == ""
        # All new ones go to the second gunicorn from now on.
        eventually(lambda: visitors.ask() != first)
        assert visitors.ask() != first
        site.stop()
        eventually(lambda: len(visitors.answers) == 2)
        last = site.start()
        eventually(lambda: not standby.running(note))
        assert visitors.ask() == last
    assert visitors.failed == []
    assert visitors.longest["/"] < LONG_LOAD_SECONDS - 2
    # The first, the second in its place, and the first one's successor.
    assert len(visitors.answers) == 3


def test_a_gunicorn_that_shares_nothing_is_left_alone(site: Site, note: str) -> None:
    site.options = []
    first = site.start()
    with site.visited("/") as visitors:
        said = standby.start(first, site.bind, note, PATIENCE_SECONDS)
        assert said == "the running gunicorn does not share its address"
        eventually(lambda: not standby.running(note))
    assert visitors.failed == []
    assert list(visitors.answers) == [first]


def test_a_gunicorn_that_moves_is_left_alone(site: Site, note: str) -> None:
    first = site.start()
    with site.visited("/") as visitors:
        assert standby.start(first, f"127.0.0.1:{site.port + 1}", note, PATIENCE_SECONDS) == (
            "gunicorn moves to another address"
        )
    assert list(visitors.answers) == [first]


def test_a_second_gunicorn_that_fails_gets_no_visitor(site: Site, note: str) -> None:
    first = site.start()
    with site.visited("/", "/") as visitors:
        (site.folder / "application.py").write_text("raise RuntimeError('The settings are broken.')")
        said = standby.start(first, site.bind, note, PATIENCE_SECONDS)
        assert said == "the second gunicorn did not answer: RuntimeError: The settings are broken"
        eventually(lambda: not standby.running(note))
    assert visitors.failed == []
    assert list(visitors.answers) == [first]


def test_it_serves_on_while_the_successor_does_not_work(site: Site, note: str) -> None:
    first = site.start()
    with site.visited("/", "/") as visitors:
        assert standby.start(first, site.bind, note, PATIENCE_SECONDS) == ""
        site.stop()
        application = (site.folder / "application.py").read_text()
        (site.folder / "application.py").write_text("raise RuntimeError('The settings are broken.')")
        site.start()
        assert site.process
        site.process.wait(PATIENCE_SECONDS)
        (site.folder / "application.py").write_text(application)
        last = site.start()
        eventually(lambda: not standby.running(note))
        assert visitors.ask() == last
    assert visitors.failed == []


def test_a_successor_that_comes_before_the_first_has_gone(site: Site, note: str) -> None:
    first = site.start()
    with site.visited("/", "/") as visitors:
        assert standby.start(first, site.bind, note, PATIENCE_SECONDS) == ""
        # They keep its socket open, and do not notice that it was killed.
        workers = proc.children([first])[first]
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        assert site.process
        site.process.kill()
        site.process.wait()
        last = site.start()
        eventually(lambda: [one.port for one in sockets.listeners()].count(site.port) == 3)
        time.sleep(1)
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: not standby.running(note))
        assert visitors.ask() == last
    assert visitors.failed == []


def test_it_leaves_at_once_when_told_and_the_first_goes_on(site: Site, note: str) -> None:
    first = site.start()
    with site.visited("/", "/") as visitors:
        assert standby.start(first, site.bind, note, PATIENCE_SECONDS) == ""
        assert standby.stop(note)
        assert not standby.running(note)
        assert visitors.ask() == first
    assert visitors.failed == []
    assert not standby.stop(note)


def test_a_gunicorn_of_another_venv_takes_over_from_the_second_one(site: Site, note: str) -> None:
    first = site.start()
    with site.visited("/") as visitors:
        assert standby.start(first, site.bind, note, PATIENCE_SECONDS) == ""
        site.stop()
        # The same by other names: a script elsewhere, and a shebang that pip has written anew.
        (site.folder / "gunicorn").write_text((Path(sys.exec_prefix) / "bin/gunicorn").read_text())
        names = {f"{sys.exec_prefix}/bin/{name}" for name in ("python", "python3")} - {sys.executable}
        site.command = [names.pop(), str(site.folder / "gunicorn")]
        last = site.start()
        eventually(lambda: not standby.running(note))
        assert visitors.ask() == last
    assert visitors.failed == []


def test_who_listens_on_another_address_of_the_host_is_nobodys_business(site: Site, note: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.2", site.port))
        other.listen()
        first = site.start()
        with site.visited("/"):
            assert standby.start(first, site.bind, note, PATIENCE_SECONDS) == ""


def test_the_second_gunicorn_ends_with_the_process_that_looks_after_it(site: Site, note: str) -> None:
    first = site.start()
    with site.visited("/") as visitors:
        assert standby.start(first, site.bind, note, PATIENCE_SECONDS) == ""
        keeper = standby.running(note)["pid"]
        second = proc.children([keeper])[keeper]
        assert second
        os.kill(keeper, signal.SIGKILL)
        eventually(lambda: not any(proc.start_ticks(pid) for pid in second))
        # Those that the second one was just about to answer.
        visitors.failed.clear()
        assert visitors.ask() == first
    assert visitors.failed == []


def test_a_gunicorn_does_not_start_beside_another_program_on_its_address(site: Site) -> None:
    with socket.socket() as other:
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            other.setsockopt(socket.SOL_SOCKET, option, 1)
        other.bind(("127.0.0.1", site.port))
        other.listen()
        site.start()
        assert site.process
        assert site.process.wait(PATIENCE_SECONDS) == 1
        assert [one.port for one in sockets.listeners()].count(site.port) == 1
        # Nor beside another site's gunicorn, by the same user and with the same file.
        site.process = None
    (site.folder / "another.py").write_text((site.folder / "application.py").read_text())
    first = site.start()
    with site.visited("/") as visitors:
        command = [
            *(sys.executable, f"{sys.exec_prefix}/bin/gunicorn", "another", f"--bind={site.bind}"),
            *site.options,
        ]
        said = subprocess.run(command, cwd=site.folder, stderr=subprocess.PIPE, text=True, check=False)
        assert said.returncode == 1
        assert "Connection in use" in said.stderr
    assert list(visitors.answers) == [first]


def test_what_is_no_gunicorn_is_not_copied(note: str) -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        said = standby.start(other.pid, "127.0.0.1:80", note, PATIENCE_SECONDS)
        other.kill()
    assert "does not show the command" in said
