# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What no supervisord looks after is drained with the others, and never a stranger in its place."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.names import orphan_name
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import drain, proc
from ansible_collections.allianceauth.tuning.plugins.module_utils.server.supervisord import (
    Daemon,
    NotAnsweringError,
)
from ansible_collections.allianceauth.tuning.plugins.modules import supervisor_programs

from tests.unit.plugins.draining import MORE, WORKER, Orphan, Start, Wait, drained, in_the_end, program, release, soon


@pytest.fixture
def orphan(wait: Wait) -> Iterator[Orphan]:
    """Start a process that no supervisord looks after."""
    started = []

    def start(folder: Path) -> subprocess.Popen[bytes]:
        (folder / "worker.py").write_text(WORKER)
        left = subprocess.Popen([sys.executable, "worker.py", "orphan", "patient"], cwd=folder)
        started.append(left)
        wait((folder / "events").exists)
        (folder / "events").unlink()
        return left

    yield start
    for left in started:
        left.kill()
        left.wait()


def name_of(process: subprocess.Popen[bytes]) -> str:
    return orphan_name({"pid": process.pid, "start": proc.start_ticks(process.pid)})


def test_an_orphan_is_told_once_and_awaited_before_the_site_stops(running: Start, orphan: Orphan) -> None:
    found = running(program("site"))
    left = orphan(found.folder)
    name = name_of(left)
    work = drained(found, [[name], ["site:site"]])
    assert work.run(soon()) == [(name, "ORPHAN")]
    release(found)
    assert work.run(in_the_end()) == []
    assert left.wait() == 0
    assert found.lines("events") == ["told orphan", "finished orphan", "told site", "finished site"]
    assert {name, "site:site"} == set(work.stop_requests)


def test_an_orphan_is_drained_though_no_supervisord_answers(orphan: Orphan, tmp_path: Path) -> None:
    class Dead(Daemon):
        def __init__(self) -> None:
            pass

        def call(self, method: str, *arguments: Any) -> Any:
            raise NotAnsweringError(method)

    left = orphan(tmp_path)
    work = drain.Drain(Dead(), [[name_of(left)]], frozenset(), {}, lambda names: {})
    assert work.run(soon()) == [(name_of(left), "ORPHAN")]
    (tmp_path / "release").touch()
    assert work.run(in_the_end()) == []
    stop, start = {"state": "stopped", "stages": [["myauth:beat"]]}, {"state": "running", "processes": ["myauth:beat"]}
    assert [supervisor_programs.predict(Dead(), given) for given in (stop, start)] == [False, True]


def test_a_later_process_with_an_orphans_number_is_left_alone(running: Start, orphan: Orphan) -> None:
    found = running(program("site"))
    left = orphan(found.folder)
    other = f"pid:{left.pid}@1"
    work = drained(found, [[other]])
    assert work.run(soon()) == []
    drain.kill(found.daemon, other)
    assert left.poll() is None


def test_a_worker_whose_time_is_over_is_killed_though_supervisord_knows_of_a_longer_one(
    running: Start, wait: Wait
) -> None:
    found = running(program("worker", "patient", stopwaitsecs=600))
    work = drained(found, [["worker:worker"], MORE])
    assert work.run(soon()) == [("worker:worker", "STOPPING")]
    drain.kill(found.daemon, "worker:worker")
    wait(lambda: found.state("worker:worker") == "STOPPED")
    assert found.lines("events") == ["told worker"]


def test_an_orphan_whose_time_is_over_is_killed(running: Start, orphan: Orphan) -> None:
    found = running(program("site"))
    left = orphan(found.folder)
    drain.kill(found.daemon, name_of(left))
    assert left.wait() == -signal.SIGKILL


def test_an_orphan_that_ends_before_it_is_told_needs_no_word(running: Start, orphan: Orphan) -> None:
    found = running(program("site"))
    left = orphan(found.folder)

    def end(names: Sequence[str]) -> None:
        left.kill()
        left.wait()

    work = drained(found, [[name_of(left)]], before=end)
    assert work.run(in_the_end()) == []
    assert (work.stop_requests, work.changed) == ({}, False)


def test_another_process_that_gets_an_orphans_number_before_it_is_told_is_left_alone(
    running: Start, orphan: Orphan, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = running(program("site"))
    left = orphan(found.folder)

    def replace(names: Sequence[str]) -> None:
        # The kernel gives a number away again when it likes; a start of its own is what such a process has.
        monkeypatch.setattr(proc, "start_ticks", lambda pid: 1)

    work = drained(found, [[name_of(left)], MORE], before=replace)
    assert work.run(in_the_end()) == []
    assert not work.changed
    assert left.poll() is None
    assert found.lines("events") == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_orphan_that_ends_just_before_its_signal_is_no_error(
    running: Start, orphan: Orphan, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    found = running(program("site"))
    left = orphan(found.folder)
    name = name_of(left)
    left.kill()
    left.wait()
    # What the last look before the signal has seen.
    monkeypatch.setattr(drain, "_orphan_lives", lambda name: True)
    if number == signal.SIGKILL:
        drain.kill(found.daemon, name)
    else:
        work = drained(found, [[name], MORE])
        assert work.run(time.monotonic()) == [(name, "ORPHAN")]
        assert not work.changed
