# gunicorn's configuration file, written by the Ansible role allianceauth.tuning.auth.
#
# It lets a second gunicorn listen on the same address (SO_REUSEPORT), which answers while
# this one restarts. gunicorn's own --reuse-port gives each of its workers a socket of its
# own, so that a visitor may wait for a busy worker beside an idle one; here all share one.
#
# The address is shared with gunicorns of this site only. Beside another program it is in
# use, as it would be without this file: visitors would get either of the two by chance.
import contextlib
import os
import socket
import struct
from typing import Any

from gunicorn import sock

_EVERYWHERE = ("0.0.0.0", "::")


def _listening(addresses: Any) -> Any:
    """Return the sockets that listen on these addresses, as links in /proc/PID/fd name them. Source: proc(5)."""
    found = set()
    for table, family in (("/proc/net/tcp", socket.AF_INET), ("/proc/net/tcp6", socket.AF_INET6)):
        with contextlib.suppress(OSError), open(table) as lines:
            for row in (line.split() for line in lines):
                if row[3] != "0A":
                    continue
                words, _colon, port = row[1].partition(":")
                # Words of the machine's own byte order.
                packed = b"".join(struct.pack("=I", int(words[at : at + 8], 16)) for at in range(0, len(words), 8))
                host = socket.inet_ntop(family, packed)
                for wanted_host, wanted_port in addresses:
                    everywhere = host in _EVERYWHERE or wanted_host in _EVERYWHERE
                    if int(port, 16) == wanted_port and (host == wanted_host or everywhere):
                        found.add("socket:[" + row[9] + "]")
    return found


def _command(pid: str) -> Any:
    """Return the words of a process's command."""
    with contextlib.suppress(OSError), open("/proc/" + pid + "/cmdline", errors="replace") as words:
        return words.read().split("\0")
    return [""]


def _files(pid: str) -> Any:
    """Return what a process has open."""
    found = set()
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc/" + pid + "/fd"):
            found.add(os.readlink("/proc/" + pid + "/fd/" + name))
    return found


def _what_runs(command: Any) -> Any:
    """Return the program's name and the application. The venv may be another one by now, or gunicorn installed anew."""
    return [os.path.basename(word) for word in command[1:2]] + command[2:3]


def _only_ours_listen(server: Any) -> bool:
    """Whether nobody listens where this site does but its own gunicorns: a second one, or one that is ending."""
    addresses = set()
    for address in server.cfg.address:
        if isinstance(address, tuple):
            for entry in socket.getaddrinfo(address[0], address[1], type=socket.SOCK_STREAM):
                addresses.add(entry[4][:2])
    found = _listening(addresses)
    # With the package setproctitle, gunicorn shows a title in the place of its command.
    ours, title = _what_runs(_command("self")), "[" + server.proc_name + "]"
    for pid in os.listdir("/proc") if found else []:
        command = _command(pid) if pid.isdigit() else [""]
        if _what_runs(command) == ours or (command[0].startswith("gunicorn: ") and title in command[0]):
            found -= _files(pid)
    return not found


def on_starting(server: Any) -> None:
    # One that gets its socket from somebody else has nothing to create.
    if "LISTEN_FDS" in os.environ or "GUNICORN_FD" in os.environ:
        return
    server.cfg.set("reuse_port", _only_ours_listen(server))
    try:
        server.LISTENERS = sock.create_sockets(server.cfg, server.log)
    finally:
        server.cfg.set("reuse_port", False)
