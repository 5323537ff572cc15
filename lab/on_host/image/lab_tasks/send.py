"""Queue tasks of the lab in one go.

    cd PROJECT && VENV/bin/python -m lab_tasks.send TASK [--count N] [--seconds S] [--prefix PREFIX] [--queue QUEUE] ...

TASK is the name of one of the lab's tasks, or with a dot that of any. One JSON line for each: its `key`, which is
PREFIX-0, PREFIX-1 and so on, and its `task_id`. It does without Django's apps, which `manage.py` and `celery call` load
for seconds.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from celery.app.utils import find_app


def application() -> Any:
    """Return the Celery application of the project in whose folder this runs, without its tasks."""
    return find_app("myauth")


def send(app: Any, task: str, **given: Any) -> Any:
    """Queue one task as the project's own code would, by its name."""
    # Source: celery/app/task.py, which an application that only knows the name does not ask.
    priority = app.conf.task_default_priority
    return app.send_task(task if "." in task else f"lab_tasks.{task}", priority=priority, **given)


def main() -> None:
    """Send them."""
    parser = argparse.ArgumentParser(description="Queue tasks of the lab.")
    parser.add_argument("task")
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--prefix", default="task")
    parser.add_argument("--queue", help="default: where Alliance Auth routes it")
    parser.add_argument("--countdown", type=float)
    parser.add_argument("--megabytes-per-second", type=float)
    options = parser.parse_args()
    app = application()
    more = {"megabytes_per_second": options.megabytes_per_second} if options.megabytes_per_second else {}
    how = {"countdown": options.countdown} if options.countdown else {}
    how |= {"queue": options.queue} if options.queue else {}
    for number in range(options.count):
        key = f"{options.prefix}-{number}"
        sent = send(app, options.task, kwargs={"seconds": options.seconds, "key": key, **more}, **how)
        print(json.dumps({"key": key, "task_id": sent.id}))


if __name__ == "__main__":
    main()
