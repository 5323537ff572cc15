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
from typing import Any

from gunicorn import sock


def _listening(ports: Any) -> Any:
    """Return the sockets that listen on these ports, as links in /proc/PID/fd name them. Source: proc(5)."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError), open(table) as lines:
            for row in (line.split() for line in lines):
                if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) in ports:
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


def _only_ours_listen(server: Any) -> bool:
    """Whether nobody listens on the ports of this site but its own gunicorns: a second one, or one that is ending."""
    found = _listening({address[1] for address in server.cfg.address if isinstance(address, tuple)})
    # The interpreter, gunicorn and the application; or the title that the package setproctitle has it show.
    ours, title = _command("self")[:3], "[" + server.proc_name + "]"
    for pid in os.listdir("/proc") if found else []:
        command = _command(pid) if pid.isdigit() else [""]
        if command[:3] == ours or (command[0].startswith("gunicorn: ") and title in command[0]):
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
