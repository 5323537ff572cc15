"""podman, called so that it works on plain and on odd machines alike."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from typing import Any

from lab.errors import LabError, last_lines
from lab.machine.cgroups import hybrid_cgroups

# podman's own defaults exceed what some machines allow, and `--ulimit host` does too
# (podman 4.3). An Alliance Auth server opens a few hundred files.
ULIMITS = ("--ulimit", "nofile=20000:20000", "--ulimit", "nproc=20000:20000")


def command(*arguments: str) -> list[str]:
    """Return the full command line.

    crun 1.8 refuses hybrid cgroups, and `podman build` takes crun whatever
    containers.conf says, unless the runtime stands on the command line.
    """
    runtime = ["--runtime", "runc"] if hybrid_cgroups() else []
    return ["podman", *runtime, *arguments]


def podman(*arguments: str, timeout: float = 300) -> str:
    """Run podman and return its stdout; `timeout` in seconds."""
    result = attempt(*arguments, timeout=timeout)
    if result.returncode != 0:
        raise LabError(f"`podman {' '.join(arguments[:3])} ...` failed: {last_lines(result.stderr)}")
    return result.stdout


def attempt(*arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Run podman where a failure is an answer."""
    try:
        return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=timeout, check=False)
    except FileNotFoundError as error:
        raise LabError("podman is not installed; run `python3 -m lab prerequisites`.") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"`podman {' '.join(arguments[:3])} ...` gave no answer in {timeout:.0f} s.") from error


def image_exists(tag: str) -> bool:
    """Say whether podman's storage holds the image."""
    return attempt("image", "exists", tag).returncode == 0


def manages_cgroups() -> bool:
    """Say whether podman makes the containers' control groups by itself, without systemd."""
    return podman("info", "--format", "{{.Host.CgroupManager}}").strip() == "cgroupfs"


def listed(*arguments: str) -> list[dict[str, Any]]:
    """Return what a podman listing with `--format json` shows; an empty listing prints nothing."""
    parsed = json.loads(podman(*arguments, "--format", "json") or "null")
    return list(parsed or [])


def run_in_terminal(arguments: Sequence[str]) -> int:
    """Hand the terminal to podman; return its exit status."""
    return subprocess.run(command(*arguments), check=False).returncode
