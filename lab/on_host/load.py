"""A steady load of Celery tasks. A script of its own: it runs on the host, in the venv.

    cd PROJECT && VENV/bin/python load.py PREFIX [--task EVERY:SECONDS[:QUEUE]]... [--once SECONDS]...

`--task 0.5:0` queues an empty task every half second, `--once 30` one of 30 s at the
start; both may be repeated. Without a queue they go where Alliance Auth routes them. One
JSON line for each: its `key`, its `seconds` and the `time` when the broker had it (seconds
since the epoch). Ends with its standard input, or by itself after --seconds, so that it
cannot outlive whoever started it for long.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
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
    queue: str
    due: float
    sent: int = 0


def task() -> Any:
    """Load the project; return the lab's task that sleeps."""
    sys.path.insert(0, os.getcwd())
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "myauth.settings.local")
    importlib.import_module("django").setup()
    # The project's Celery application becomes the current one, whose broker the task goes to.
    importlib.import_module("myauth")
    return importlib.import_module("lab_tasks.tasks").sleep


def send(sleep: Any, key: str, seconds: float, queue: str = "") -> None:
    """Queue one task and print that the broker has it."""
    sleep.apply_async(kwargs={"seconds": seconds, "key": key}, **({"queue": queue} if queue else {}))
    print(json.dumps({"key": key, "seconds": seconds, "time": time.time()}), flush=True)


def wait_for_end(stop: threading.Event) -> None:
    """Set `stop` once standard input ends."""
    sys.stdin.read()
    stop.set()


def main() -> None:
    """Send until told to stop."""
    parser = argparse.ArgumentParser(description="Queue tasks of the lab at a steady rate.")
    parser.add_argument("prefix", help="keys begin with it")
    parser.add_argument("--task", action="append", default=[], metavar="EVERY:SECONDS[:QUEUE]")
    parser.add_argument("--once", action="append", default=[], type=float, metavar="SECONDS")
    parser.add_argument("--seconds", type=float, default=900, help="give up after so many")
    options = parser.parse_args()
    sleep = task()
    stop = threading.Event()
    threading.Thread(target=wait_for_end, args=[stop], daemon=True).start()

    began = time.monotonic()
    for number, seconds in enumerate(options.once):
        send(sleep, f"{options.prefix}-once{number}", seconds)
    streams = []
    for number, text in enumerate(options.task):
        every, seconds, queue = f"{text}:".split(":")[:3]
        streams.append(Stream(f"{options.prefix}-{number}", float(every), float(seconds), queue, began))
    while streams and time.monotonic() < began + options.seconds:
        stream = min(streams, key=lambda stream: stream.due)
        if stop.wait(max(0.0, stream.due - time.monotonic())):
            break
        send(sleep, f"{stream.name}-{stream.sent}", stream.seconds, stream.queue)
        stream.sent += 1
        stream.due += stream.every


if __name__ == "__main__":
    main()
