"""Tasks that do nothing useful for a known time, and say so in the ledger."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import shared_task

from .ledger import record
from .memory import hold
from .patience import last

logger = logging.getLogger(__name__)


@contextmanager
def in_ledger(task: Any, key: str) -> Iterator[None]:
    """Record the task's start and, only if it gets there, its end."""
    worker, task_id = str(task.request.hostname), str(task.request.id)
    record("start", key, worker, task_id)
    logger.info("%s started", key)
    yield
    record("end", key, worker, task_id)
    logger.info("%s ended", key)


@shared_task(bind=True, name="lab_tasks.sleep")
def sleep(self: Any, seconds: float, key: str) -> None:
    """Wait, as a task does that asks a slow server, until it is released or the seconds are over."""
    with in_ledger(self, key):
        last(seconds, key)


@shared_task(bind=True, name="lab_tasks.leak")
def leak(self: Any, megabytes_per_second: float, seconds: float, key: str) -> None:
    """Take memory for some seconds and keep it until the process ends."""
    with in_ledger(self, key):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            hold(megabytes_per_second)
            time.sleep(1)


@shared_task(bind=True, name="lab_tasks.burn")
def burn(self: Any, seconds: float, key: str) -> None:
    """Compute without pause."""
    with in_ledger(self, key):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            sum(range(10_000))
