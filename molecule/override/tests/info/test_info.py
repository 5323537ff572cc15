# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The log level went from Celery's default to info."""

from __future__ import annotations

import re
from typing import Any

from shared import playbook, server


def worker_logs(host: Any) -> str:
    """Return what the three processes of the pool have written, each into a log of its own."""
    return "".join(server.log(host, f"worker_0{number}.log") for number in range(3))


def test_the_worker_log_names_each_finished_task_at_info(host: Any) -> None:
    (task_id,) = server.send(host, 1, 0.1, "loud").values()
    said = f"Task lab_tasks.sleep[{task_id}] succeeded"
    # It queues behind the tasks that keep the server busy.
    assert said in server.wait(lambda: worker_logs(host), lambda text: said in text)


def test_the_guides_load_is_queued_and_a_worker_has_it(host: Any) -> None:
    run = playbook.finish(playbook.start("load"))
    assert run.status == 0
    received = re.search(r"task (\S+) was received by worker_\d\d@", run.output)
    assert received, run.output
    assert f"Task allianceauth.eveonline.tasks.run_model_update[{received[1]}] received" in worker_logs(host)
