"""What goes wrong in a way the reader can do something about."""

from __future__ import annotations


class LabError(Exception):
    """One sentence, or a few lines: what is wrong, where, and the way out."""
