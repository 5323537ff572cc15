# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A community app's program, on the server: it leaks or dies when it is told to.

In the ledger it starts, and ends if it is stopped gracefully.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

# It lies in the project's folder, where the lab's app is.
from lab_tasks.ledger import record
from lab_tasks.memory import hold

KEY = f"bot-{os.getpid()}"


def leak(_number: int, _frame: FrameType | None) -> None:
    """Grow for good, above the limit."""
    hold(300)


def die(_number: int, _frame: FrameType | None) -> None:
    """End as a program with a bug does."""
    os._exit(3)


def stop(_number: int, _frame: FrameType | None) -> None:
    """Take the time to put everything away."""
    record("end", KEY, "bot", "")
    sys.exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, leak)
    signal.signal(signal.SIGUSR2, die)
    signal.signal(signal.SIGTERM, stop)
    record("start", KEY, "bot", "")
    while True:
        signal.pause()
