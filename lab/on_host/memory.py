"""What the processes of a user hold, again and again. A script of its own: it runs on the host.

    python3 memory.py USER [--every 0.5]

One JSON line for each look: its `time` (seconds since the epoch) and `bytes`, the resident memory of all processes of
the user, each counted whole as memmon does. Ends with its standard input.
"""

from __future__ import annotations

import argparse
import json
import os
import pwd
import sys
import threading
import time
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")


def held(uid: int) -> int:
    """Return the bytes that the processes of a user hold now. Source: proc(5), statm."""
    pages = 0
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and process.stat().st_uid == uid:
                pages += int((process / "statm").read_text().split()[1])
        except OSError:
            # It has ended meanwhile.
            continue
    return pages * PAGE


def wait_for_end(stop: threading.Event) -> None:
    """Set `stop` once standard input ends."""
    sys.stdin.read()
    stop.set()


def main() -> None:
    """Look until told to stop."""
    parser = argparse.ArgumentParser(description="Say what the processes of a user hold.")
    parser.add_argument("user")
    parser.add_argument("--every", type=float, default=0.5, help="seconds between two looks")
    options = parser.parse_args()
    stop = threading.Event()
    threading.Thread(target=wait_for_end, args=[stop], daemon=True).start()
    uid = pwd.getpwnam(options.user).pw_uid
    while not stop.wait(options.every):
        print(json.dumps({"time": time.time(), "bytes": held(uid)}), flush=True)


if __name__ == "__main__":
    main()
