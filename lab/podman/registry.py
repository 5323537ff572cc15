"""Pulling a distribution's official image, without waiting long where none can be had."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time

from lab.errors import last_lines
from lab.machine.paths import STATE

from . import engine

# A registry that answers says so within a second or two.
ANSWER_SECONDS = 20
DOWNLOAD_SECONDS = 900
# Long enough for an evening's work, short enough that a repaired network is noticed.
REMEMBER_SECONDS = 3600

_MEMORY = STATE / "registry.json"


def pull(reference: str) -> str:
    """Have the image in podman's storage; return why that is impossible, empty if it is there."""
    if engine.image_exists(reference):
        return ""
    remembered = _recall(reference)
    if remembered:
        return remembered
    obstacle = _pull(reference)
    if obstacle:
        _remember(reference, obstacle)
    return obstacle


def _pull(reference: str) -> str:
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(engine.command("pull", reference), stdout=output, stderr=subprocess.STDOUT)
        started = time.monotonic()
        while process.poll() is None:
            time.sleep(0.1)
            waited = time.monotonic() - started
            output.seek(0)
            # podman prints this once the registry has answered.
            answered = "signatures" in output.read()
            if waited > (DOWNLOAD_SECONDS if answered else ANSWER_SECONDS):
                process.kill()
                process.wait()
                return f"the registry gave no answer in {waited:.0f} s"
        output.seek(0)
        if process.returncode == 0:
            return ""
        return reason(output.read())


def reason(output: str) -> str:
    """Shorten podman's nested error to its innermost cause."""
    return last_lines(output, 1).rstrip().rsplit(": ", 1)[-1]


def _recall(reference: str) -> str:
    try:
        entry = json.loads(_MEMORY.read_text())[reference]
        fresh = 0 <= time.time() - float(entry["time"]) < REMEMBER_SECONDS
        return str(entry["obstacle"]) if fresh else ""
    except (OSError, ValueError, KeyError):
        return ""


def _remember(reference: str, obstacle: str) -> None:
    try:
        entries = json.loads(_MEMORY.read_text())
    except (OSError, ValueError):
        entries = {}
    entries[reference] = {"time": time.time(), "obstacle": obstacle}
    STATE.mkdir(exist_ok=True)
    _MEMORY.write_text(json.dumps(entries))
