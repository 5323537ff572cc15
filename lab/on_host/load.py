"""A steady load of Celery tasks. A script of its own: it runs on the host, in the venv.

    cd PROJECT && VENV/bin/python load.py PREFIX [--task TASK]... [--once SECONDS]...

TASK is EVERY:SECONDS[:NAME=VALUE]...: `--task 0.5:0` queues an empty task every half second.
The names are `task`, one of the lab's (sleep), `queue` (where Alliance Auth routes it) and
`countdown=LEAST-MOST`, a number of seconds, by chance, before which it may not begin.
`--once 30` queues one task of 30 s at the start. Both may be repeated.

One JSON line for each: its `key`, its `seconds`, the `time` when the broker had it and when it
was `due` (seconds since the epoch). Ends with its standard input, or by itself after --seconds,
so that it cannot outlive whoever started it for long.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any


@dataclass
class Stream:
    """A task of so many `seconds`, one `every` so many; `due` on the monotonic clock."""

    name: str
    every: float
    seconds: float
    due: float
    task: str = "sleep"
    queue: str = ""
    countdown: str = ""
    sent: int = 0


class Sender:
    """Queues tasks in the project's broker."""

    def __init__(self) -> None:
        sys.path.insert(0, os.getcwd())
        self._module = importlib.import_module("lab_tasks.send")
        self._application = self._module.application()

    def __call__(self, task: str, key: str, seconds: float, queue: str = "", countdown: str = "") -> None:
        """Queue one task and print that the broker has it."""
        options: dict[str, Any] = {"queue": queue} if queue else {}
        if countdown:
            least, _dash, most = countdown.partition("-")
            options["countdown"] = random.uniform(float(least), float(most or least))
        due = time.time() + options.get("countdown", 0)
        self._module.send(self._application, task, kwargs={"seconds": seconds, "key": key}, **options)
        print(json.dumps({"key": key, "seconds": seconds, "time": time.time(), "due": due}), flush=True)


def wait_for_end(stop: threading.Event) -> None:
    """Set `stop` once standard input ends."""
    sys.stdin.read()
    stop.set()


def main() -> None:
    """Send until told to stop."""
    parser = argparse.ArgumentParser(description="Queue tasks of the lab at a steady rate.")
    parser.add_argument("prefix", help="keys begin with it")
    parser.add_argument("--task", action="append", default=[], metavar="EVERY:SECONDS[:NAME=VALUE]...")
    parser.add_argument("--once", action="append", default=[], type=float, metavar="SECONDS")
    parser.add_argument("--seconds", type=float, default=900, help="give up after so many")
    options = parser.parse_args()
    send = Sender()
    stop = threading.Event()
    threading.Thread(target=wait_for_end, args=[stop], daemon=True).start()

    began = time.monotonic()
    for number, seconds in enumerate(options.once):
        send("sleep", f"{options.prefix}-once{number}", seconds)
    streams = []
    for number, text in enumerate(options.task):
        every, seconds, *named = text.split(":")
        how = dict(pair.split("=", 1) for pair in named)
        streams.append(Stream(f"{options.prefix}-{number}", float(every), float(seconds), began, **how))
    while streams and time.monotonic() < began + options.seconds:
        stream = min(streams, key=lambda stream: stream.due)
        if stop.wait(max(0.0, stream.due - time.monotonic())):
            break
        key = f"{stream.name}-{stream.sent}"
        send(stream.task, key, stream.seconds, stream.queue, stream.countdown)
        stream.sent += 1
        stream.due += stream.every


if __name__ == "__main__":
    main()
