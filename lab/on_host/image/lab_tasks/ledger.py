"""The ledger: one JSON line for each beginning, each end and each failure, so that a loss shows."""

from __future__ import annotations

import json
import os
import time

LEDGER = "/var/lib/lab/ledger.jsonl"


def record(event: str, key: str, worker: str, task_id: str) -> None:
    """Append one line.

    `event` is `start`, `end` or `failure`, `key` is the sender's name for the piece of work, `time`
    is seconds since the epoch. One `write` on an O_APPEND descriptor keeps lines whole
    however many processes write (POSIX, write(2)).
    """
    line = {
        "event": event,
        "key": key,
        "time": time.time(),
        "pid": os.getpid(),
        "worker": worker,
        "task_id": task_id,
    }
    descriptor = os.open(LEDGER, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(descriptor, (json.dumps(line) + "\n").encode())
    finally:
        os.close(descriptor)
