"""Work that lasts until somebody lets it end, so that no test has to guess how long it needs."""

from __future__ import annotations

import os
import time

# Who may end a piece of work makes a file of this name with its key.
RELEASE = "/var/lib/lab/release-{key}"
LOOK_SECONDS = 0.2


def last(seconds: float, key: str) -> None:
    """Wait for so many seconds, or until the work of that key is released."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and not (key and os.path.exists(RELEASE.format(key=key))):
        time.sleep(min(left, LOOK_SECONDS))
