# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a second gunicorn is started beside the supervised one, and why not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import (
    proc,
    sockets,
    standby,
    supervisor_parser,
)
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import (
    supervisord as rpc,
)
from ansible_collections.allianceauth.tuning.plugins.modules import gunicorn_standby

BIND = "127.0.0.1:8000"
CONFIG = "/etc/supervisor/a folder/myauth.gunicorn.py"
# What ignores its arguments stands in for gunicorn where none is started or asked.
GUNICORN = f"[program:gunicorn]\ncommand = /bin/sh -c 'sleep 1000' --bind {BIND} --config '{CONFIG}'\nstartsecs = 0\n"
GROUP = "[group:myauth]\nprograms = gunicorn\n"
NAMES = ["myauth:gunicorn"]
PATIENCE_SECONDS = 60
GIVEN: dict[str, Any] = {"name": "myauth", "processes": NAMES, "reserve": 0, "timeout": PATIENCE_SECONDS}

OnDisk = Callable[[str], Path]
Supervised = Callable[[str], Any]
Second = Callable[[int], subprocess.Popen[bytes]]
Wait = Callable[[Callable[[], object]], None]


@pytest.fixture
def on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OnDisk:
    """Have these sections on disk, with no supervisord that has read them."""
    # As the module does first of all; what the parser says in its child has to be read all the same.
    import supervisor.options  # noqa: F401

    connect = rpc.Daemon

    def write(sections: str) -> Path:
        main = tmp_path / "supervisord.conf"
        main.write_text(f"[supervisord]\n[supervisorctl]\nserverurl = unix://{tmp_path}/s.sock\n{sections}")
        monkeypatch.setattr(rpc, "MAIN_CONF", str(main))
        monkeypatch.setattr(rpc, "Daemon", lambda: connect(f"{tmp_path}/nowhere.conf"))
        return main

    return write


@pytest.fixture
def supervised(supervisord: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> Supervised:
    """Start a supervisord with these sections, which the module asks."""

    def start(sections: str) -> Any:
        found = supervisord(sections)
        monkeypatch.setattr(rpc, "MAIN_CONF", str(found.folder / "supervisord.conf"))
        monkeypatch.setattr(rpc, "Daemon", lambda: found.daemon)
        return found

    return start


@pytest.fixture(autouse=True)
def note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    path = str(tmp_path / "note")
    monkeypatch.setattr(standby, "note", lambda _name: path)
    yield path
    standby.stop(path)


def work(state: str = "present", **more: Any) -> dict[str, Any]:
    return gunicorn_standby.work({"name": "myauth", "state": state, "config": CONFIG, **GIVEN, **more})


def refused(problem: str, changed: bool = False) -> dict[str, Any]:
    return {"changed": changed, "running": False, "problem": problem}


@pytest.fixture
def second(note: str) -> Iterator[Second]:
    """Have a process that looks after a second gunicorn beside the one of that number."""
    with subprocess.Popen(["sleep", "1000"]) as process:

        def remember(original: int) -> subprocess.Popen[bytes]:
            known = {"pid": process.pid, "start": proc.start_ticks(process.pid), "bind": BIND, "original": original}
            Path(note).write_text(json.dumps(known))
            return process

        yield remember
        process.kill()


def test_the_next_address_is_what_is_on_disk(on_disk: OnDisk) -> None:
    main = on_disk(GUNICORN + GROUP)
    assert gunicorn_standby.next_bind(NAMES, CONFIG) == BIND
    main.write_text(main.read_text().replace(BIND, "[::1]:80"))
    assert gunicorn_standby.next_bind(NAMES, CONFIG) == "[::1]:80"


@pytest.mark.parametrize(
    "sections",
    [
        GUNICORN.replace("--config", "-c") + GROUP,
        GUNICORN.replace(CONFIG, "/home/allianceserver/myauth/gunicorn.conf.py") + GROUP,
        GUNICORN.replace("--bind", "-b") + GROUP,
        # Another group's gunicorn of the same name.
        GUNICORN + GROUP.replace("myauth", "other"),
        "",
    ],
)
def test_a_gunicorn_without_our_file_and_address_will_not_share(on_disk: OnDisk, sections: str) -> None:
    on_disk(sections)
    assert gunicorn_standby.next_bind(NAMES, CONFIG) == ""


def test_a_program_that_nobody_can_start_does_not_matter(on_disk: OnDisk) -> None:
    on_disk("[program:bot]\ncommand = echo 'unmatched\n" + GUNICORN + GROUP)
    assert gunicorn_standby.next_bind(NAMES, CONFIG) == BIND


def test_an_invalid_configuration_is_no_address(on_disk: OnDisk) -> None:
    on_disk("[program:gunicorn]\n")
    with pytest.raises(supervisor_parser.InvalidError, match="program:gunicorn"):
        gunicorn_standby.next_bind(NAMES, CONFIG)


@pytest.mark.parametrize(("processes", "pids"), [([], []), (NAMES, []), (NAMES, [1, 2]), ([*NAMES, "pid:5@77"], [1])])
def test_nothing_but_exactly_one_gunicorn_gets_a_second(note: str, processes: list[str], pids: list[int]) -> None:
    with pytest.raises(standby.ImpossibleError, match="not exactly one gunicorn runs"):
        gunicorn_standby.begin(pids, BIND, note, {**GIVEN, "processes": processes})


def test_a_gunicorn_needs_its_own_memory_and_its_childrens_again(note: str, wait: Wait) -> None:
    with subprocess.Popen(["/bin/sh", "-c", f"{sys.executable} -c 'import time; time.sleep(1000)'; :"]) as shell:
        # Python takes more than a shell does.
        wait(lambda: any(proc.rss(pid) >= 2 * 1024**2 for pid in proc.children([shell.pid])[shell.pid]))
        with pytest.raises(standby.ImpossibleError, match=r"there is no memory for ([2-9]|\d\d+) MB more"):
            gunicorn_standby.begin([shell.pid], BIND, note, {**GIVEN, "reserve": proc.memory_total()})
        for pid in [*proc.children([shell.pid])[shell.pid], shell.pid]:
            os.kill(pid, signal.SIGKILL)
    assert not os.path.exists(note)


def test_why_the_second_cannot_take_over_is_passed_on(note: str) -> None:
    with subprocess.Popen(["sleep", "1000"]) as other:
        with pytest.raises(standby.ImpossibleError, match=f"the process {other.pid} does not show the command"):
            gunicorn_standby.begin([other.pid], BIND, note, GIVEN)
        other.kill()


def test_what_the_second_said_last_is_told_without_its_secrets(
    on_disk: OnDisk, note: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_disk('[program:bot]\ncommand = /bin/cat\nenvironment = DB = "mysql://me:dunlin-77@db/x"\n')
    said = f"{standby.SILENT}: cannot connect to mysql://me:dunlin-77@db/x"
    monkeypatch.setattr(standby, "start", lambda *_: said)
    with pytest.raises(standby.ImpossibleError) as refused_by:
        gunicorn_standby.begin([os.getpid()], BIND, note, GIVEN)
    assert str(refused_by.value) == f"{standby.SILENT}: cannot connect to (not shown)"


def test_a_next_gunicorn_that_will_not_share_is_said(on_disk: OnDisk) -> None:
    on_disk(GUNICORN.replace("--config", "-c") + GROUP)
    assert work() == refused("the next gunicorn will not share its address")


def test_what_is_wrong_with_the_configuration_is_said(on_disk: OnDisk) -> None:
    on_disk("[program:gunicorn]\n")
    assert "program:gunicorn" in work()["problem"]


def test_a_daemon_that_does_not_answer_is_said(on_disk: OnDisk) -> None:
    on_disk(GUNICORN + GROUP)
    assert "does not say how to reach supervisord" in work()["problem"]


def test_a_gunicorn_that_does_not_run_is_said(supervised: Supervised) -> None:
    supervised(GUNICORN + "autostart = false\n" + GROUP)
    assert work() == refused("not exactly one gunicorn runs")


def test_a_second_gunicorn_that_is_in_place_stays(supervised: Supervised, second: Second) -> None:
    process = second(supervised(GUNICORN + GROUP).process("myauth:gunicorn").pid)
    assert work() == {"changed": False, "running": True, "problem": ""}
    assert process.poll() is None


def test_a_second_gunicorn_of_an_earlier_one_ends_first(supervised: Supervised, second: Second) -> None:
    process = second(os.getpid())
    supervised(GUNICORN + GROUP)
    # The next one is not started, for the one that runs is none in truth.
    assert "does not show the command" in work()["problem"]
    assert process.wait(PATIENCE_SECONDS) == -signal.SIGTERM


def test_a_second_gunicorn_ends_if_the_next_one_could_not_start_beside_it(on_disk: OnDisk, second: Second) -> None:
    process = second(os.getpid())
    on_disk(GUNICORN.replace(CONFIG, "another.py") + GROUP)
    assert work() == refused("the next gunicorn will not share its address", changed=True)
    assert process.wait(PATIENCE_SECONDS) == -signal.SIGTERM


def test_absent_ends_it_without_asking_anybody(on_disk: OnDisk, second: Second) -> None:
    process = second(os.getpid())
    on_disk("[program:invalid]\n")
    assert work("absent") == refused("", changed=True)
    assert process.wait(PATIENCE_SECONDS) == -signal.SIGTERM
    assert work("absent") == refused("")


def test_a_real_gunicorn_gets_a_second_and_loses_it(supervised: Supervised, wait: Wait, port: int) -> None:
    config = str(Path(__file__).parents[3] / "roles/auth/files/gunicorn.py")
    # Any application does, and Python has this one.
    command = f"{sys.executable} {sys.exec_prefix}/bin/gunicorn wsgiref.simple_server:demo_app"
    command += f" --bind 127.0.0.1:{port} --config '{config}'"
    supervised(f"[program:gunicorn]\ndirectory = {{here}}\ncommand = {command}\n{GROUP}")
    wait(lambda: port in [listener.port for listener in sockets.listeners()])
    assert work(config=config) == {"changed": True, "running": True, "problem": ""}
    assert work(config=config) == {"changed": False, "running": True, "problem": ""}
    assert work("absent") == refused("", changed=True)


def test_one_that_is_tried_is_gone_once_it_answers_and_what_does_not_load_is_said(
    supervised: Supervised, wait: Wait, tmp_path: Path, note: str, port: int
) -> None:
    config = str(Path(__file__).parents[3] / "roles/auth/files/gunicorn.py")
    application = tmp_path / "app.py"
    application.write_text("from wsgiref.simple_server import demo_app as application\n")
    command = f"{sys.executable} {sys.exec_prefix}/bin/gunicorn app:application --chdir {tmp_path}"
    command += f" --bind 127.0.0.1:{port} --config '{config}'"
    found = supervised(f"[program:gunicorn]\ncommand = {command}\n{GROUP}")
    wait(lambda: port in [listener.port for listener in sockets.listeners()])
    wait(lambda: proc.has_children(found.process("myauth:gunicorn").pid))
    first = found.process("myauth:gunicorn").pid
    assert work("tried", config=config) == refused("", changed=True)
    assert standby.running(note) == {}
    application.write_text("import no_such_module\n")
    said = work("tried", config=config)
    assert said["problem"].startswith(standby.SILENT)
    assert "No module named 'no_such_module'" in said["problem"]
    # The first one answers as before.
    assert found.process("myauth:gunicorn").pid == first
    assert [listener.port for listener in sockets.listeners()].count(port) == 1


def test_the_gunicorn_of_another_project_is_not_ours() -> None:
    given = {"name": "myauth", "processes": ["other:gunicorn", "myauth:gunicorn", "pid:5@77"]}
    assert gunicorn_standby.own(given) == ["myauth:gunicorn", "pid:5@77"]
