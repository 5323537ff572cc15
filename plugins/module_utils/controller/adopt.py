# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Describe a server as it is by the role's variables, and say what they cannot describe.

``changes`` are those that ``conf/manual_changes.py`` finds between the server's file and one that the role would write.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Callable, Iterable, Iterator, Mapping, Sequence

from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.change import NOTHING, PLACEHOLDER
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import consent
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.variables import NAMES

Change = Mapping[str, Any]
Path = Sequence[str]

# Where the project is. They come from what was found, and not from a comparison.
PLACES: Mapping[str, str] = {
    "auth_project": "The project's name, which is also that of its supervisor group.",
    "auth_user": "The user that runs the site, the workers and beat.",
    "auth_project_dir": "The folder with manage.py.",
    "auth_venv": "The virtual environment.",
    "auth_supervisor_conf": "The file that root's daemon loads.",
}

# What describes a server, with what is written above it.
COMMENTS: Mapping[str, str] = {
    "auth_worker_concurrency": "Tasks at once in each worker process.",
    "auth_worker_numprocs": "Worker processes.",
    "auth_worker_memory_limit": "Memory at which memmon restarts a worker process; empty for none.",
    "auth_worker_loglevel": "info writes a line for every task into log/worker.log.",
    "auth_worker_stopwaitsecs": "Seconds that a stopping worker has for its running tasks.",
    "auth_worker_pool": "Celery's pool.",
    "auth_worker_options": "Further arguments of celery worker.",
    "auth_workers": "Further pools with queues of their own, and what one pool alone has.",
    "auth_extra_programs": "Programs of community apps.",
    "auth_beat": "Whether this host runs beat: exactly one has to.",
    "auth_beat_memory_limit": "Memory at which memmon restarts beat.",
    "auth_beat_options": "Further arguments of celery beat.",
    "auth_gunicorn": "Whether this host runs the site.",
    "auth_memmon": "Whether memmon watches the limits.",
    "auth_memmon_event": "How often memmon looks.",
    "auth_memmon_email": "Who gets a mail when memmon restarts a process.",
    "auth_memmon_sendmail": "The command that takes memmon's mails.",
    "auth_memmon_uptime": "The longest uptime at which a restart is worth a mail.",
    "auth_memmon_name": "The name in the subject of memmon's mails.",
    "auth_crashmail_email": "Who gets a mail when a program dies.",
    "auth_httpok_url": "A page that has to answer, or gunicorn is restarted.",
    "auth_environment": "Environment variables of all programs.",
    "auth_program_settings": "Further options of one program's section, and its own environment.",
    "auth_gunicorn_workers": "Processes that answer the site's visitors.",
    "auth_gunicorn_timeout": "Seconds after which gunicorn ends a worker that does not answer.",
    "auth_gunicorn_bind": "The address that your web server asks.",
    "auth_gunicorn_memory_limit": "Memory of gunicorn with all its workers.",
    "auth_gunicorn_stopsignal": "TERM lets requests finish, INT aborts them.",
    "auth_gunicorn_options": "Further arguments of gunicorn.",
}

# An earlier default of the templates and of this role, which nobody has chosen and healthy workers reach.
_TEMPLATES_LIMIT = "256MB"
_WHY_LIMIT = "it is an example in Alliance Auth's template, which a healthy worker with community apps reaches"


class Secret(str):
    """A value that belongs into the file of secrets."""

    __slots__ = ()


@dataclass(frozen=True)
class Adopted:
    """The variables by name, secrets among them, what they leave to be changed, and what they could not say."""

    variables: Mapping[str, Any]
    left: Sequence[Change]
    refused: Sequence[str]


def adopt(
    start: Mapping[str, Any],
    explicit: Mapping[str, Any],
    compare: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    problems: Callable[[Mapping[str, Any]], Sequence[str]],
) -> Adopted:
    """Return what describes the server, beside the variables of ``start``, and what is left with that.

    ``explicit`` are defaults that have to be said where nothing else is, because the inventory says otherwise.
    ``compare`` returns the ``value_changes`` and ``secrets`` of ``auth_adopt_info`` for variables, ``problems`` what is
    wrong with variables: what they cannot say is left out, with the reason.
    """
    seen = compare(start)
    found, refused = _sayable(seen["value_changes"], seen["secrets"], start, problems)
    final = {**{name: value for name, value in explicit.items() if name not in found}, **found}
    return Adopted(final, compare(final)["value_changes"], refused)


def _sayable(
    changes: Iterable[Change],
    secrets: Iterable[tuple[Path, str]],
    start: Mapping[str, Any],
    problems: Callable[[Mapping[str, Any]], Sequence[str]],
) -> tuple[dict[str, Any], list[str]]:
    known = {tuple(path): value for path, value in secrets}
    parts: dict[tuple[str, ...], list[tuple[Path, Any]]] = {}
    for path, value in _keeps(changes):
        if value == PLACEHOLDER and tuple(path) not in known:
            continue
        # A program, or a pool, is kept as a whole.
        whole = path[:2] if path[0] in ("auth_workers", "auth_extra_programs", "auth_program_settings") else path[:1]
        kept = Secret(known[tuple(path)]) if value == PLACEHOLDER else value
        parts.setdefault(tuple(whole), []).append((path, kept))
    refused: list[str] = []
    wrong = problems(_together(start, parts.values()))
    while wrong and parts:
        fewer = {name: problems(_together(start, _without(parts, name))) for name in parts}
        name = min(fewer, key=lambda one: len(fewer[one]))
        refused += [sentence for sentence in wrong if sentence not in fewer[name]]
        del parts[name]
        wrong = fewer[name]
    return _together(start, parts.values()), refused


def is_deliberate(change: Change) -> str:
    """Return why the role changes something on purpose, empty if it does not."""
    # What has a hint is to be kept in another way.
    stock = change["item"] == "memory limit" and change["now"] == _TEMPLATES_LIMIT and change["then"] != NOTHING
    stock = stock and not change["hint"]
    return str(change["reason"] or (_WHY_LIMIT if stock else ""))


def _keeps(changes: Iterable[Change]) -> Iterator[tuple[Path, Any]]:
    for change in changes:
        if not is_deliberate(change):
            yield from change["keeps"]


def _without(parts: Mapping[tuple[str, ...], list[tuple[Path, Any]]], name: tuple[str, ...]) -> list[Any]:
    return [part for other, part in parts.items() if other != name]


def _together(variables: Mapping[str, Any], parts: Iterable[list[tuple[Path, Any]]]) -> dict[str, Any]:
    found = _copy(variables)
    for keeps in parts:
        consent.put(found, keeps)
    return dict(found)


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copy(one) for key, one in value.items()}
    return [_copy(one) for one in value] if isinstance(value, list) else value


def texts(variables: Mapping[str, Any], taken: Iterable[str], when: str) -> tuple[str, str, int]:
    """Return the texts of auth.yml and of the file with secrets, "" if there are none, and their number.

    ``taken`` are names of variables that are others'.
    """
    secrets: dict[str, Any] = {}
    referring = _refer(variables, (), secrets, set(taken))
    lines = [f"# This server as adopt found it on {when}: what differs from the defaults of allianceauth.tuning."]
    # In the README's order; one that has no place in it comes last.
    order = {name: place for place, name in enumerate(NAMES)}
    for name in sorted(referring, key=lambda one: order.get(one, len(order))):
        comment = PLACES.get(name) or COMMENTS.get(name)
        lines += ["", *([f"# {comment}"] if comment else []), _yaml({name: referring[name]}).rstrip()]
    if not referring:
        lines += ["", "# Nothing does.", "{}"]
    head = "# Secrets that auth.yml refers to. Encrypt this file with ansible-vault.\n---\n"
    return "\n".join(["---", *lines, ""]), head + _yaml(secrets) if secrets else "", _count(secrets)


def _count(secrets: Mapping[str, Any]) -> int:
    return sum(len(one) if isinstance(one, dict) else 1 for one in secrets.values())


# Text that ansible-core before 2.19 makes a list, a mapping or a truth value of where a template gives it alone. Inside
# of a mapping it stays as it is. Source: ansible/template/__init__.py (ansible_eval_concat)
_TAKEN_FOR_DATA = re.compile(r"[\[{]|(?:True|False)\Z")


class _Reference(str):
    """A template of ours, which Ansible is to expand."""

    __slots__ = ()


def _refer(value: Any, path: tuple[str, ...], secrets: dict[str, Any], taken: set[str]) -> Any:
    """Return variables with a reference in the place of each secret, which is put into ``secrets`` by its name."""
    if isinstance(value, Secret):
        return _reference(str(value), path, secrets, taken)
    if isinstance(value, Mapping):
        if any(isinstance(one, Secret) and _TAKEN_FOR_DATA.match(one) for one in value.values()):
            return _reference({key: str(one) for key, one in value.items()}, (*path, "all"), secrets, taken)
        return {key: _refer(one, (*path, str(key)), secrets, taken) for key, one in value.items()}
    if isinstance(value, list):
        return [_refer(one, path, secrets, taken) for one in value]
    # Without what ansible-core 2.19 attaches to it, which YAML could not write.
    return value if value is None or isinstance(value, bool) else int(value) if isinstance(value, int) else str(value)


def _reference(value: Any, path: tuple[str, ...], secrets: dict[str, Any], taken: set[str]) -> _Reference:
    words = [word for word in path if word != "environment" and not word.startswith("auth_")]
    name = re.sub(r"[^a-z0-9_]", "_", "_".join(["vault", *words]).lower())
    while name in taken:
        name += "_2"
    taken.add(name)
    secrets[name] = value
    return _Reference("{{ " + name + " }}")


def _yaml(value: Any) -> str:
    # Here, because ansible-test imports module_utils without what ansible-core brings along.
    import yaml

    class Dumper(yaml.SafeDumper):
        """Writes text of a server's that looks like a template so that Ansible does not expand it."""

        def increase_indent(self, flow: bool = False, indentless: bool = False) -> Any:
            return super().increase_indent(flow, False)

    def text(dumper: Any, found: str) -> Any:
        looks = not isinstance(found, _Reference) and re.search(r"\{[{%#]", found)
        return dumper.represent_scalar("!unsafe" if looks else "tag:yaml.org,2002:str", str(found))

    for kind in (str, _Reference):
        Dumper.add_representer(kind, text)
    return str(yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=1000))


def lines(host: str, adopted: Adopted, found: Mapping[str, Any]) -> list[str]:
    """Return what `apply` will do to the server that is now described, and what no variable describes.

    ``found`` is what ``auth_adopt_info`` returned of the project.
    """
    deliberate = [{**change, "reason": is_deliberate(change)} for change in adopted.left if is_deliberate(change)]
    left = [change for change in adopted.left if not is_deliberate(change)]
    said = []
    if deliberate:
        said += ["", "apply changes on purpose:", *(f"  {text}" for text in consent.summary(deliberate))]
    if left or adopted.refused:
        said += ["", "No variable can hold this; apply stops and asks about what somebody has chosen of it:"]
        said += [f"  {consent.line(change)}" for change in left]
        said += [f"  {sentence.removeprefix(f'{host}: ')}" for sentence in adopted.refused]
    for path, titles in found["elsewhere"].items():
        names = ", ".join(f"[{title}]" for title in titles)
        said += [
            "",
            f"{names} of this project stand in {path} on the server, and apply writes one file.",
            f"Move them into {found['path']} before it; that changes nothing for supervisord.",
        ]
    for path, titles in found["apart"].items():
        names = ", ".join(f"[{title}]" for title in titles)
        said += ["", f"{names} in {path} on the server go on without this collection."]
    return said


def overridden(described: Mapping[str, Any], effective: Mapping[str, Any], explicit: Iterable[str]) -> list[str]:
    """Return the variables to which the inventory gives another value than the server has."""
    return [name for name in COMMENTS if name in set(explicit) and described[name] != effective[name]]


def pools_to_keep(pools: Any) -> list[dict[str, Any]]:
    """Return of auth_workers what no file on a server shows: whether a pool's tasks are taken over meanwhile."""
    return [
        {"name": str(pool["name"]), "handover": bool(pool["handover"])}
        for pool in (pools if isinstance(pools, (list, tuple)) else [])
        if isinstance(pool, Mapping) and {"name", "handover"} <= set(pool)
    ]
