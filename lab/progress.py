"""Lines that say which step runs and how long it has been."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass
class Progress:
    """Prints `[n/m 12.3 s] text`; seconds count from its creation."""

    steps: int
    done: int = 0
    started: float = field(default_factory=time.monotonic)

    def step(self, text: str) -> None:
        """Say that the next step begins."""
        self.done += 1
        self._print(f"{self.done}/{self.steps}", text)

    def note(self, text: str) -> None:
        """Say something within the step."""
        self._print(" " * len(f"{self.done}/{self.steps}"), text)

    def _print(self, where: str, text: str) -> None:
        print(f"[{where} {time.monotonic() - self.started:6.1f} s] {text}", flush=True)
