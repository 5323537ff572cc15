# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep the site up while its gunicorn restarts: a second one takes over its address, and gives it back.

Both share the address (`sockets.Shared`); the role's gunicorn gets its socket by its
configuration file (roles/auth/files/gunicorn.py), the second one as from systemd
(sd_listen_fds(3), which gunicorn knows). Nobody waits for a gunicorn that still loads
Django, and none of those who are queued at a socket is there any more when it closes.

The second gunicorn and the process that looks after it are a transient scope of systemd's: no end of a login session
ends them, and systemd does so if nothing else has.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import select
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from typing import Any, Callable

from ansible_collections.allianceauth.tuning.plugins.module_utils.server import privileges, proc, sockets

_POLL_SECONDS = 0.05

_CONNECT_SECONDS = 10

# A connection that is just being made is in no queue yet.
_HANDSHAKE_SECONDS = 0.5

# If whoever started it does not come back: longer than a run waits for programs, twice.
_LIFE_SECONDS = 900

# systemd's turn comes only where the process that looks after the second gunicorn does not do its work any more.
_SCOPE_SECONDS = _LIFE_SECONDS + 120

_SYSTEMD_SECONDS = 60

# Source: linux/prctl.h
_PR_SET_PDEATHSIG = 1

# gunicorn's graceful_timeout is 30 s.
_STOP_SECONDS = 35

# A pipe takes so much at once.
_LONGEST_ANSWER = 4096


# What is said of one that cannot work, as opposed to one for which there is no place.
SILENT = "the second gunicorn did not answer"


class ImpossibleError(Exception):
    """No second gunicorn can take over; the text says why."""


@dataclass(frozen=True)
class Original:
    """A running gunicorn, with all that it takes to start another like it."""

    pid: int
    started: int | None
    listener: sockets.Listener
    arguments: list[str]
    environment: dict[bytes, bytes]
    directory: str


def original(pid: int, bind: str) -> Original:
    """Return what a running gunicorn was started with, asked by its user. Raises `ImpossibleError`.

    ``bind`` is the ``--bind`` of its successor, which has to come to the same address.
    """
    arguments = proc.command_line(pid)
    if proc.kind(arguments) != "gunicorn" or not os.path.isabs(arguments[0]):
        raise ImpossibleError(f"the process {pid} does not show the command that it was started with")
    own = sockets.of_process(pid)
    mine = [listener for listener in sockets.listeners() if listener.inode in own]
    if len(mine) != 1:
        raise ImpossibleError(f"gunicorn listens on {len(mine)} TCP sockets and not on one")
    if len([listener for listener in sockets.listeners() if listener.address == mine[0].address]) != 1:
        raise ImpossibleError("another program shares gunicorn's address already")
    if mine[0].address not in sockets.addresses(bind):
        raise ImpossibleError("gunicorn moves to another address")
    with open(f"/proc/{pid}/environ", "rb") as environ:
        entries = [entry.partition(b"=") for entry in environ.read().split(b"\0")]
    return Original(
        pid=pid,
        started=proc.start_ticks(pid),
        listener=mine[0],
        arguments=arguments,
        environment={name: value for name, _equals, value in entries if name},
        directory=os.readlink(f"/proc/{pid}/cwd"),
    )


@dataclass
class Standby:
    """A second gunicorn on the address of ``original``, and the process that looks after it.

    Runs as the user of the original, in a process of its own. ``report`` is called
    once: with "" when the second one answers in the place of the original, or with a
    sentence on why it cannot. One that only ``tries`` gets no visitor and ends as soon as it answers.
    """

    original: Original
    report: Callable[[str], None]
    tries: bool = False
    _pid: int = 0
    _ends: bool = False
    # Where we are among those who share the address, of which there are two.
    _position: int = 1
    _deadline: float = field(default_factory=lambda: time.monotonic() + _LIFE_SECONDS)

    def run(self) -> None:
        """Take over, wait for the original's successor, give back, and end."""
        signal.signal(signal.SIGTERM, self._end)
        with tempfile.TemporaryFile() as self._output, tempfile.TemporaryDirectory() as self._folder:
            try:
                self._share()
                self._pid = self._spawn()
                self._take_over()
                self.report("")
                if not self.tries:
                    self._give_back()
            finally:
                self._stop()

    def _end(self, _signum: int, _frame: Any) -> None:
        self._ends = True

    def _share(self) -> None:
        """Listen on the original's address beside it."""
        theirs = self.original.listener
        try:
            self._socket = sockets.Shared(theirs.family, theirs.host, theirs.port)
        except OSError as why:
            raise ImpossibleError("the running gunicorn does not share its address") from why
        try:
            self._socket.listen_after(1 - self._position)
        except OSError as why:
            raise ImpossibleError(f"the kernel does not let us choose between two sockets ({why.strerror})") from why

    def _steer(self, to_us: bool) -> None:
        """Have every new connection go to our socket, or to the other one."""
        self._socket.choose(self._position if to_us else 1 - self._position)

    def _spawn(self) -> int:
        """Start the second gunicorn with our socket in the place of its own."""
        # The original's file would be overwritten, and removed at the end.
        arguments = [*self.original.arguments, "--pid", os.path.join(self._folder, "pid")]
        pid = os.fork()
        if pid:
            return pid
        try:
            os.chdir(self.original.directory)
            # A process group of its own, which no signal to ours reaches; but when we die, the kernel sends it TERM.
            os.setpgid(0, 0)
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            os.dup2(self._output.fileno(), 1)
            os.dup2(self._output.fileno(), 2)
            os.dup2(self._socket.fileno(), 3)
            os.closerange(4, 1024)
            listening = {b"LISTEN_FDS": b"1", b"LISTEN_PID": str(os.getpid()).encode()}
            os.execve(arguments[0], arguments, {**self.original.environment, **listening})
        finally:
            os._exit(1)

    def _take_over(self) -> None:
        if not self._answers(self._others(), ours=True):
            raise ImpossibleError(f"{SILENT}: {self._last_log_lines()}")
        if not self.tries:
            self._steer(to_us=True)
            self._await_empty(self.original.listener.inode)

    def _give_back(self) -> None:
        """Serve until the original has gone and its successor answers."""
        while self._lives() and proc.start_ticks(self.original.pid) == self.original.started:
            time.sleep(_POLL_SECONDS / 5)
        # When a socket is closed, the last one gets its position: ours, unless a successor listens already.
        place_left = 0
        while self._lives():
            others = self._others()
            if self.original.listener.inode in others:
                # The old gunicorn's master is dead, and its workers, which have not noticed, still hold the socket.
                place_left = 1 if len(others) > 1 else place_left
                self._position = 1
            else:
                self._position = place_left
            self._steer(to_us=True)
            alone = len(others) == 1 and self.original.listener.inode not in others
            if alone and self._answers(others, ours=False):
                return
            time.sleep(_POLL_SECONDS)

    def _others(self) -> set[int]:
        """Return the other sockets that listen on the address."""
        address = self.original.listener.address
        return {listener.inode for listener in sockets.listeners() if listener.address == address} - {
            self._socket.inode
        }

    def _answers(self, others: set[int], ours: bool) -> bool:
        """Whether the site answers at our socket, or at the other one; waits as long as there are ``others`` and we.

        This is the one connection that goes there; all others go to the other of the two.
        """
        family, host, port = self.original.listener.address
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        with socket.socket(family, socket.SOCK_STREAM) as connection:
            connection.settimeout(_CONNECT_SECONDS)
            connection.bind(("", 0))
            asked = self._position if ours else 1 - self._position
            self._socket.choose_for(connection.getsockname()[1], asked, 1 - asked)
            name = f"[{host}]" if family == socket.AF_INET6 else host
            answer = b""
            try:
                connection.connect((host, port))
                connection.settimeout(_POLL_SECONDS)
                connection.sendall(f"GET / HTTP/1.1\r\nHost: {name}:{port}\r\nConnection: close\r\n\r\n".encode())
                while self._lives() and self._others() == others and b"\r\n" not in answer:
                    try:
                        part = connection.recv(4096)
                    except socket.timeout:
                        continue
                    if not part:
                        break
                    answer += part
            except OSError:
                return False
            finally:
                self._steer(to_us=not ours)
        # As in http_probe: an answer below 500 comes from the application.
        words = answer.split(b"\r\n")[0].split()
        return len(words) > 1 and words[1].isdigit() and int(words[1]) < 500

    def _await_empty(self, inode: int) -> None:
        """Wait until nobody is queued at a socket that gets no new connections."""
        time.sleep(_HANDSHAKE_SECONDS)
        until = time.monotonic() + _STOP_SECONDS
        while self._runs() and time.monotonic() < until:
            if not any(listener.inode == inode and listener.queue for listener in sockets.listeners()):
                return
            time.sleep(_POLL_SECONDS)

    def _runs(self) -> bool:
        """Whether the second gunicorn has not ended."""
        if self._pid and os.waitpid(self._pid, os.WNOHANG)[0]:
            self._pid = 0
        return bool(self._pid)

    def _lives(self) -> bool:
        """Whether the second gunicorn runs and shall do so."""
        return self._runs() and not self._ends and time.monotonic() < self._deadline

    def _last_log_lines(self) -> str:
        self._output.seek(0)
        lines = self._output.read().decode(errors="replace").strip().splitlines()
        # The first exception is the cause; what gunicorn says of it begins with a time in brackets.
        exceptions = [line for line in lines if re.match(r"[\w.]+: ", line)]
        return (exceptions or lines[-1:] or ["it left no word"])[0].rstrip(".")

    def _stop(self) -> None:
        """End the second gunicorn once its requests have been answered."""
        if not self._runs():
            return
        if self._others():
            self._steer(to_us=False)
            self._await_empty(self._socket.inode)
        until = time.monotonic() + _STOP_SECONDS
        os.kill(self._pid, signal.SIGTERM)
        while self._runs() and time.monotonic() < until:
            time.sleep(_POLL_SECONDS)
        if self._runs():
            os.kill(self._pid, signal.SIGKILL)


def start(pid: int, bind: str, note: str, timeout: float, tries: bool = False, scope: str = "") -> str:
    """Start a `Standby` of the gunicorn ``pid`` in a process of its own; return "" once it answers, or why it cannot.

    ``tries`` says that it ends then. ``bind`` is the ``--bind`` of the gunicorn that it will give back to, and ``note``
    the file that names the process, for `running` and `stop`. ``scope`` names the unit that systemd gives it; without
    one it stays among the processes of whoever starts it.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            # In between, so that nobody has to wait for it.
            if os.fork() == 0:
                _live(pid, bind, note, writing, tries, scope)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    said = bool(select.select([reading], [], [], timeout)[0])
    answer = os.read(reading, _LONGEST_ANSWER) if said else b""
    os.close(reading)
    if answer:
        return str(json.loads(answer))
    stop(note)
    return "the second gunicorn ended at once" if said else f"{SILENT} within {timeout:.0f} s"


def _live(pid: int, bind: str, note: str, writing: int, tries: bool, scope: str) -> None:
    """Be the process that looks after the second gunicorn; never returns."""

    def report(problem: str) -> None:
        os.write(writing, json.dumps(problem[-_LONGEST_ANSWER // 8 :]).encode())
        os.close(writing)

    try:
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(nothing, number)
        os.closerange(3, writing)
        os.closerange(writing + 1, 1024)
        with open(note, "w", encoding="utf-8") as file:
            known = {"pid": os.getpid(), "start": proc.start_ticks(os.getpid()), "bind": bind, "original": pid}
            json.dump(known, file)
        os.chdir("/")
        try:
            if scope:
                _enter(scope)
            privileges.become(_user_of(pid))
            source = original(pid, bind)
            Standby(source, report, tries).run()
        except (ImpossibleError, OSError, ValueError) as why:
            # Told already, if it comes after the take-over; then nobody listens.
            report(str(why))
    finally:
        # Nobody is there to read a traceback.
        os._exit(0)


def _enter(scope: str) -> None:
    """Have systemd move this process into a transient scope. Raises `ImpossibleError`.

    Source: org.freedesktop.systemd1(5), StartTransientUnit.
    """
    properties = {
        "Description": ["s", "Answer while gunicorn restarts"],
        "PIDs": ["au", "1", str(os.getpid())],
        "RuntimeMaxUSec": ["t", str(_SCOPE_SECONDS * 10**6)],
        # What has ended in another way than well is kept by systemd, with its name.
        "CollectMode": ["s", "inactive-or-failed"],
    }
    manager = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")
    given = [word for name, value in properties.items() for word in (name, *value)]
    unit = ("StartTransientUnit", "ssa(sv)a(sa(sv))", scope, "fail", str(len(properties)), *given, "0")
    try:
        done = subprocess.run(
            ("busctl", "call", *manager, *unit), capture_output=True, timeout=_SYSTEMD_SECONDS, check=False, text=True
        )
    except subprocess.TimeoutExpired as why:
        raise ImpossibleError(f"systemd gives it no unit within {_SYSTEMD_SECONDS} s") from why
    if done.returncode:
        raise ImpossibleError(f"systemd gives it no unit: {' '.join(done.stderr.split()).rstrip('.')}")
    # systemd has answered before it has done so.
    until = time.monotonic() + _SYSTEMD_SECONDS
    while not proc.in_unit(os.getpid(), scope):
        if time.monotonic() > until:
            raise ImpossibleError(f"systemd gives it no unit within {_SYSTEMD_SECONDS} s")
        time.sleep(_POLL_SECONDS)


def _user_of(pid: int) -> int:
    """Return the user that a process runs as. Source: proc(5), status."""
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("Uid:"))


def note(name: str) -> str:
    """Return the file that names the process: where only root can put one, and gone after a reboot."""
    return f"/run/allianceauth.tuning.{name}.standby"


def running(note: str) -> dict[str, Any]:
    """Return what a note has of a process, nothing if that has ended.

    Its ``pid``, and the ``bind`` and the gunicorn (``original``) that it was started for.
    """
    try:
        with open(note, encoding="utf-8") as file:
            known = dict(json.load(file))
    except (OSError, ValueError):
        return {}
    return known if proc.start_ticks(known["pid"]) == known["start"] else {}


def stop(note: str) -> bool:
    """End the `Standby` that a note names and wait for that; return whether there was one."""
    found = running(note)
    if not found:
        return False
    os.kill(found["pid"], signal.SIGTERM)
    # Its queue is emptied, and then its requests are answered.
    until = time.monotonic() + 2 * _STOP_SECONDS + 5
    while running(note) and time.monotonic() < until:
        time.sleep(_POLL_SECONDS)
    return True
