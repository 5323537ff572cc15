# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guard's program: bring a server back whose run was cut off.

Ansible runs neither rescue nor always after Ctrl-C, for a host that has become unreachable or if the controller
is gone. So a run sets a timer on the server before it stops the first program and renews it with every call. If it
does not, this program takes the lock over, so that the run can do nothing any more, puts the previous file back
unless the new one has proved itself, and starts what ran.

    python3 -I guard.py STATE

It lies on the server alone, in a folder of root's, and needs nothing but Python's own library: by then the
run's temporary files are gone. What it has to know is in STATE:

``lock``, ``report``, ``standby``: paths; ``aside``: that of the report if ``report`` cannot be written;
``deadline``: when it has to act (`time.monotonic`);
``serving``: what the names of the units begin with in which workers take tasks meanwhile;
``owner`` and ``renewed``: whose run it is, and when that was last heard of (seconds since 1970);
``daemon``: the supervisord that had the previous file loaded (``pid``, ``start``);
``ran``: processes (GROUP:PROCESS) that ran; ``site``: those of them that answer visitors;
``stopped``: processes that somebody had stopped; ``first``: the supervisord in which they were so;
``adopted``: whether a run that was cut off has set it, so that what others run may be stopped;
``unproven``: the file to put back, with its ``path``, ``backup``, ``uid``, ``gid`` and ``mode``, null if there is none;
``celery``, ``consumers``, ``apart``, ``waiting``: workers that were told to take no more tasks, and those that are to
take theirs, in the words of consumers_program; ``private``: whether the units of ``serving`` have no queues to take
tasks from yet; ``finishing``: those that were told to finish, each with its ``pid`` and
``start`` in clock ticks since boot;
``access``: how supervisord is reached; ``patience``: seconds that stopping or starting may take.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import fcntl
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import xmlrpc.client
from collections import Counter
from typing import Any, Iterator

UNIT = "supervisor"

# Beside the state: what was at ``path`` before the run; whom to tell, if anybody, and the program that does it.
PROVEN = "proven.conf"
CONSUMERS = "consumers.py"  # consumers_program
WEBHOOK = ("webhook.json", "webhook.py")

_POLL_SECONDS = 0.5
_RPC_SECONDS = 30

# What a supervisord that has just been started needs to answer, on a busy host.
_DAEMON_SECONDS = 60
# One that does not answer has so long to stop (systemd's own default): the unit's longer time is for tasks.
_SILENT_SECONDS = 90
# What it runs may take longer to load.
_REACH_SECONDS = 300

_TRIES = 3  # supervisor's startretries is 3 by default, and each of ours has those anew.
# A second gunicorn ends by itself as soon as the supervised one answers.
_STANDBY_SECONDS = 60
# Its queue is emptied, and then its requests are answered.
_STANDBY_STOP_SECONDS = 75

# Source: supervisor/states.py
_STOPPED_STATES = ("STOPPED", "EXITED", "FATAL", "UNKNOWN")
_ENDED_STATES = ("EXITED", "FATAL")
_STARTED_STATES = ("STARTING", "RUNNING", "BACKOFF")
# Source: supervisor/xmlrpc.py, Faults
_SHUTDOWN_STATE = 6


@contextlib.contextmanager
def opened(lock: str) -> Iterator[dict[str, Any]]:
    """Yield what a lock's file holds while nobody else looks at it; what it holds in the end is written."""
    handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(handle, "r+", encoding="utf-8") as file:
        # For the moment of looking and writing; the lock itself is what is written.
        fcntl.flock(file, fcntl.LOCK_EX)
        text = file.read()
        held = json.loads(text) if text else {}
        before = dict(held)
        yield held
        if held != before:
            file.seek(0)
            file.truncate()
            json.dump(held, file)


def load(path: str) -> dict[str, Any]:
    """Return what `save` has written, nothing if there is no such file."""
    try:
        with open(path, encoding="utf-8") as file:
            return dict(json.load(file))
    except (OSError, ValueError):
        return {}


def save(path: str, content: dict[str, Any]) -> None:
    """Have a file of root's alone hold this, so that no reader sees half of it."""
    write(path, json.dumps(content).encode(), 0, 0, 0o600)


def write(path: str, content: bytes, uid: int, gid: int, mode: int) -> None:
    """Write beside ``path`` and move it there."""
    # The dot keeps it out of "conf.d/*" patterns.
    handle, temporary = tempfile.mkstemp(prefix="." + os.path.basename(path) + ".", dir=os.path.dirname(path))
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            if os.geteuid() == 0:
                os.fchown(handle, uid, gid)
            os.fchmod(handle, mode)
            os.fsync(handle)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def read(path: str) -> bytes | None:
    """Return a file's content, None if there is none."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def start_ticks(pid: int) -> int | None:
    """Return when a process began, in clock ticks since boot, None if it is gone. Source: proc(5), stat."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            fields = stat.read().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[19]) if fields[0] != "Z" else None


def sentence(report: dict[str, Any]) -> str:
    """Return what a report says, empty if there is none."""
    if not report:
        return ""
    did = "; ".join(report["did"]) or "all ran"
    said = f"The guard of {of(report['owner'], report['cut'])} had to act: {did}."
    return " ".join([said, *report["problems"]])


def of(owner: str, cut: float) -> str:
    """Return whose run it was and when it was cut off, in words."""
    at = datetime.datetime.fromtimestamp(cut, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"a run of {owner.partition(', process ')[0]} that was cut off at {at}"


def tell(folder: str, words: str) -> None:
    """Tell the run's webhook, if it has one."""
    config, code = (os.path.join(folder, name) for name in WEBHOOK)
    command = [sys.executable, "-I", code, config]
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        if os.path.exists(config):
            subprocess.run(command, input=words, text=True, timeout=_RPC_SECONDS, check=False)


class NoAnswer(Exception):
    """supervisord does not answer, or is about to end."""


class ShuttingDown(NoAnswer):
    """supervisord answers that it is about to end."""


class _Connection(http.client.HTTPConnection):
    """A connection to a socket in the file system, or to a port."""

    def __init__(self, serverurl: str) -> None:
        _scheme, _colon, self._path = serverurl.partition("unix://")
        host = serverurl.partition("://")[2].rstrip("/")
        super().__init__("localhost" if self._path else host, timeout=_RPC_SECONDS)

    def connect(self) -> None:
        if not self._path:
            super().connect()
            return
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_RPC_SECONDS)
        self.sock.connect(self._path)


class _Transport(xmlrpc.client.Transport):
    def __init__(self, access: dict[str, Any]) -> None:
        self._serverurl = access["serverurl"]
        words = f"{access['username']}:{access['password']}".encode()
        secret = [("Authorization", "Basic " + base64.b64encode(words).decode())] if access["username"] else []
        super().__init__(headers=secret)

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        # A new one each time: the last one's supervisord may be gone.
        connection = _Connection(self._serverurl)
        self._connection = host, connection
        return connection


class Supervisord:
    """supervisord, asked by XML-RPC. All raise `NoAnswer`, and ``xmlrpc.client.Fault`` where it refuses."""

    def __init__(self, access: dict[str, Any]) -> None:
        # The address is never used: the transport knows where to connect.
        self._proxy = xmlrpc.client.ServerProxy("http://localhost/RPC2", _Transport(access))

    def call(self, method: str, *arguments: Any) -> Any:
        """Call ``supervisor.METHOD``."""
        try:
            return getattr(self._proxy.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == _SHUTDOWN_STATE:
                raise ShuttingDown("it is just being stopped or restarted") from fault
            raise
        except (OSError, http.client.HTTPException, xmlrpc.client.ProtocolError) as why:
            raise NoAnswer(str(why)) from why
        finally:
            self._proxy("close")()

    def identity(self) -> dict[str, Any]:
        """Return what tells this supervisord from one before or after it."""
        pid = int(self.call("getPID"))
        return {"pid": pid, "start": start_ticks(pid)}

    def processes(self) -> dict[str, dict[str, Any]]:
        """Return all processes with their ``statename`` and ``pid``, by GROUP:PROCESS."""
        return {f"{info['group']}:{info['name']}": info for info in self.call("getAllProcessInfo")}

    def drift(self) -> list[str]:
        """Return the groups whose configuration on disk differs from what runs; applies nothing."""
        ((added, changed, removed),) = self.call("reloadConfig")
        return [*added, *changed, *removed]


def say(words: str) -> None:
    """Write a line into the unit's journal."""
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def systemctl(*arguments: str) -> str:
    """Run systemctl; return what it prints, whether it succeeds or not."""
    try:
        done = subprocess.run(
            ["systemctl", *arguments], stdout=subprocess.PIPE, timeout=_REACH_SECONDS, check=False, text=True
        )
    except (OSError, subprocess.TimeoutExpired) as why:
        return str(why)
    return done.stdout.strip()


def end_silent(verb: str) -> subprocess.CompletedProcess[str]:
    """Have systemd ``stop`` or ``restart`` a supervisord that does not answer, and kill it if it does not stop.

    Only itself: what it runs goes on, and is drained as an orphan.
    """
    command = ["systemctl", verb, UNIT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as job:
        try:
            said, _none = job.communicate(timeout=_SILENT_SECONDS)
        except subprocess.TimeoutExpired:
            systemctl("kill", "--kill-who=main", "--signal=KILL", UNIT)
            said, _none = job.communicate()
    return subprocess.CompletedProcess(command, job.returncode, said)


class Guard:
    """The guard at work; ``report`` says what it has done so far."""

    def __init__(self, state: dict[str, Any], folder: str) -> None:
        self.state = state
        self.report: dict[str, Any] = {
            "owner": state["owner"],
            "cut": state["renewed"],
            "acted": time.time(),
            "did": [],
            "problems": [],
        }
        self._folder = folder
        self._supervisord = Supervisord(state["access"])
        self._until = time.monotonic() + _REACH_SECONDS + 2 * state["patience"]
        # True once we have started supervisord ourselves: then it has read what is on disk.
        self._fresh = False
        # Workers that take no task until they have finished what they run.
        self._finishing: list[str] = []

    def act(self) -> None:
        """Bring back what was before the run."""
        went_back = self._put_back()
        while time.monotonic() < self._until and self._reach():
            # Whoever ends supervisord meanwhile, it is started again.
            with contextlib.suppress(NoAnswer):
                if self._runs_unproven(went_back):
                    self._restart()
                self._give_back()
                self._start()
                self._end_standby()
                self._end_serving()
                return

    def _did(self, words: str) -> None:
        say(words)
        self.report["did"].append(words)

    def problem(self, words: str) -> None:
        """Have the report name what could not be done."""
        say(words)
        self.report["problems"].append(words)

    def _put_back(self) -> bool:
        """Put the previous file back unless the new one has proved itself; return whether that was another one."""
        unproven = self.state["unproven"]
        if not unproven:
            return False
        path, proven = unproven["path"], read(os.path.join(self._folder, PROVEN))
        try:
            if read(path) == proven:
                return False
            if proven is None:
                os.unlink(path)
                self._did(f"{path} is gone, as before that run")
                return True
            self._replace(path, proven, unproven)
        except OSError as why:
            self.problem(f"{path} could not be put back as it was before that run: {why.strerror}.")
            return False
        self._did(f"{path} is as it was before that run, because the new one had not proved itself")
        return True

    def _replace(self, path: str, proven: bytes, unproven: dict[str, Any]) -> None:
        try:
            write(path, proven, unproven["uid"], unproven["gid"], unproven["mode"])
        except OSError:
            # A disk that is full has room for another name of what is kept there.
            if not unproven["backup"] or read(unproven["backup"]) != proven:
                raise
            aside = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.guard")
            os.link(unproven["backup"], aside)
            os.replace(aside, path)

    def _reach(self) -> bool:
        """Wait until supervisord answers, and start it if it does not run; return whether it answers."""
        began, restarted = time.monotonic(), False
        while time.monotonic() < began + _REACH_SECONDS:
            try:
                self._supervisord.identity()
                return True
            except NoAnswer as why:
                problem = str(why)
            state = systemctl("is-active", UNIT)
            if state == "active" and not restarted and time.monotonic() > began + _DAEMON_SECONDS:
                restarted = self._fresh = True
                end_silent("restart")
                self._did("supervisord, which did not answer, was restarted")
            elif state not in ("active", "deactivating"):
                # Also if systemd has it wait for its next try.
                systemctl("start", UNIT)
                if not self._fresh:
                    self._did("supervisord was started")
                self._fresh = True
            time.sleep(_POLL_SECONDS)
        self.problem(f"supervisord does not answer ({problem}): see systemctl status {UNIT}.")
        return False

    def _runs_unproven(self, went_back: bool) -> bool:
        """Whether supervisord has loaded the new file that did not prove itself, and can go back."""
        if not self.state["unproven"] or self._fresh or self._supervisord.identity() == self.state["daemon"]:
            return False
        try:
            # The run may have put the file back and have been cut off before the restart.
            return bool(self._supervisord.drift()) or went_back
        except xmlrpc.client.Fault as fault:
            self.problem(f"supervisord was not restarted, for it refuses what is on disk: {fault.faultString}.")
            return False

    def _restart(self) -> None:
        """Restart supervisord with what is on disk; each program has its own stopwaitsecs to stop before."""
        until = time.monotonic() + self.state["patience"]
        while True:
            # supervisord's own stop ends the site, which is then away for the shortest time.
            known = self._supervisord.processes().items()
            left = {name: info["statename"] for name, info in known if info["pid"] and name not in self.state["site"]}
            for name, state in left.items():
                if state != "STOPPING":
                    self._ask("stopProcess", name)
            if not left or time.monotonic() > until:
                break
            time.sleep(_POLL_SECONDS)
        systemctl("restart", UNIT)
        self._fresh = True
        self._did("supervisord was restarted with it")
        self._reach()

    def _give_back(self) -> None:
        """Have workers take tasks again that were told to take no more."""
        command = [sys.executable, "-I", os.path.join(self._folder, CONSUMERS)]
        done = subprocess.run(command, input=json.dumps(self.state), stdout=subprocess.PIPE, check=False, text=True)
        if done.stdout:
            told = json.loads(done.stdout)
            self._finishing = told["finishing"]
            for words in told["said"]:
                self._did(words)

    def _start(self) -> None:
        """Start what ran and wait until it runs."""
        tries: Counter[str] = Counter()
        until = time.monotonic() + self.state["patience"]
        # A supervisord that was started since starts what it shall by its configuration.
        stopped = self.state["stopped"] if self._supervisord.identity() != self.state["first"] else []
        stops: set[str] = set()
        while True:
            known = self._supervisord.processes()
            for name in stopped:
                if known.get(name, {}).get("statename") in _STARTED_STATES:
                    stops.add(name)
                    self._ask("stopProcess", name)
            waiting = {
                name: known[name]["statename"]
                for name in self.state["ran"]
                if name in known and known[name]["statename"] != "RUNNING"
            }
            for name, state in waiting.items():
                if state in _STOPPED_STATES and tries[name] < _TRIES:
                    tries[name] += 1
                    self._ask("startProcess", name)
            hopeless = all(state in _ENDED_STATES and tries[name] == _TRIES for name, state in waiting.items())
            if hopeless or time.monotonic() > until:
                break
            time.sleep(_POLL_SECONDS)
        if started := [name for name in tries if name not in waiting]:
            self._did(f"{', '.join(sorted(started))} {'was' if len(started) == 1 else 'were'} started")
        if stops:
            self._did(f"{', '.join(sorted(stops))} {'was' if len(stops) == 1 else 'were'} stopped, as before that run")
        if waiting:
            names = ", ".join(f"{name} ({state})" for name, state in sorted(waiting.items()))
            self.problem(f"These do not run: {names}; see supervisorctl status and their logs.")

    def _ask(self, method: str, name: str) -> None:
        """Have a process started or stopped without waiting for it; its state says what becomes of it."""
        with contextlib.suppress(xmlrpc.client.Fault):
            self._supervisord.call(method, name, False)

    def _end_standby(self) -> None:
        """End the second gunicorn once the supervised one runs; until then it is what visitors have."""
        known = self._supervisord.processes()
        if any(known.get(name, {}).get("statename") != "RUNNING" for name in self.state["site"]):
            return
        # The one that it stands in for was never stopped: it would wait for that in vain.
        original = load(self.state["standby"]).get("original")
        waits = original not in [known[name]["pid"] for name in self.state["site"]]
        if (waits and self._gone(_STANDBY_SECONDS)) or self._gone(0):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(load(self.state["standby"])["pid"], signal.SIGTERM)
        self._gone(_STANDBY_STOP_SECONDS)
        self._did("the second gunicorn was ended")

    def _end_serving(self) -> None:
        """Have the workers that took tasks meanwhile finish, but for those of a pool with one that still finishes."""
        prefix = str(self.state["serving"])
        listed = systemctl("list-units", "--all", "--plain", "--no-legend", f"{prefix}*.service")
        units = [line.split()[0] for line in listed.splitlines() if line.split()]
        finishing = dict(self.state.get("finishing", {}))
        finishing.update((name, self.state["consumers"][name]) for name in self._finishing)
        pools = {_pool(name) for name, one in finishing.items() if start_ticks(one["pid"]) == one["start"]}
        # Such a unit is named after one process of the pool, and when it began.
        # One without queues would take no task until it ends by itself.
        private = bool(self.state.get("private"))
        ended = [unit for unit in units if private or _pool(unit[len(prefix) :].rpartition("-")[0]) not in pools]
        if ended:
            systemctl("stop", "--no-block", *ended)
            which = "had no queues to take tasks from yet" if private else "took tasks meanwhile"
            self._did(f"the workers that {which} were told to finish")
        if private and pools:
            self._did(f"nobody takes tasks of {', '.join(sorted(pools))} until its workers have finished and run again")
        if len(ended) < len(units):
            kept = ", ".join(unit for unit in units if unit not in ended)
            self._did(f"{kept} was left to take tasks meanwhile, and ends by itself")

    def _gone(self, seconds: float) -> bool:
        """Wait so long for the second gunicorn's end; return whether there is none."""
        until = time.monotonic() + seconds
        while True:
            known = load(self.state["standby"])
            if not known or start_ticks(known["pid"]) != known["start"]:
                return True
            if time.monotonic() >= until:
                return False
            time.sleep(_POLL_SECONDS)


def _pool(process: str) -> str:
    """Return the program that a process is one of, by its name, as `names.pool_of` does."""
    return re.sub(r"_\d+\Z", "", process.rpartition(":")[2])


def keep_report(state: dict[str, Any], report: dict[str, Any]) -> None:
    """Have the next run find the report: if the disk is full, where it needs none, until a reboot."""
    for path in (state["report"], state["aside"]):
        try:
            os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
            save(path, report)
            return
        except OSError as why:
            say(f"{path} could not be written: {why.strerror}")


def take_over(path: str) -> dict[str, Any]:
    """Wait until it is time to act and take the lock over; return the state, nothing if the run has ended by itself."""
    lock = load(path).get("lock", "")
    while lock:
        with opened(lock) as held:
            # The timer may have gone off in the very moment in which it was renewed.
            state = load(path)
            left = state["deadline"] - time.monotonic() if state else 0
            if state and left <= 0:
                held.clear()
                until = time.time() + _REACH_SECONDS + 2 * state["patience"]
                held.update(owner=f"the guard of {of(state['owner'], state['renewed'])}", until=until)
            if left <= 0:
                return state
        time.sleep(left)
    return {}


def main(path: str) -> int:
    """Act once the time is over; return 0 if all runs."""
    state = take_over(path)
    if not state:
        return 0
    folder = os.path.dirname(path)
    guard = Guard(state, folder)
    say(f"{of(state['owner'], state['renewed'])}: bringing back what ran before")
    try:
        guard.act()
    except Exception as why:  # noqa: BLE001 - whatever it is, the next run has to be told
        guard.problem(f"It went no further: {type(why).__name__}: {why}.")
    try:
        keep_report(state, guard.report)
        tell(folder, sentence(guard.report))
    finally:
        # Last: whoever gets the lock now finds the report.
        with opened(state["lock"]) as held:
            held.clear()
            held["released"] = time.time()
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if guard.report["problems"] else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
