"""What goes wrong in a way the reader can do something about."""

from __future__ import annotations

import os


class LabError(Exception):
    """One sentence, or a few lines: what is wrong, where, and the way out."""


def last_lines(text: str, count: int = 8) -> str:
    """Return the end of a log, where the reason stands."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return os.linesep.join(lines[-count:]) or "it said nothing"
