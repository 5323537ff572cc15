# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the guard does to a real supervisord once nothing is heard of a run."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import guard_program, proc

Start = Callable[[str], Any]
Wait = Callable[[Callable[[], object]], None]

OWNER = "somebody@laptop, process 1 started at 2"
PATIENCE_SECONDS = 60

# Stands in for systemd, which a test has none of: {here} is supervisord's folder, {calls} has what was asked for.
SYSTEMCTL = """#!/bin/sh
echo "$*" >> {calls}
case $1 in
    list-units) cat {calls}.units 2>/dev/null ;;
    is-active) [ -e {here}/s.sock ] && echo active || echo inactive ;;
    start) {python} -W ignore -m supervisor.supervisord -c {here}/supervisord.conf ;;
    restart)
        {python} -W ignore -m supervisor.supervisorctl -c {here}/supervisord.conf shutdown
        while [ -e {here}/s.sock ]; do sleep 0.1; done
        {python} -W ignore -m supervisor.supervisord -c {here}/supervisord.conf ;;
esac
"""


def program(name: str, command: str = "sleep 1000", **options: object) -> str:
    given = {"command": command, "startsecs": 0, "autorestart": "true", **options}
    return "\n".join([f"[program:{name}]", *(f"{option} = {value}" for option, value in given.items()), ""])


class Cut:
    """A run that was cut off: what its guard knows, and a supervisord."""

    def __init__(self, found: Any, folder: Path) -> None:
        self.found = found
        self.folder = folder
        self.lock = folder / "lock"
        self.lock.write_text(json.dumps({"owner": OWNER, "until": time.time() + 3600}))
        self.path = folder / "guard/state.json"
        self.path.parent.mkdir()
        self.state: dict[str, Any] = {
            "lock": str(self.lock),
            "report": str(folder / "lib/myauth.guard.json"),
            "aside": str(folder / "run/myauth.guard.json"),
            "standby": str(folder / "standby"),
            "serving": "allianceauth-tuning-nobody-worker-",
            "deadline": time.monotonic(),
            "owner": OWNER,
            "renewed": 0,
            "daemon": {"pid": found.daemon.pid(), "start": proc.start_ticks(found.daemon.pid())},
            "stopped": [process.namespec for process in found.daemon.processes() if process.state == "STOPPED"],
            "ran": [process.namespec for process in found.daemon.processes() if process.pid],
            "site": [],
            "unproven": None,
            "access": {"serverurl": found.daemon.serverurl, "username": None, "password": None},
            "patience": PATIENCE_SECONDS,
        }
        self.state["first"] = dict(self.state["daemon"])

    def has_replaced(self, proven: str | None, now: str) -> Path:
        """Have a new file that has not proved itself in the place of another one, or of none."""
        path = self.folder / "myauth.conf"
        path.write_text(now)
        backup = self.folder / "myauth.conf.kept"
        if proven is not None:
            backup.write_text(proven)
            (self.path.parent / guard_program.PROVEN).write_text(proven)
        self.state["unproven"] = {"path": str(path), "backup": str(backup), "uid": 0, "gid": 0, "mode": 0o640}
        return path

    def end(self) -> int:
        """Have its time be over; return the guard's exit status."""
        self.path.write_text(json.dumps(self.state))
        return guard_program.main(str(self.path))

    def report(self) -> dict[str, Any]:
        return guard_program.load(self.state["report"])

    def said(self) -> str:
        return guard_program.sentence(self.report())

    def calls(self) -> list[str]:
        """Return what systemd was asked to do, questions left out."""
        path = self.folder / "calls"
        asked = path.read_text().splitlines() if path.exists() else []
        return [call for call in asked if call.split()[0] not in ("is-active", "list-units")]


@pytest.fixture
def cut(supervisord: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Cut]]:
    """Have a run that was cut off on a server with these programs."""
    started: list[Any] = []

    def begin(sections: str) -> Cut:
        found = supervisord(sections)
        started.append(found)
        binaries = tmp_path / "bin"
        binaries.mkdir()
        text = SYSTEMCTL.format(calls=tmp_path / "calls", here=found.folder, python=sys.executable)
        (binaries / "systemctl").write_text(text)
        (binaries / "systemctl").chmod(0o755)
        monkeypatch.setenv("PATH", f"{binaries}:{os.environ['PATH']}")
        return Cut(found, tmp_path)

    yield begin
    for found in started:
        # One that systemctl has started.
        for line in found.lines("pid"):
            if proc.start_ticks(int(line)):
                os.kill(int(line), signal.SIGTERM)


def test_what_the_run_has_stopped_runs_again_and_what_ran_is_left_alone(cut: Callable[[str], Cut]) -> None:
    run = cut(program("beat") + program("worker") + program("by_hand", autostart="false"))
    worker = run.found.process("worker:worker").pid
    run.found.daemon.call("stopProcess", "beat:beat")
    assert run.end() == 0
    assert run.found.state("beat:beat") == "RUNNING"
    assert run.found.process("worker:worker").pid == worker
    assert run.found.state("by_hand:by_hand") == "STOPPED"
    assert run.calls() == []
    assert run.said() == (
        "The guard of a run of somebody@laptop that was cut off at 1970-01-01 00:00:00 UTC had to act: "
        "beat:beat was started."
    )
    assert not run.path.parent.exists()
    assert set(json.loads(run.lock.read_text())) == {"released"}
    assert Path(run.state["report"]).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("works", [True, False])
def test_the_webhook_of_the_run_is_told_and_may_fail(cut: Callable[[str], Cut], works: bool) -> None:
    run = cut(program("worker"))
    config, code = (run.path.parent / name for name in guard_program.WEBHOOK)
    config.write_text(json.dumps({"said": str(run.folder / "told")}))
    text = "import json, sys\nopen(json.load(open(sys.argv[1]))['said'], 'w').write(sys.stdin.read())\n"
    code.write_text(text if works else "raise SystemExit(1)")
    assert run.end() == 0
    assert not works or (run.folder / "told").read_text() == run.said()
    assert set(json.loads(run.lock.read_text())) == {"released"}


@pytest.mark.parametrize("full", [("report",), ("report", "aside")])
def test_a_disk_that_is_full_keeps_the_report_from_nobody(
    cut: Callable[[str], Cut], monkeypatch: pytest.MonkeyPatch, full: tuple[str, ...]
) -> None:
    run = cut(program("worker"))
    config, code = (run.path.parent / name for name in guard_program.WEBHOOK)
    config.write_text("{}")
    code.write_text(f"import sys\nopen({str(run.folder / 'told')!r}, 'w').write(sys.stdin.read())\n")
    write = guard_program.write

    def fill(target: str, *rest: Any) -> None:
        if target in [run.state[name] for name in full]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(target, *rest)

    monkeypatch.setattr(guard_program, "write", fill)
    assert run.end() == 0
    said = guard_program.sentence(guard_program.load(run.state["aside"]))
    assert said.endswith("had to act: all ran.") == ("aside" not in full)
    assert (run.folder / "told").read_text().endswith("had to act: all ran.")
    assert set(json.loads(run.lock.read_text())) == {"released"}


def test_workers_that_took_tasks_meanwhile_are_told_to_finish(cut: Callable[[str], Cut]) -> None:
    run = cut(program("worker"))
    (run.folder / "calls.units").write_text(
        "allianceauth-tuning-nobody-worker-worker_00-1.service loaded active running x"
    )
    assert run.end() == 0
    assert run.calls() == ["stop --no-block allianceauth-tuning-nobody-worker-worker_00-1.service"]
    assert "the workers that took tasks meanwhile were told to finish" in run.said()


def test_a_worker_stays_that_takes_the_tasks_of_one_that_finishes(cut: Callable[[str], Cut]) -> None:
    run = cut(program("worker"))
    kept, ended = (f"allianceauth-tuning-nobody-worker-{name}-1.service" for name in ("worker_00", "slow_00"))
    (run.folder / "calls.units").write_text("".join(f"{unit} loaded active running x\n" for unit in (kept, ended)))
    alive = {"pid": os.getpid(), "start": guard_program.start_ticks(os.getpid())}
    # The one of this pool has ended since.
    run.state["finishing"] = {"worker:slow_00": {**alive, "start": 1}}
    run.state["consumers"] = {"worker:worker_01": alive}
    told = {"said": ["worker:worker_01 was told to finish"], "finishing": ["worker:worker_01"]}
    (run.path.parent / guard_program.CONSUMERS).write_text(f"print({json.dumps(told)!r})")
    assert run.end() == 0
    assert run.calls() == [f"stop --no-block {ended}"]
    assert f"{kept} was left to take tasks meanwhile, and ends by itself" in run.said()


def test_a_worker_that_has_no_queues_yet_is_not_said_to_take_tasks(cut: Callable[[str], Cut]) -> None:
    run = cut(program("worker"))
    unit = "allianceauth-tuning-nobody-worker-worker_00-1.service"
    (run.folder / "calls.units").write_text(f"{unit} loaded active running x\n")
    run.state["finishing"] = {"worker:worker_01": {"pid": os.getpid(), "start": guard_program.start_ticks(os.getpid())}}
    run.state["private"] = True
    assert run.end() == 0
    assert run.calls() == [f"stop --no-block {unit}"]
    assert "the workers that had no queues to take tasks from yet were told to finish" in run.said()
    assert "nobody takes tasks of worker until its workers have finished and run again" in run.said()
    assert "left to take tasks" not in run.said()


def test_workers_that_take_no_more_tasks_are_given_their_queues_back(cut: Callable[[str], Cut]) -> None:
    run = cut(program("worker"))
    run.state["consumers"] = {"worker:worker": {"queues": ["celery"]}}
    (run.path.parent / guard_program.CONSUMERS).write_text(
        "import json, sys\nsaid = [f'{name} takes tasks again' for name in json.load(sys.stdin)['consumers']]\n"
        "json.dump({'said': said, 'finishing': []}, sys.stdout)\n"
    )
    assert run.end() == 0
    assert "had to act: worker:worker takes tasks again." in run.said()


def test_a_program_that_is_still_stopping_is_awaited(cut: Callable[[str], Cut], wait: Wait) -> None:
    work = "sh -c 'trap \"sleep 2; exit\" TERM; touch {here}/ready; while :; do sleep 0.1; done'"
    run = cut(program("worker", work, stopwaitsecs=30))
    wait((run.found.folder / "ready").exists)
    run.found.daemon.stop("worker:worker")
    assert run.found.state("worker:worker") == "STOPPING"
    assert run.end() == 0
    assert run.found.state("worker:worker") == "RUNNING"


def test_the_new_file_that_has_not_proved_itself_goes_and_a_daemon_that_has_not_loaded_it_stays(
    cut: Callable[[str], Cut],
) -> None:
    run = cut(program("worker"))
    worker = run.found.process("worker:worker").pid
    path = run.has_replaced("the proven one\n", "the new one\n")
    assert run.end() == 0
    assert path.read_text() == "the proven one\n"
    assert path.stat().st_mode & 0o777 == 0o640
    assert run.found.process("worker:worker").pid == worker
    assert run.calls() == []
    assert f"had to act: {path} is as it was before that run, because the new one had not proved itself." in run.said()


def test_a_file_that_was_not_there_before_goes(cut: Callable[[str], Cut]) -> None:
    run = cut(program("worker"))
    path = run.has_replaced(None, "the new one\n")
    assert run.end() == 0
    assert not path.exists()


def test_a_disk_that_is_full_has_room_for_the_kept_file(
    cut: Callable[[str], Cut], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = cut(program("worker"))
    path = run.has_replaced("the proven one\n", "the new one\n")
    write = guard_program.write

    def full(target: str, *rest: Any) -> None:
        if target == str(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(target, *rest)

    monkeypatch.setattr(guard_program, "write", full)
    assert run.end() == 0
    assert path.read_text() == "the proven one\n"


def test_what_the_daemon_knows_is_started_if_the_file_cannot_be_put_back(cut: Callable[[str], Cut]) -> None:
    run = cut(program("worker"))
    run.has_replaced("the proven one\n", "the new one\n")
    run.state["unproven"].update(path=str(run.folder / "gone/myauth.conf"), backup="")
    run.found.daemon.call("stopProcess", "worker:worker")
    assert run.end() == 1
    assert run.found.state("worker:worker") == "RUNNING"
    assert "could not be put back as it was before that run: No such file or directory." in run.said()


def loaded_anew(run: Cut) -> Path:
    """Have a supervisord that has loaded a new file which has not proved itself."""
    main: Path = run.found.folder / "supervisord.conf"
    proven = main.read_text()
    new = proven.replace("sleep 1000", "sleep 2000")
    run.has_replaced(proven, new)
    main.write_text(new)
    run.state["unproven"]["path"] = str(main)
    run.state["daemon"]["start"] = 1
    run.found.daemon.call("restart")
    return main


def command_line(run: Cut, namespec: str) -> list[str]:
    """Return what a process runs; between fork and exec it is not its program's yet."""
    return proc.command_line(run.found.process(namespec).pid)


def answers(run: Cut) -> bool:
    try:
        return [process.state for process in run.found.daemon.processes()] == ["RUNNING"] * len(run.state["ran"])
    except Exception:  # noqa: BLE001 - it is just being restarted
        return False


def test_a_daemon_that_has_loaded_what_did_not_prove_itself_restarts_once_its_programs_have_finished(
    cut: Callable[[str], Cut], wait: Wait
) -> None:
    finish = 'trap "sleep 2; echo finished >> {here}/events; exit" TERM; touch {here}/ready-$$; sleep 1000 & wait; wait'
    work = f"sh -c '{finish}'"
    run = cut(program("worker", work, stopwaitsecs=30) + program("site"))
    run.state["site"] = ["site:site"]
    main = loaded_anew(run)
    wait(lambda: answers(run))
    # It may have been restarted before it could say that it finishes.
    (run.found.folder / "events").unlink(missing_ok=True)
    wait((run.found.folder / f"ready-{run.found.process('worker:worker').pid}").exists)
    assert run.end() == 0
    assert "sleep 1000" in main.read_text()
    assert run.found.lines("events") == ["finished"]
    assert run.calls() == ["restart supervisor"]
    assert {process.state for process in run.found.daemon.processes()} == {"RUNNING"}
    wait(lambda: command_line(run, "site:site") == ["sleep", "1000"])
    assert "supervisord was restarted with it" in run.said()


def test_what_somebody_had_stopped_or_started_is_so_again_in_a_supervisord_that_was_started_since(
    cut: Callable[[str], Cut], wait: Wait
) -> None:
    run = cut(program("worker") + program("idle") + program("by_hand", autostart="false"))
    run.found.daemon.call("stopProcess", "idle:idle")
    run.found.daemon.call("startProcess", "by_hand:by_hand")
    run.state["ran"], run.state["stopped"] = ["by_hand:by_hand", "worker:worker"], ["idle:idle"]
    old = run.found.daemon.pid()
    run.found.daemon.call("shutdown")
    wait(lambda: not (run.found.folder / "s.sock").exists() and proc.start_ticks(old) is None)
    assert run.end() == 0
    assert run.calls() == ["start supervisor"]
    wait(lambda: run.found.state("idle:idle") == "STOPPED")
    assert (run.found.state("worker:worker"), run.found.state("by_hand:by_hand")) == ("RUNNING", "RUNNING")
    assert "idle:idle was stopped, as before that run" in run.said()


def test_a_revert_that_was_cut_off_before_its_restart_gets_it(cut: Callable[[str], Cut], wait: Wait) -> None:
    run = cut(program("worker"))
    main = loaded_anew(run)
    wait(lambda: answers(run))
    main.write_text((run.path.parent / guard_program.PROVEN).read_text())
    assert run.end() == 0
    assert run.calls() == ["restart supervisor"]
    wait(lambda: command_line(run, "worker:worker") == ["sleep", "1000"])


def test_a_daemon_that_could_not_start_again_is_not_restarted(cut: Callable[[str], Cut], wait: Wait) -> None:
    run = cut(program("worker"))
    main = loaded_anew(run)
    wait(lambda: answers(run))
    (run.path.parent / guard_program.PROVEN).write_text(main.read_text() + "[program:broken]\n")
    assert run.end() == 1
    assert run.calls() == []
    assert run.found.state("worker:worker") == "RUNNING"
    assert "supervisord was not restarted, for it refuses what is on disk" in run.said()


def test_a_daemon_that_does_not_run_is_started(cut: Callable[[str], Cut], wait: Wait) -> None:
    run = cut(program("worker"))
    run.found.daemon.call("shutdown")
    wait(lambda: not (run.found.folder / "s.sock").exists())
    assert run.end() == 0
    assert run.calls() == ["start supervisor"]
    assert run.found.state("worker:worker") == "RUNNING"
    assert "had to act: supervisord was started." in run.said()


def test_a_program_that_does_not_start_any_more_is_named_and_keeps_no_other_down(cut: Callable[[str], Cut]) -> None:
    run = cut(
        program("worker") + program("bot", "sh -c '[ ! -e {here}/broken ] && sleep 1000'", startretries=0, startsecs=1)
    )
    (run.found.folder / "broken").touch()
    for name in ("worker:worker", "bot:bot"):
        run.found.daemon.stop(name)
    assert run.end() == 1
    assert run.found.state("worker:worker") == "RUNNING"
    assert "These do not run: bot:bot (FATAL); see supervisorctl status" in run.said()


def test_a_program_that_supervisord_does_not_know_any_more_is_none(cut: Callable[[str], Cut]) -> None:
    run = cut(program("worker"))
    run.state["ran"].append("myauth:worker_07")
    assert run.end() == 0


def test_a_second_gunicorn_whose_first_was_not_stopped_yet_ends(cut: Callable[[str], Cut]) -> None:
    run = cut(program("site"))
    run.state["site"] = ["site:site"]
    with subprocess.Popen(["sleep", "1000"]) as second:
        start, original = proc.start_ticks(second.pid), run.found.process("site:site").pid
        note = {"pid": second.pid, "start": start, "bind": "", "original": original}
        Path(run.state["standby"]).write_text(json.dumps(note))
        assert run.end() == 0
        assert second.wait(PATIENCE_SECONDS) == -signal.SIGTERM
    assert "the second gunicorn was ended" in run.said()


def test_it_works_by_itself_without_the_collection(cut: Callable[[str], Cut], tmp_path: Path) -> None:
    run = cut(program("worker"))
    run.found.daemon.call("stopProcess", "worker:worker")
    alone = tmp_path / "guard/guard.py"
    alone.write_text(Path(guard_program.__file__).read_text())
    run.path.write_text(json.dumps(run.state))
    done = subprocess.run(
        ["/usr/bin/python3", "-I", str(alone), str(run.path)], stdout=subprocess.PIPE, text=True, check=True
    )
    assert "worker:worker was started" in done.stdout
    assert run.found.state("worker:worker") == "RUNNING"


def test_it_waits_as_long_as_it_is_renewed_and_ends_with_the_run(cut: Callable[[str], Cut], wait: Wait) -> None:
    run = cut(program("worker"))
    run.found.daemon.call("stopProcess", "worker:worker")
    # The timer went off in the moment of a renewal.
    run.state["deadline"] = time.monotonic() + 1
    statuses: list[int] = []
    thread = threading.Thread(target=lambda: statuses.append(run.end()))
    thread.start()
    wait(run.path.exists)
    run.path.unlink()
    thread.join(PATIENCE_SECONDS)
    assert statuses == [0]
    assert run.found.state("worker:worker") == "STOPPED"
    assert json.loads(run.lock.read_text())["owner"] == OWNER


def test_while_it_acts_the_lock_is_its_own(cut: Callable[[str], Cut], monkeypatch: pytest.MonkeyPatch) -> None:
    run = cut(program("worker"))
    seen: list[dict[str, Any]] = []
    monkeypatch.setattr(guard_program.Guard, "act", lambda _self: seen.append(json.loads(run.lock.read_text())))
    run.end()
    owner = "the guard of a run of somebody@laptop that was cut off at 1970-01-01 00:00:00 UTC"
    assert [held["owner"] for held in seen] == [owner]
    assert seen[0]["until"] > time.time() + 2 * PATIENCE_SECONDS


def test_whatever_happens_to_it_the_lock_is_given_back_and_the_next_run_is_told(
    cut: Callable[[str], Cut], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = cut(program("worker"))

    def fail(_guard: guard_program.Guard) -> None:
        raise ValueError("a surprise")

    monkeypatch.setattr(guard_program.Guard, "act", fail)
    assert run.end() == 1
    assert "It went no further: ValueError: a surprise." in run.said()
    assert set(json.loads(run.lock.read_text())) == {"released"}
