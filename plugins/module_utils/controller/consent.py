# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell what would change on a server that somebody has chosen there and nobody has set in the variables.

``changes`` are those that ``conf/manual_changes.py`` finds, as mappings, in the words of its class Change.
"""

from __future__ import annotations

import json
from typing import Any, Callable, Iterable, Mapping, Sequence

from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.change import PLACEHOLDER

Change = Mapping[str, Any]


class Variables:
    """What was set explicitly: above the role's defaults, in the inventory, a play, a role's parameters or with -e."""

    def __init__(self, values: Mapping[str, Any], explicit: Iterable[str]) -> None:
        self._values = {name: values[name] for name in explicit if name in values}

    def has(self, path: Sequence[str]) -> bool:
        """Whether a variable, or a key in it, was set."""
        if path[0] not in self._values:
            return False
        found: Any = self._values[path[0]]
        for key in path[1:]:
            if isinstance(found, (list, tuple)):
                # Of auth_workers, whose later entries of one name add to the earlier ones.
                found = {
                    name: value
                    for entry in found
                    if isinstance(entry, Mapping) and entry.get("name") == key
                    for name, value in entry.items()
                }
            elif isinstance(found, Mapping) and key.lower() in {str(name).lower() for name in found}:
                found = next(value for name, value in found.items() if str(name).lower() == key.lower())
            else:
                return False
            if found == {}:
                return False
        return True

    def have_limit(self) -> bool:
        """Whether a memory limit was set, of whatever program; an empty one is none."""
        entries = [*(self._values.get("auth_workers") or []), *(self._values.get("auth_extra_programs") or {}).values()]
        common = any(value for name, value in self._values.items() if name.endswith("_memory_limit"))
        return common or any(entry.get("memory_limit") for entry in entries)

    def pools(self) -> list[dict[str, Any]]:
        """Return the entries of auth_workers that were set."""
        found: list[dict[str, Any]] = _plain(self._values.get("auth_workers") or [])
        return found


def unasked(changes: Iterable[Change], variables: Variables) -> list[Change]:
    """Return the changes that nobody has asked for, of what somebody has chosen."""
    return [
        change
        for change in changes
        if change["chosen"] and not any(variables.has(path) for path in change["settled_by"])
    ]


def line(change: Change) -> str:
    """Return a change as one line: what, how it is, how it would be, and the variable or the reason."""
    name = change["section"].rpartition(":")[2]
    what = f"{name} {change['item']}".rstrip() if change["item"] else f"[{change['section']}]"
    why = _why(change)
    return f"{what}: {change['now']} -> {change['then']}" + (f" ({why})" if why else "")


def _why(change: Change) -> str:
    """Return the reason for a change, or what gives or keeps the value."""
    if change["reason"]:
        return str(change["reason"])
    paths = [*change["settled_by"], *(path for path, _value in change["keeps"])][:1]
    # Of a whole program, the entry and not its first key.
    shown = [_shown(path if change["item"] else path[:2]) for path in paths]
    return "; ".join([text for text in [change["hint"], *shown] if text])


def _shown(path: Sequence[str]) -> str:
    if path[0] == "auth_workers" and len(path) > 1:
        return f"{path[2]} of {path[1]} in auth_workers" if len(path) > 2 else f"{path[1]} in auth_workers"
    return ".".join(path)


def summary(changes: Sequence[Change]) -> list[str]:
    """Return all changes as lines: the values, then what the role changes on purpose, each reason once."""
    reasons: dict[str, list[Change]] = {}
    for change in changes:
        if change["reason"]:
            reasons.setdefault(str(change["reason"]), []).append(change)
    lines = [line(change) for change in changes if not change["reason"]]
    for reason, alike in reasons.items():
        items = dict.fromkeys(str(change["item"]) for change in alike)
        lines.append(line(alike[0]) if len(alike) == 1 else f"{', '.join(items)}: {reason}")
    return lines


def sayable(
    changes: Sequence[Change], variables: Variables, problems: Callable[[Mapping[str, Any]], Sequence[str]]
) -> list[Change]:
    """Return the changes; what would keep one is taken out, with the reason, where the role would refuse it.

    ``problems`` returns what is wrong with variables that are added to those that were set.
    """
    kept = {number: change for number, change in enumerate(changes) if change["keeps"]}
    refused: dict[int, str] = {}
    wrong = problems(_tree(kept.values(), variables))
    while wrong and kept:
        fewer = {
            number: problems(_tree([one for other, one in kept.items() if other != number], variables))
            for number in kept
        }
        worst = min(fewer, key=lambda number: len(fewer[number]))
        refused[worst] = "; ".join(sentence for sentence in wrong if sentence not in fewer[worst])
        del kept[worst]
        wrong = fewer[worst]
    return [
        {**change, "keeps": (), "hint": refused[number] or "no variable can hold it"} if number in refused else change
        for number, change in enumerate(changes)
    ]


def _tree(changes: Iterable[Change], variables: Variables) -> dict[str, Any]:
    """Return what the changes' variables are together, as `block` has people write them."""
    changes = list(changes)
    tree: dict[str, Any] = {}
    if any(path[0] == "auth_workers" for change in changes for path, _value in change["keeps"]):
        tree["auth_workers"] = variables.pools()
    for change in changes:
        put(tree, change["keeps"])
    return tree


def added(given: Mapping[str, Any], tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return variables with those of a `block` added, something in the place of each secret."""
    found = dict(given)
    for name, value in tree.items():
        known = found.get(name)
        if isinstance(value, Mapping):
            found[name] = added(known if isinstance(known, Mapping) else {}, value)
        else:
            found[name] = "x" if value == PLACEHOLDER else value
    return found


def question(host: str, path: str, changes: Sequence[Change], variables: Variables, place: str) -> list[str]:
    """Return the lines that show what would change unasked, and how to answer: by variables in the file ``place``."""
    keeping = [change for change in changes if change["keeps"]]
    lost = [change for change in changes if not change["keeps"]]
    lines = [
        "",
        f"{host}: somebody has chosen these values in {path}, and no variable that you have set asks for others.",
        "Nothing was touched. Now -> would be (the variable):",
        "",
        *(f"  {line(change)}" for change in changes),
        "",
    ]
    if keeping:
        lines += [
            f"To keep all of it, put these lines into {place}, in the folder of your inventory.",
            "Where you want another value, write that one instead: then it is you who asks for it.",
            "",
            *(f"  {text}" for text in block(keeping, variables)),
            "",
        ]
    if any(value == PLACEHOLDER for change in keeping for _path, value in change["keeps"]):
        lines += [f"Put each secret in its place; it stands in {path} on the server. ansible-vault encrypts it.", ""]
    if lost:
        lines += [
            "No variable keeps the others: do what stands behind each, or name those that may go in auth_discard.",
            "",
            "  auth_discard:",
            *(f"    - {_scalar(change['names'][0])}" for change in lost if change["names"]),
            "",
        ]
    return lines


def block(changes: Sequence[Change], variables: Variables) -> list[str]:
    """Return the lines of YAML that keep what the changes would take.

    Pools that were set are among them, because a host's list hides that of its group. Other variables may have
    secrets in them, and have to be completed where they stand.
    """
    lines = []
    for name, value in _tree(changes, variables).items():
        if variables.has([name]) and isinstance(value, dict):
            lines.append(f"# Add this to the {name} that you have:")
        lines += _yaml({name: value}).splitlines()
    return lines


def put(tree: dict[str, Any], keeps: Iterable[tuple[Sequence[str], Any]]) -> None:
    """Put what keeps something into variables: paths with values, as a change has them."""
    for path, value in keeps:
        _put(tree, list(path), value)


def _put(tree: dict[str, Any], path: list[str], value: Any) -> None:
    if path[0] == "auth_workers":
        entries = tree.setdefault("auth_workers", [])
        entry = next((one for one in entries if one["name"] == path[1]), None)
        if entry is None:
            entry = {"name": path[1]}
            entries.append(entry)
        tree, path = entry, path[2:]
    for key in path[:-1]:
        tree = tree.setdefault(key, {})
    known = tree.get(path[-1])
    # Each further argument of a command comes by itself.
    tree[path[-1]] = [*known, *value] if isinstance(known, list) else value


def _plain(value: Any) -> Any:
    """Return a value of plain types; YAML cannot write ansible-core's own, which know where a text comes from."""
    if isinstance(value, Mapping):
        return {_plain(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        return int(value) if isinstance(value, int) else float(value)
    # With ansible-core 2.16, str() of its text is such a text again.
    return json.loads(json.dumps(value if isinstance(value, str) else str(value)))


def _scalar(text: str) -> str:
    return _yaml([text]).strip()[len("- ") :]


def _yaml(value: Any) -> str:
    # Here, because ansible-test imports module_utils without what ansible-core brings along.
    import yaml

    return str(yaml.safe_dump(_plain(value), sort_keys=False, allow_unicode=True, width=1000))
