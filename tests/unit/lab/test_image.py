"""The cache may never hand out an image that is made from something else."""

from __future__ import annotations

import pytest

from lab.errors import LabError
from lab.podman import image
from lab.podman.distros import DISTROS
from lab.podman.image import PLAIN, Contents
from lab.progress import Progress

FILES = {"Containerfile": b"FROM x", "lab_tasks/tasks.py": b"sleep"}


@pytest.mark.parametrize(
    "other",
    [
        {**FILES, "lab_tasks/tasks.py": b"sleep more"},
        {**FILES, "pip.conf": b""},
        {"Containerfile": b"FROM x"},
        {"Containerfile": b"FROM x", "lab_tasks/views.py": b"sleep"},
    ],
    ids=["content", "added", "removed", "renamed"],
)
def test_any_change_of_a_file_makes_another_image(other: dict[str, bytes]) -> None:
    assert image.recipe_hash("debian12", other) != image.recipe_hash("debian12", FILES)


def test_each_distribution_has_its_own_image() -> None:
    assert image.recipe_hash("debian12", FILES) != image.recipe_hash("debian13", FILES)


def test_the_order_in_which_files_are_found_does_not_matter() -> None:
    found_otherwise = dict(reversed(FILES.items()))
    assert image.recipe_hash("debian12", found_otherwise) == image.recipe_hash("debian12", FILES)


def test_another_auth_version_replaces_the_pin_and_frees_celery() -> None:
    pinned = "allianceauth==5.5.0\ncelery==5.7.0\ngunicorn==27.0.0\n"
    assert image.requirements(pinned, "4.6.4") == "allianceauth==4.6.4\ngunicorn==27.0.0\n"


def test_a_distribution_has_the_alliance_auth_that_its_python_can_have() -> None:
    def pinned(distro: str, contents: Contents) -> str:
        return image.recipe(DISTROS[distro], contents)["requirements.txt"].decode()

    assert "allianceauth==4.6.4\n" in pinned("debian11", PLAIN)
    assert "allianceauth==5.0.0\n" in pinned("debian12", Contents(auth_version="5.0.0"))


def test_an_image_with_apps_is_another_one_and_follows_the_plain_one() -> None:
    apps = image.tag(DISTROS["debian12"], Contents(apps=True))
    assert "/apps:debian12-" in apps
    assert apps != image.tag(DISTROS["debian12"], Contents(auth_version="5.0.0", apps=True))


def test_apps_for_an_alliance_auth_that_is_too_old_for_them_are_refused() -> None:
    with pytest.raises(LabError, match=r"4\.6\.4, which Debian 11 has; leave out --apps"):
        image.ensure(DISTROS["debian11"], Contents(apps=True), Progress(steps=1))


def test_the_recipe_holds_what_the_build_file_copies() -> None:
    files = image.recipe(DISTROS["debian12"], PLAIN)
    assert {"Containerfile", "pip.conf", "requirements.txt", "lab_tasks/tasks.py"} <= set(files)
    assert not any("__pycache__" in name for name in files)
