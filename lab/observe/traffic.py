"""Traffic on a host while something happens to it: a visitor, a load of tasks, the ledger."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from lab.errors import LabError
from lab.podman import engine
from lab.podman.hosts import Host

from .counts import TaskCounts, count_tasks, failed

SCRIPTS = Path(__file__).resolve().parent.parent / "on_host"
ON_HOST = "/opt/lab"
LEDGER = "/var/lib/lab/ledger.jsonl"
ACCESS_LOG = "/var/log/nginx/access.log"
PROJECT_DIR = "/home/allianceserver/myauth"
VENV_PYTHON = "/home/allianceserver/venv/auth/bin/python"
# The visitor waits at most 65 s for the answers that are still to come.
STOP_SECONDS = 90
ANSWER_SECONDS = 300


@dataclass
class Traffic:
    """What went to a host, complete once the traffic has ended.

    `requests` are the visitor's, `sent` are the tasks, `answered` are the statuses in nginx's own log, and `held` is
    what the auth user's processes held, as `memory.py` says it.
    """

    host: Host
    prefix: str
    requests: list[dict[str, Any]] = field(default_factory=list)
    sent: list[dict[str, Any]] = field(default_factory=list)
    answered: list[int] = field(default_factory=list)
    held: list[dict[str, Any]] = field(default_factory=list)

    def ledger(self) -> list[dict[str, Any]]:
        """Return the ledger's lines on this traffic's tasks."""
        shown = engine.attempt("exec", self.host.container, "cat", LEDGER).stdout
        return [line for line in _lines(shown) if line["key"].startswith(f"{self.prefix}-")]

    def settle(self, seconds: float) -> TaskCounts:
        """Wait until every task has ended, at most so many seconds, and count."""
        until = time.monotonic() + seconds
        while True:
            counted = count_tasks(self.sent, self.ledger())
            if not counted.lost or time.monotonic() >= until:
                return counted
            time.sleep(1)


@contextmanager
def traffic(
    host: Host,
    prefix: str,
    tasks: Sequence[str] = (),
    once: Sequence[float] = (),
    seconds: int = 900,
    every: float = 0.1,
    weigh: bool = False,
) -> Iterator[Traffic]:
    """Have a visitor and a sender at work, at most for so many seconds; `tasks` and `once` are those of `load.py`.

    The visitor asks once in `every` seconds. With `weigh` it is seen what the auth user's processes hold.
    """
    for script in ("visitor.py", "load.py", "memory.py"):
        engine.podman("cp", str(SCRIPTS / script), f"{host.container}:{ON_HOST}/{script}")
    # The ledger keeps what earlier traffic of the same prefix has left.
    unique = f"{prefix}-{time.time_ns()}"
    load = [VENV_PYTHON, f"{ON_HOST}/load.py", unique, f"--seconds={seconds}"]
    load += [f"--task={text}" for text in tasks] + [f"--once={seconds}" for seconds in once]
    as_auth = ["--user", "allianceserver", "--workdir", PROJECT_DIR]
    going = Traffic(host, unique)
    with (
        tempfile.TemporaryFile("w+") as asked,
        tempfile.TemporaryFile("w+") as queued,
        tempfile.TemporaryFile("w+") as weighed,
    ):
        processes = [
            _start(host, [], ["python3", f"{ON_HOST}/visitor.py", f"--seconds={seconds}", f"--every={every}"], asked)
        ]
        try:
            _await_answer(asked)
            # In this order: what is asked in between counts as answered, and not the other way round.
            answers, began = len(_answers(host)), time.time()
            processes.append(_start(host, as_auth, load, queued))
            _await_first(queued, processes[-1])
            if weigh:
                processes.append(_start(host, [], ["python3", f"{ON_HOST}/memory.py", "allianceserver"], weighed))
            yield going
        finally:
            for process in processes:
                _stop(process)
        # What was asked before is no consequence of what happened to the host since.
        going.requests = [request for request in _read(asked) if request["time"] >= began]
        going.answered = _answers(host)[answers:]
        going.sent = _read(queued)
        going.held = _read(weighed)


def _start(host: Host, options: list[str], words: list[str], output: IO[str]) -> subprocess.Popen[bytes]:
    """Start a script on the host that ends when we close its standard input, or die."""
    line = engine.command("exec", "--interactive", *options, host.container, *words)
    return subprocess.Popen(line, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.DEVNULL)


def _answers(host: Host) -> list[int]:
    """Return the statuses in nginx's log. Each line is `ADDRESS - USER [TIME] "REQUEST" STATUS ...`."""
    shown = engine.podman("exec", host.container, "cat", ACCESS_LOG)
    return [int(line.split('"')[2].split()[0]) for line in shown.splitlines()]


def _await_first(output: IO[str], sender: subprocess.Popen[bytes]) -> None:
    """Return once the broker has the first task: the sender loads Django before."""
    while not _read(output):
        if sender.poll() is not None:
            raise LabError(f"The sender of tasks ended with status {sender.returncode} before it sent one.")
        time.sleep(0.1)


def _await_answer(output: IO[str]) -> None:
    """Return once the site has answered the visitor: its first pages take long on a busy machine."""
    until = time.monotonic() + ANSWER_SECONDS
    while all(failed([request]) for request in _read(output)):
        if time.monotonic() > until:
            raise LabError(f"The site has not answered a visitor for {ANSWER_SECONDS} s.")
        time.sleep(0.1)


def _stop(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin
    process.stdin.close()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _read(output: IO[str]) -> list[dict[str, Any]]:
    """Return what the file holds so far, without moving the offset at which its writer writes."""
    descriptor = output.fileno()
    return _lines(os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode())


def _lines(text: str) -> list[dict[str, Any]]:
    # The last line may still be on its way.
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
