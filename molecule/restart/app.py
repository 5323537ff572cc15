# Copyright (c) 2026 The allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A community app in several versions, as wheels: what is installed and then restarted into.

    python app.py FOLDER

Each version has the task `lab_app.common`, which writes its version into the ledger as the worker, and one
that only its major version has, `lab_app.only_N`. From 2.0 on the common task queues one of those.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

TASKS = """
from celery import shared_task
from lab_tasks.ledger import record
from lab_tasks.patience import last

VERSION = "{version}"


def work(task, seconds, key):
    record("start", key, VERSION, str(task.request.id))
    last(seconds, key)
    record("end", key, VERSION, str(task.request.id))


@shared_task(bind=True, name="lab_app.common")
def common(self, seconds, key):
    work(self, seconds, key)
    if VERSION >= "2":
        only.apply_async(kwargs={{"seconds": 0, "key": "only-" + key}})


@shared_task(bind=True, name="lab_app.only_{major}")
def only(self, seconds, key):
    work(self, seconds, key)
"""

MODELS = """
from django.db import models


class Thing(models.Model):
    class Meta:
        app_label = "lab_app"
"""

MIGRATION = """
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel("Thing", [("id", models.BigAutoField(primary_key=True, serialize=False))]),
    ]
"""

# The files that each has besides, and what it needs.
VERSIONS: dict[str, tuple[dict[str, str], str]] = {
    "1.0": ({}, ""),
    "1.1": ({}, ""),
    "2.0": ({}, ""),
    "3.0": ({"models.py": "import no_such_module_of_the_lab\n"}, ""),
    "4.0": ({"models.py": MODELS, "migrations/__init__.py": "", "migrations/0001_initial.py": MIGRATION}, ""),
    "2.1": ({}, "allianceauth>=99"),
}


def write(folder: Path, version: str) -> Path:
    """Write the wheel of one version. Source: PEP 427."""
    files, needs = VERSIONS[version]
    info = f"lab_app-{version}.dist-info"
    needed = f"Requires-Dist: {needs}\n" if needs else ""
    contents = {
        "lab_app/__init__.py": "",
        "lab_app/tasks.py": TASKS.format(version=version, major=version[0]),
        **{f"lab_app/{name}": text for name, text in files.items()},
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: lab-app\nVersion: {version}\n{needed}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: lab\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    path = folder / f"lab_app-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in contents.items():
            wheel.writestr(name, text)
        wheel.writestr(f"{info}/RECORD", "".join(f"{name},,\n" for name in [*contents, f"{info}/RECORD"]))
    return path


if __name__ == "__main__":
    for each in VERSIONS:
        print(write(Path(sys.argv[1]), each))
