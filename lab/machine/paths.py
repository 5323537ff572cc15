"""Where the lab keeps what it makes: `.lab/` in the checkout, and labels in podman."""

from __future__ import annotations

import fcntl
import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.errors import LabError

CHECKOUT = Path(__file__).resolve().parent.parent.parent
STATE = CHECKOUT / ".lab"

PROJECT = "allianceauth-tuning"
# The lab that was given no name. A real name cannot be a lone dash.
UNNAMED = "-"

# Everything the lab makes in podman carries these; it touches nothing that does not.
LABEL_PROJECT = f"{PROJECT}.project"
LABEL_CHECKOUT = f"{PROJECT}.checkout"
LABEL_LAB = f"{PROJECT}.lab"
LABEL_HOST = f"{PROJECT}.host"
LABEL_DISTRO = f"{PROJECT}.distro"
LABEL_IMAGE = f"{PROJECT}.image"


def checkout_id() -> str:
    """Tell this checkout from another on the same machine."""
    return hashlib.sha256(str(CHECKOUT).encode()).hexdigest()[:8]


def lab_name(text: str) -> str:
    """Return `text` if it can be a folder and part of a container's name."""
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", text):
        raise LabError(f"--name {text!r}: a lab's name has 1 to 40 small letters, digits and inner dashes.")
    return text


def folder(lab: str) -> Path:
    """Return the lab's folder, which holds its inventory and known hosts."""
    path = STATE if lab == UNNAMED else STATE / lab
    path.mkdir(parents=True, exist_ok=True)
    return path


def titled(lab: str) -> str:
    """Name the lab in a sentence."""
    return "the lab" if lab == UNNAMED else f"lab {lab}"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one process at a time work on what `path` guards."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"Waiting for another command that works on {path.stem} ...", flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
