# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real parts for the tests: supervisor's parser, a supervisord, and the role's defaults."""

from __future__ import annotations

import contextlib
import copy
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import pytest
import yaml

from tests.unit.plugins.draining import WORKER, Start, Wait, release
from tests.unit.plugins.wheels import VERSIONS, wheel

if TYPE_CHECKING:
    from ansible_collections.allianceauth.tuning.plugins.module_utils.server import supervisord as rpc

ROLE = Path(__file__).parents[3] / "roles/auth"

# supervisord looks after its children once a second; far more than any test here needs.
PATIENCE_SECONDS = 60


@pytest.fixture
def port() -> Iterator[int]:
    """Return a TCP port of 127.0.0.1 that no other test gets before the test's own program listens there."""
    with socket.socket() as held:
        # Bound until the end: with SO_REUSEADDR it keeps only those out that do not set it.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@dataclass(frozen=True)
class Parser:
    """supervisor's parser, for many included files in one child: starting that costs more than parsing."""

    main_conf: Path

    def read(self, contents: list[str]) -> list[dict[str, Any]]:
        """Return for each file its ``result`` or its ``error``, as `supervisor_parser.effective` has them."""
        # Not above: pytest may load this file before there is a link to the collection; see /conftest.py.
        from ansible_collections.allianceauth.tuning.plugins.module_utils.server import privileges, supervisor_parser

        path = str(self.main_conf.parent / "conf.d/auth.conf")
        overlays = [supervisor_parser.overlay_for(path, "", content) for content in contents]

        def work(overlay: supervisor_parser.Overlay) -> dict[str, Any]:
            return supervisor_parser._answer(lambda: supervisor_parser._realize(str(self.main_conf), overlay))

        return privileges.in_child(lambda: [work(overlay) for overlay in overlays])


@pytest.fixture(scope="session")
def parser(tmp_path_factory: pytest.TempPathFactory) -> Parser:
    # Its import takes longer than a hundred parses; children inherit it.
    import supervisor.options  # noqa: F401

    folder = tmp_path_factory.mktemp("supervisor")
    (folder / "conf.d").mkdir()
    main = folder / "supervisord.conf"
    main.write_text(f"[unix_http_server]\nfile = {folder}/s.sock\n[supervisord]\n[include]\nfiles = conf.d/*.conf\n")
    return Parser(main)


@pytest.fixture(scope="session")
def role_defaults() -> dict[str, Any]:
    """Return the role's defaults; those that are made from others are rendered."""
    values: dict[str, Any] = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
    for name, value in values.items():
        if isinstance(value, str):
            # They refer to those above them only.
            values[name] = jinja2.Template(value).render(values, inventory_hostname="auth1")
    return values


@pytest.fixture
def defaults(role_defaults: dict[str, Any]) -> dict[str, Any]:
    return copy.deepcopy(role_defaults)


@pytest.fixture(scope="session")
def stock() -> dict[str, str]:
    """Return the supervisor.conf that `allianceauth start myauth` writes, by Alliance Auth's version.

    Rendered from the template in each version's wheel, which pip fetches once.
    """
    places = {
        "project_name": "myauth",
        "project_directory": "/home/allianceserver/myauth",
        "venv_directory": "/home/allianceserver/venv/auth",
        **{name: f"/home/allianceserver/venv/auth/bin/{name}" for name in ("celery", "gunicorn", "memmon")},
    }
    found = {}
    for version in VERSIONS:
        with zipfile.ZipFile(wheel("allianceauth", version)) as archive:
            template = archive.read("allianceauth/project_template/supervisor.conf").decode()
        found[version] = jinja2.Template(template).render(places)
    return found


@dataclass
class Supervisord:
    """A running supervisord in a folder of its own."""

    folder: Path
    daemon: rpc.Daemon

    def process(self, namespec: str) -> rpc.Process:
        return next(process for process in self.daemon.processes() if process.namespec == namespec)

    def state(self, namespec: str) -> str:
        return self.process(namespec).state

    def lines(self, name: str) -> list[str]:
        """Return what the programs have written to a file of the folder."""
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []


def wait_until(holds: Callable[[], object]) -> None:
    """Return once it holds; fail if it never does."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "what was waited for did not come"
        time.sleep(0.02)


@pytest.fixture
def wait() -> Callable[[Callable[[], object]], None]:
    return wait_until


@pytest.fixture
def supervisord() -> Iterator[Callable[[str], Supervisord]]:
    """Start a supervisord with the given sections; ``{here}`` in them is its folder."""
    from ansible_collections.allianceauth.tuning.plugins.module_utils.server import supervisord as rpc

    with contextlib.ExitStack() as cleanup:

        def start(sections: str) -> Supervisord:
            # Not pytest's folder, whose path is too long for a socket (unix(7): 107 characters).
            folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="supervisord-")))
            main = folder / "supervisord.conf"
            main.write_text(
                f"[unix_http_server]\nfile = {folder}/s.sock\n"
                f"[supervisord]\nlogfile = {folder}/log\npidfile = {folder}/pid\nchildlogdir = {folder}\n"
                "[rpcinterface:supervisor]\n"
                "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n"
                f"[supervisorctl]\nserverurl = unix://{folder}/s.sock\n" + sections.replace("{here}", str(folder))
            )
            process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "supervisor.supervisord", "--nodaemon", "-c", str(main)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.STDOUT,
            )
            cleanup.callback(process.wait)
            cleanup.callback(process.terminate)
            wait_until(lambda: (folder / "s.sock").exists() or process.poll() is not None)
            assert process.poll() is None, (folder / "log").read_text()
            connection = rpc.Daemon(str(main))

            def answers() -> bool:
                # The socket has its name a moment before anybody listens on it.
                try:
                    return connection.pid() > 0
                except rpc.NotAnsweringError:
                    return False

            wait_until(answers)
            return Supervisord(folder, connection)

        yield start


@pytest.fixture
def running(supervisord: Start, wait: Wait) -> Iterator[Start]:
    """Start programs and wait until each has begun."""
    started = []

    def start(sections: str) -> Any:
        found = supervisord(sections)
        started.append(found)
        (found.folder / "worker.py").write_text(WORKER)
        names = [process.namespec for process in found.daemon.processes()]
        for name in names:
            found.daemon.call("startProcess", name, False)
        wait(lambda: len(found.lines("events")) == len(names))
        (found.folder / "events").unlink()
        return found

    yield start
    for found in started:
        release(found)
