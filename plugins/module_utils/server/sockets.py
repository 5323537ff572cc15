# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TCP sockets that listen: who has which, and which of two that share an address gets the next connection.

With SO_REUSEPORT several sockets of one user may listen on one address. The kernel
picks one for each new connection by chance, also one that nobody reads from yet. So
it is told which: by a program of one instruction that returns a position, in the order
in which they began to listen. The place of one that is closed goes to the last.

Sources: socket(7), SO_ATTACH_REUSEPORT_CBPF; net/core/sock_reuseport.c (the order, and
the choice by chance where there is no such position).
"""

from __future__ import annotations

import ctypes
import itertools
import os
import socket
import struct
from dataclasses import dataclass
from typing import Tuple

# Python has no names for them. Source: asm-generic/socket.h
_SO_ATTACH_FILTER, _SO_DETACH_FILTER, _SO_ATTACH_REUSEPORT_CBPF = 26, 27, 51

# Instructions of a socket filter: the operation, where to go on if it is true or not, and its
# operand. Source: linux/bpf_common.h, linux/filter.h
_Instruction = Tuple[int, int, int, int]
_LOAD_HALF, _IF_EQUAL, _RETURN = 0x28, 0x15, 0x06
_NETWORK_HEADER = 2**32 - 0x100000
# Without options, as they come from this host. The sender's port is the first of TCP's header.
_NETWORK_HEADER_BYTES = {int(socket.AF_INET): 20, int(socket.AF_INET6): 40}

_LISTEN = "0A"


@dataclass(frozen=True)
class Listener:
    """A TCP socket that listens; ``queue`` is how many connections wait to be accepted."""

    family: int
    host: str
    port: int
    inode: int
    queue: int

    @property
    def address(self) -> tuple[int, str, int]:
        return self.family, self.host, self.port


def listeners() -> list[Listener]:
    """Return all TCP sockets that listen. Source: proc(5), /proc/net/tcp."""
    found = []
    for path, family in (("/proc/net/tcp", socket.AF_INET), ("/proc/net/tcp6", socket.AF_INET6)):
        try:
            with open(path, encoding="ascii") as table:
                next(table)
                rows = (line.split() for line in table)
                # They come first (net/ipv4/tcp_ipv4.c), before what may be thousands of connections.
                listening = list(itertools.takewhile(lambda row: row[3] == _LISTEN, rows))
        except FileNotFoundError:
            continue
        for row in listening:
            host, _colon, port = row[1].partition(":")
            found.append(
                Listener(
                    family=family,
                    host=socket.inet_ntop(family, _from_words(host)),
                    port=int(port, 16),
                    inode=int(row[9]),
                    queue=int(row[4].partition(":")[2], 16),
                )
            )
    return found


def _from_words(host: str) -> bytes:
    """Return the bytes of an address that is written as words of the machine's own byte order."""
    return b"".join(struct.pack("=I", int(host[at : at + 8], 16)) for at in range(0, len(host), 8))


def addresses(bind: str) -> set[tuple[int, str, int]]:
    """Return what gunicorn's ``--bind HOST:PORT`` can mean, as `Listener.address` has it."""
    host, _colon, port = bind.rpartition(":")
    found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    return {(int(family), str(address[0]), int(address[1])) for family, _type, _proto, _name, address in found}


def of_process(pid: int) -> set[int]:
    """Return the inodes of the sockets that a process has open."""
    folder = f"/proc/{pid}/fd"
    found = set()
    for name in os.listdir(folder):
        try:
            link = os.readlink(os.path.join(folder, name))
        except FileNotFoundError:
            # Closed since it was listed.
            continue
        if link.startswith("socket:["):
            found.add(int(link[len("socket:[") : -1]))
    return found


class Shared:
    """A socket of ours on an address that another one listens on. Raises OSError if that one does not share it."""

    def __init__(self, family: int, host: str, port: int) -> None:
        self._family = family
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._socket.bind((host, port))
        self.inode = os.fstat(self._socket.fileno()).st_ino

    def fileno(self) -> int:
        return self._socket.fileno()

    def listen_after(self, position: int) -> None:
        """Listen, and have new connections go to the socket of this position. Raises OSError if the kernel does not."""
        # Only one that listens can be told who comes next. Whoever is sent here in between is not
        # heard, and asks again after a second. A container may forbid that; it is a short moment.
        try:
            self._set(_SO_ATTACH_FILTER, [(_RETURN, 0, 0, 0)])
            hears = False
        except PermissionError:
            hears = True
        self._socket.listen(socket.SOMAXCONN)
        self.choose(position)
        if not hears:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)

    def choose(self, position: int) -> None:
        """Have every new connection go to the socket of this position."""
        self._set(_SO_ATTACH_REUSEPORT_CBPF, [(_RETURN, 0, 0, position)])

    def choose_for(self, port: int, position: int, otherwise: int) -> None:
        """Have the connection from this port of this host go to one socket, and all others to another one."""
        at = _NETWORK_HEADER + _NETWORK_HEADER_BYTES[self._family]
        choice = [
            (_LOAD_HALF, 0, 0, at),
            (_IF_EQUAL, 0, 1, port),
            (_RETURN, 0, 0, position),
            (_RETURN, 0, 0, otherwise),
        ]
        self._set(_SO_ATTACH_REUSEPORT_CBPF, choice)

    def _set(self, option: int, instructions: list[_Instruction]) -> None:
        code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in instructions))
        program = struct.pack("HP", len(instructions), ctypes.addressof(code))
        self._socket.setsockopt(socket.SOL_SOCKET, option, program)
