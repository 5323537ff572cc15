# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What root's processes execute, load and write, and which of it a user could change. Runs on the server, as root.

    python3 root_files.py USER PID

PID is supervisord's. Prints a JSON object: `loaded` are all files and folders that were
looked at, `changeable` those that USER owns or may write, be it only the folder of a link.
"""

from __future__ import annotations

import configparser
import glob
import json
import os
import pwd
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator


def read(path: str) -> str:
    """Return a file of /proc, empty if its process has ended."""
    try:
        with open(path, "rb") as file:
            return file.read().decode(errors="surrogateescape")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def roots(daemon: str) -> Iterator[str]:
    """Yield the daemon, and its descendants that are root."""
    status = {entry: read(f"/proc/{entry}/status") for entry in os.listdir("/proc") if entry.isdigit()}
    above = {pid: re.findall(r"(?m)^PPid:\t(.*)", text) for pid, text in status.items()}
    for pid, text in status.items():
        line = [pid]
        while line[-1] != daemon and above.get(line[-1]):
            line += above[line[-1]]
        users = re.search(r"(?m)^Uid:\t(.*)", text)
        if line[-1] == daemon and users and "0" in users[1].split():
            yield pid


def executed(pid: str) -> Iterator[str]:
    """Yield a process's program, libraries, the files in its arguments, and all that its Python may import."""
    words = read(f"/proc/{pid}/cmdline").split("\0")[:-1]
    folder = os.readlink(f"/proc/{pid}/cwd")
    program = os.readlink(f"/proc/{pid}/exe")
    yield program
    yield from (found for found in re.findall(r"(?m) (/.*?)(?: \(deleted\))?$", read(f"/proc/{pid}/maps")))
    yield from (path for path in (os.path.join(folder, word) for word in words) if os.path.isfile(path))
    if os.path.basename(program).startswith("python"):
        variables = dict(pair.split("=", 1) for pair in read(f"/proc/{pid}/environ").split("\0") if "=" in pair)
        # Not its real path: by the name that it was called by, Python finds its environment.
        asked = [words[0], "-c", "import json, sys; print(json.dumps(sys.path[1:]))"]
        said = subprocess.run(asked, env=variables, cwd="/", stdout=subprocess.PIPE, check=True).stdout
        for place in [os.path.dirname(os.path.join(folder, words[1])), *json.loads(said)]:
            yield place
            for parent, folders, files in os.walk(place):
                yield from (os.path.join(parent, name) for name in folders + files)


def written(pid: str) -> Iterator[str]:
    """Yield the files that a process has open for writing: in another's folder, a link could lead it elsewhere."""
    for number in os.listdir(f"/proc/{pid}/fd"):
        flags = re.search(r"(?m)^flags:\t(.*)", read(f"/proc/{pid}/fdinfo/{number}"))
        try:
            path = os.readlink(f"/proc/{pid}/fd/{number}")
        except FileNotFoundError:
            continue
        # Pipes and sockets have no path, devices are nobody's.
        if flags and int(flags[1], 8) & os.O_ACCMODE != os.O_RDONLY and os.path.isfile(path):
            yield path


def configured(pid: str) -> Iterator[str]:
    """Yield the daemon's configuration, with the folders in which it looks for more."""
    words = read(f"/proc/{pid}/cmdline").split("\0")
    main = words[words.index("-c") + 1]
    yield main
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"), strict=False)
    parser.read(main)
    for pattern in parser.get("include", "files").split():
        wanted = os.path.join(os.path.dirname(main), pattern)
        yield os.path.dirname(wanted)
        yield from glob.glob(wanted)


def add_with_links(path: str, seen: set[str]) -> None:
    """Add to `seen` every folder and link from / to a path, and through each link to where it leads."""
    if path in seen:
        return
    folder = os.path.dirname(path)
    if folder != path:
        add_with_links(folder, seen)
    if os.path.lexists(path):
        seen.add(path)
    if os.path.islink(path):
        add_with_links(os.path.normpath(os.path.join(folder, os.readlink(path))), seen)


def changeable(paths: Iterable[str], user: str) -> list[str]:
    """Return what a user owns or may write, asked as that user."""
    entry = pwd.getpwnam(user)
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.setgroups(os.getgrouplist(user, entry.pw_gid))
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
        # A link cannot be written, and who owns it may not turn it round for that: its folder counts.
        mine = [
            path
            for path in paths
            if not os.path.islink(path)
            if os.access(path, os.W_OK) or os.path.exists(path) and os.stat(path).st_uid == entry.pw_uid
        ]
        with os.fdopen(writing, "w") as pipe:
            json.dump(mine, pipe)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        return [str(path) for path in json.load(pipe)]


def main(user: str, daemon: str) -> None:
    """Look at all of it, and print."""
    loaded: set[str] = set()
    used = {path for pid in roots(daemon) for found in (executed, written) for path in found(pid)}
    for path in {*configured(daemon), *used}:
        add_with_links(path, loaded)
    print(json.dumps({"loaded": sorted(loaded), "changeable": changeable(sorted(loaded), user)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
