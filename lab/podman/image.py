"""The image of an Alliance Auth server, cached under a hash of all it is made from."""

from __future__ import annotations

import hashlib
import re
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from lab.errors import LabError, last_lines
from lab.machine import network
from lab.machine.paths import LABEL_DISTRO, LABEL_IMAGE, LABEL_PROJECT, PROJECT, STATE, locked
from lab.progress import Progress

from . import base_image, engine
from .distros import Distro

ON_HOST = Path(__file__).resolve().parent.parent / "on_host"
REQUIREMENTS = "requirements.txt"
BUILD_SECONDS = 1800


@dataclass(frozen=True)
class Contents:
    """What an image holds: another Alliance Auth than the distribution's, and the community apps."""

    auth_version: str = ""
    apps: bool = False


PLAIN = Contents()


def tag(distro: Distro, contents: Contents) -> str:
    """Return the name under which podman keeps the image."""
    plain = f"auth:{distro.key}-{recipe_hash(distro.key, recipe(distro, contents))}"
    if not contents.apps:
        return f"localhost/{PROJECT}/{plain}"
    return f"localhost/{PROJECT}/apps:{distro.key}-{recipe_hash(plain, _files('apps'))}"


def recipe(distro: Distro, contents: Contents) -> dict[str, bytes]:
    """Return every file that the build of the plain image sees, by relative path."""
    files = {**_files("image"), **network.files()}
    auth_version = contents.auth_version or distro.auth_version
    if auth_version:
        text = files[REQUIREMENTS].decode()
        files[REQUIREMENTS] = requirements(text, auth_version).encode()
    return files


def _files(folder: str) -> dict[str, bytes]:
    source = ON_HOST / folder
    return {
        str(path.relative_to(source)): path.read_bytes()
        for path in sorted(source.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def requirements(pinned: str, auth_version: str) -> str:
    """Exchange Alliance Auth's version; another one may need another Celery, so pip chooses."""
    lines = [line for line in pinned.splitlines() if not line.startswith("celery==")]
    text = "\n".join(lines) + "\n"
    return re.sub(r"(?m)^allianceauth==.*$", f"allianceauth=={auth_version}", text)


def recipe_hash(base: str, files: Mapping[str, bytes]) -> str:
    """Hash what it is based on, names and contents, each with its length so that no two recipes look alike."""
    digest = hashlib.sha256(f"{base} {base_image.RECIPE}".encode())
    for name, content in sorted(files.items()):
        digest.update(f"\n{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:12]


def ensure(distro: Distro, contents: Contents, progress: Progress) -> str:
    """Have the image in podman's storage and return its name."""
    if contents.apps and distro.auth_version:
        raise LabError(
            f"The community apps need a newer Alliance Auth than {distro.auth_version}, which {distro.title} has; "
            "leave out --apps or take another --distro."
        )
    name = tag(distro, contents)
    if engine.image_exists(name):
        progress.note(f"{distro.title}: image from the cache")
        return name
    # The one with apps is made from the plain one, which has the same lock.
    plain = ensure(distro, replace(contents, apps=False), progress) if contents.apps else ""
    with locked(STATE / f"image-{distro.key}.lock"):
        if engine.image_exists(name):
            return name
        if plain:
            progress.note(f"{distro.title}: community apps (minutes)")
            _build(name, distro, plain, _files("apps"), progress)
            return name
        progress.note(f"{distro.title}: base image")
        base_name = base_image.ensure(distro)
        progress.note(f"{distro.title}: Alliance Auth, as its installation guide says (minutes)")
        _build(name, distro, base_name, recipe(distro, contents), progress)
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
    """Remove the lab's server images that nothing uses and that are not in `keep`."""
    # Those with apps first: they are made from the others.
    old = [name for name in cached() if re.search("/(apps|auth):", name) and name not in keep]
    return [name for name in old if engine.attempt("rmi", name).returncode == 0]
