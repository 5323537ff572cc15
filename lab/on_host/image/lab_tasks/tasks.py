"""Tasks that do nothing useful for a known time, and say so in the ledger."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import shared_task
from django.db import connection, transaction

from .ledger import record
from .memory import hold
from .patience import last

logger = logging.getLogger(__name__)

# A retry waits in a worker for its time, as a task with a countdown does.
FAILURES, RETRY_SECONDS = 2, 2


class FailureOnPurpose(Exception):
    """What a task fails with that is to be retried, as with a server that does not answer for a moment."""


@contextmanager
def in_ledger(task: Any, key: str) -> Iterator[None]:
    """Record the task's start and, only if it gets there, its end; or its failure, after which it is retried."""
    worker, task_id = str(task.request.hostname), str(task.request.id)
    record("start", key, worker, task_id)
    logger.info("%s started", key)
    try:
        yield
    except FailureOnPurpose:
        record("failure", key, worker, task_id)
        raise
    record("end", key, worker, task_id)
    logger.info("%s ended", key)


@shared_task(bind=True, name="lab_tasks.sleep")
def sleep(self: Any, seconds: float, key: str) -> None:
    """Wait, as a task does that asks a slow server, until it is released or the seconds are over."""
    with in_ledger(self, key):
        last(seconds, key)


@shared_task(bind=True, name="lab_tasks.hold_connection")
def hold_connection(self: Any, seconds: float, key: str) -> None:
    """Wait as `sleep` does, in a transaction, which keeps a connection to the database all the time."""
    with in_ledger(self, key), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM auth_user")
        last(seconds, key)


@shared_task(
    bind=True,
    name="lab_tasks.fail_and_retry",
    autoretry_for=(FailureOnPurpose,),
    max_retries=FAILURES,
    default_retry_delay=RETRY_SECONDS,
)
def fail_and_retry(self: Any, seconds: float, key: str) -> None:
    """Fail as often as it may be retried, each time after as long as `sleep` takes, and then succeed."""
    with in_ledger(self, key):
        last(seconds, key)
        if self.request.retries < FAILURES:
            raise FailureOnPurpose(key)


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
