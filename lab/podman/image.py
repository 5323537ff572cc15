"""The image of an Alliance Auth server, cached under a hash of all it is made from."""

from __future__ import annotations

import hashlib
import re
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from lab.errors import LabError, last_lines
from lab.machine import network
from lab.machine.paths import LABEL_DISTRO, LABEL_IMAGE, LABEL_PROJECT, PROJECT, STATE, locked
from lab.progress import Progress

from . import base_image, engine
from .distros import Distro

SOURCE = Path(__file__).resolve().parent.parent / "on_host/image"
REQUIREMENTS = "requirements.txt"
BUILD_SECONDS = 1800


def tag(distro: Distro, auth_version: str) -> str:
    """Return the name under which podman keeps the image."""
    digest = recipe_hash(distro.key, recipe(auth_version))
    return f"localhost/{PROJECT}/auth:{distro.key}-{digest}"


def recipe(auth_version: str) -> dict[str, bytes]:
    """Return every file the build sees, by relative path; no version means the pinned one."""
    files = {
        str(path.relative_to(SOURCE)): path.read_bytes()
        for path in sorted(SOURCE.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    files.update(network.files())
    if auth_version:
        text = files[REQUIREMENTS].decode()
        files[REQUIREMENTS] = requirements(text, auth_version).encode()
    return files


def requirements(pinned: str, auth_version: str) -> str:
    """Exchange Alliance Auth's version; another one may need another Celery, so pip chooses."""
    lines = [line for line in pinned.splitlines() if not line.startswith("celery==")]
    text = "\n".join(lines) + "\n"
    return re.sub(r"(?m)^allianceauth==.*$", f"allianceauth=={auth_version}", text)


def recipe_hash(distro: str, files: Mapping[str, bytes]) -> str:
    """Hash names and contents, each with its length so that no two recipes look alike."""
    digest = hashlib.sha256(f"{distro} {base_image.RECIPE}".encode())
    for name, content in sorted(files.items()):
        digest.update(f"\n{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:12]


def ensure(distro: Distro, auth_version: str, progress: Progress) -> str:
    """Have the image in podman's storage and return its name."""
    name = tag(distro, auth_version)
    if engine.image_exists(name):
        progress.note(f"{distro.title}: image from the cache")
        return name
    with locked(STATE / f"image-{distro.key}.lock"):
        if engine.image_exists(name):
            return name
        progress.note(f"{distro.title}: base image")
        base_name = base_image.ensure(distro)
        progress.note(f"{distro.title}: Alliance Auth, as its installation guide says (minutes)")
        _build(name, distro, base_name, recipe(auth_version), progress)
    return name


def _build(name: str, distro: Distro, base_name: str, files: Mapping[str, bytes], progress: Progress) -> None:
    log = STATE / f"image-{distro.key}.log"
    with tempfile.TemporaryDirectory(prefix=f"{PROJECT}-") as scratch:
        for path, content in files.items():
            target = Path(scratch) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        labels = {LABEL_PROJECT: PROJECT, LABEL_DISTRO: distro.key, LABEL_IMAGE: name}
        arguments = ["build", *engine.ULIMITS, "--build-arg", f"BASE={base_name}", "--tag", name]
        for key, value in labels.items():
            arguments += ["--label", f"{key}={value}"]
        with log.open("w") as output:
            process = subprocess.Popen(engine.command(*arguments, scratch), stdout=output, stderr=subprocess.STDOUT)
            status = _watch(process, log, progress)
    if status != 0:
        raise LabError(
            f"Building {distro.title}'s image failed, the whole log is {log}:\n"
            f"{last_lines(log.read_text(errors='replace'), 15)}"
        )


def _watch(process: subprocess.Popen[bytes], log: Path, progress: Progress) -> int:
    """Say each step of the build as it begins."""
    said = ""
    started = time.monotonic()
    while process.poll() is None:
        if time.monotonic() - started > BUILD_SECONDS:
            process.kill()
        time.sleep(0.5)
        steps = re.findall(r"(?m)^STEP (\d+/\d+: RUN .*)$", log.read_text(errors="replace"))
        if steps and steps[-1] != said:
            said = steps[-1]
            progress.note(f"  {said}")
    return process.wait()


def cached() -> list[str]:
    """Name the lab's images in podman's storage, of any hash."""
    images = engine.listed("images", "--filter", f"label={LABEL_PROJECT}={PROJECT}")
    names = (name for image in images for name in image.get("Names") or [])
    return sorted(name for name in names if name.startswith(f"localhost/{PROJECT}/"))


def prune(keep: set[str]) -> list[str]:
    """Remove the lab's server images that no container uses and that are not in `keep`."""
    old = [name for name in cached() if "/auth:" in name and name not in keep]
    return [name for name in old if engine.attempt("rmi", name).returncode == 0]
