"""Memory that a process takes and never gives back."""

from __future__ import annotations

_held: list[bytes] = []


def hold(megabytes: float) -> int:
    """Hold that much more (MiB); return what is held in total (bytes).

    Written, not only reserved: memmon compares resident memory.
    """
    _held.append(b"x" * int(megabytes * 1024 * 1024))
    return sum(len(block) for block in _held)
