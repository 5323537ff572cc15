# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The log level went from Celery's default to info."""

from __future__ import annotations

from typing import Any

from shared import server


def test_the_worker_log_names_each_finished_task_at_info(host: Any) -> None:
    (task_id,) = server.send(host, 1, 0.1, "loud").values()
    said = f"Task lab_tasks.sleep[{task_id}] succeeded"
    # It queues behind the tasks that keep the server busy.
    assert said in server.wait(lambda: server.log(host, "worker.log"), lambda text: said in text, 120)
