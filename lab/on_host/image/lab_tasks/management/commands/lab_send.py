"""`manage.py lab_send`: queue many tasks in one go; `celery call` needs 1.5 s for each."""

from __future__ import annotations

import argparse
import json
from typing import Any

from django.core.management.base import BaseCommand

from lab_tasks import tasks


class Command(BaseCommand):
    """Queue tasks and print one JSON line for each: its key and its task id."""

    help = "Queue tasks of the lab and print the key and id of each."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Name the task, how often, and where it goes."""
        parser.add_argument("task", choices=["sleep", "hold_connection", "fail_and_retry", "leak", "burn"])
        parser.add_argument("--count", type=int, default=1)
        parser.add_argument("--seconds", type=float, default=1.0)
        parser.add_argument("--megabytes-per-second", type=float, default=10.0)
        parser.add_argument("--prefix", default="task", help="keys are PREFIX-0, PREFIX-1, ...")
        parser.add_argument("--queue", help="default: where Alliance Auth routes it")

    def handle(self, *args: Any, **options: Any) -> None:
        """Send them."""
        task = getattr(tasks, options["task"])
        for number in range(options["count"]):
            kwargs = {"seconds": options["seconds"], "key": f"{options['prefix']}-{number}"}
            if options["task"] == "leak":
                kwargs["megabytes_per_second"] = options["megabytes_per_second"]
            route = {"queue": options["queue"]} if options["queue"] else {}
            sent = task.apply_async(kwargs=kwargs, **route)
            self.stdout.write(json.dumps({"key": kwargs["key"], "task_id": sent.id}))
