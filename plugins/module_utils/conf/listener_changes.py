# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare what memmon watches, and the listeners of both files."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Iterator

from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import description, templates
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.change import (
    NOT_SHOWN,
    NOTHING,
    Change,
    Path,
    joined,
)
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.description import Description, Limit, Section
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.options import CUMULATIVE
from ansible_collections.allianceauth.tuning.plugins.module_utils.model import memmon
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.program import FORKING_POOLS

_WHY_CUMULATIVE = "its children count as well, whose memory it was meant for"
_WHY_ALONE = "it has no children that could count"
_WHY_STEPS = "processes of a pool that leak alike are not restarted at the same moment"
_WHY_MEMMON = "each process has a memmon of its own, which no other one keeps waiting"
_WHY_NO_MEMMON = "no process has a limit that it could watch"
_WHY_ROTATION = "the role rotates the logs of its listeners as those of the programs"
_APART = "only a listener of another name, in a file of its own in conf.d, can have it"

# Options of a listener that say where it is and who it is.
_PLACES = frozenset({"user", "directory", "stdout_logfile", "stderr_logfile"})
_ROTATION = frozenset({"stderr_logfile_maxbytes", "stderr_logfile_backups"})

_WHY_LIMIT = "it was that of the small main process alone, and never reached"
_WHY_EACH = "each process of the pool has it from now on, not only some"


class ListenerChanges:
    """The changes of limits and listeners."""

    def __init__(self, before: Description, after: Description) -> None:
        self.before = before
        self.after = after

    def limits(self) -> Iterator[Change]:
        """Yield the changes of what memmon watches."""
        names = dict.fromkeys([*self.before.limits, *self.after.limits])
        for name in names:
            now, then = self.before.limits.get(name), self.after.limits.get(name)
            section = self.after.programs.get(name)
            if section is None:
                if name not in self.before.programs and now:
                    yield self._foreign_limit(name, now)
            elif now and then and now.sizes == then.sizes:
                yield from self._same_size(name, section, now, then)
            elif now or then:
                yield self._other_size(name, section, now, then)

    def _same_size(self, name: str, section: Section, now: Limit, then: Limit) -> Iterator[Change]:
        if now.count < min(self._processes(name), then.count):
            yield self._limit_change(name, section, now, then, chosen=False, reason=_WHY_EACH)
        elif then.cumulative and not now.cumulative:
            yield self._limit_change(name, section, now, then, chosen=False, reason=_WHY_CUMULATIVE)
        elif now.cumulative and not then.cumulative:
            yield self._without_children(name, section, now, then)
        elif now.alike and then.in_steps:
            yield self._limit_change(name, section, now, then, chosen=False, reason=_WHY_STEPS)

    def _other_size(self, name: str, section: Section, now: Limit | None, then: Limit | None) -> Change:
        # The guide's, and what this role wrote for each pool by default.
        limited = name in templates.LIMITED or section.kind == "worker"
        has_children = section.kind == "gunicorn" or self._forks(name)
        stock = now is not None and limited and now.sizes == {templates.LIMIT}
        # No template has them count.
        stock = stock and not (has_children and now and now.cumulative)
        unreached = stock and has_children
        if unreached and then is not None and section.kind == "worker":
            change = self._limit_change(name, section, now, then, chosen=True, reason="")
            # Kept, it is none: with a limit for all of them the children would count.
            return replace(change, keeps=tuple((path, "") for path, _size in change.keeps), hint=_WHY_LIMIT)
        reason = _WHY_LIMIT if unreached and then is None else ""
        chosen = self._taken_out(name) if now is None else not stock
        return self._limit_change(name, section, now, then, chosen=chosen, reason=reason)

    def _processes(self, name: str) -> int:
        numprocs = self.before.programs[name].options.get("numprocs", "1") if name in self.before.programs else "1"
        return int(numprocs) if numprocs.isdecimal() else 1

    def _forks(self, name: str) -> bool:
        """Whether a program is a worker now whose children do its tasks."""
        before = self.before.programs.get(name)
        return before is not None and before.kind == "worker" and (before.argument("-P") or "prefork") in FORKING_POOLS

    def _taken_out(self, name: str) -> bool:
        """Whether a program has no limit because somebody took out what its template has."""
        before = self.before.programs.get(name)
        # The first template with a worker_services has a limit for the worker alone.
        if name == "worker_services" and self.before.memmons:
            return False
        return before is not None and templates.has_limit(before, name, self.before.environment)

    def _limit_change(
        self, name: str, section: Section, now: Limit | None, then: Limit | None, chosen: bool, reason: str
    ) -> Change:
        path: Path
        settled: tuple[Path, ...]
        own: Path = ("auth_workers", name, "memory_limit")
        if section.kind == "worker":
            common: Path = ("auth_worker_memory_limit",)
            others = [
                self.before.limits.get(other)
                for other, one in self.after.programs.items()
                if one.kind == "worker" and other != name and other in self.before.programs
            ]
            alike = all((other and other.size) == (now and now.size) for other in others)
            path = common if name == "worker" and alike else own
            settled = (common, own) if name == "worker" else (own,)
        elif section.kind in ("beat", "gunicorn"):
            path = (f"auth_{name}_memory_limit",)
            settled = (path,)
        else:
            path = ("auth_extra_programs", name, "memory_limit")
            settled = (path,)
        keeps: tuple[tuple[Path, Any], ...] = ((path, memmon.size_text(now.size) if now else ""),)
        if now and now.cumulative and section.kind == "extra":
            keeps += ((("auth_extra_programs", name, CUMULATIVE), True),)
        listener, argument = self._gives_limit(name)
        return Change(
            section.name,
            "memory limit",
            _shown(now),
            _shown(then),
            chosen,
            keeps,
            # It takes all limits away, and brings back all that were taken out.
            settled if now and self.after.memmons else (*settled, ("auth_memmon",)),
            tuple(dict.fromkeys((f"{listener} -p {name}", f"{listener} -p", f"{listener} {argument}"))),
            reason=reason,
        )

    def _without_children(self, name: str, section: Section, now: Limit, then: Limit) -> Change:
        """Return the change of a limit whose size stays, and which is for a program alone from now on."""
        if section.kind != "extra":
            return self._limit_change(name, section, now, then, chosen=False, reason=_WHY_ALONE)
        change = self._limit_change(name, section, now, then, chosen=True, reason="")
        # A size that was set says nothing of the children.
        return replace(change, settled_by=(("auth_extra_programs", name, CUMULATIVE),))

    def _foreign_limit(self, name: str, now: Limit) -> Change:
        listener, argument = self._gives_limit(name)
        stock = name in templates.LIMITED and now.sizes == {templates.LIMIT}
        return Change(
            listener,
            argument,
            _shown(now),
            NOTHING,
            chosen=not stock,
            names=(f"{listener} {argument}", f"{listener} {argument[:2]}"),
            hint=f"{name} is not in this file: give it a memmon of another name in a file of its own in conf.d",
        )

    def _gives_limit(self, name: str) -> tuple[str, str]:
        """Return the memmon that a program has its limit from, and the argument as auth_discard names it."""
        found = []
        for listener in self.before.memmons:
            for one in listener.arguments:
                if one.name == "-p" and description.program_of(one.value) == name:
                    return listener.name, f"-p {name}"
                group = one.value.partition("=")[0]
                if one.name == "-g" and name in description.members(group, self.before.programs, self.before.other):
                    found.append((listener.name, f"-g {group}"))
        return found[0] if found else ("eventlistener:memmon", f"-p {name}")

    def listeners(self) -> Iterator[Change]:
        """Yield the changes of the listeners themselves."""
        for listener in self.before.listeners.values():
            after = self.after.listeners.get(listener.name.partition(":")[2])
            if listener.kind == "memmon" or after is not None:
                yield from self._environment(listener)
            if listener.kind == "memmon":
                yield from self._memmon(listener)
            elif after is None:
                yield self._listener_gone(listener)
            elif after.kind == listener.kind:
                yield from self._changed(listener, after)
            else:
                now, then = joined(listener.words), joined(after.words)
                yield self._only_apart(listener, "command", now, then, f"{listener.name}.command")

    def _environment(self, before: Section) -> Iterator[Change]:
        """Yield the environment variables of a listener that the role's, which have none of their own, do not get."""
        for variable, value in before.environment.items():
            if self.after.environment.get(variable) != value:
                yield self._only_apart(before, f"environment {variable}", NOT_SHOWN, None, f"{before.name}.{variable}")

    def _memmon(self, before: Section) -> Iterator[Change]:
        after = self.after.memmons
        if not after or before.name in [one.name for one in after]:
            # With no limit there is nobody to tell of one.
            after = [one for one in after if one.name == before.name]
        mails = before.argument("-m") is not None
        for item in before.table.items:
            if not item.variable.startswith("auth_memmon_") or not after:
                continue
            if (item.name == "-n" or item.name in ("-s", "-u")) and not mails:
                # They say how to mail.
                continue
            now = before.argument(item.name) if item.is_argument else before.options.get(item.name)
            then = after[0].argument(item.name) if item.is_argument else after[0].options.get(item.name)
            if now == then:
                continue
            chosen = now is not None and item.name != "user" and not (item.name == "events" and now == templates.EVENTS)
            path: Path = (item.variable,)
            joint = " " if item.is_argument else "."
            yield Change(
                before.name,
                item.names[-1],
                now or NOTHING,
                then or NOTHING,
                chosen,
                ((path, now),) if now else (),
                (path,),
                tuple(f"{before.name}{joint}{name}" for name in item.names),
                reason="" if item.name != "user" else "memmon need not be root",
            )
        yield from self._options(before, after[0] if after else None)
        if before.name not in [one.name for one in self.after.memmons] and self.after.memmons:
            names = ", ".join(one.name.partition(":")[2] for one in self.after.memmons)
            yield Change(before.name, "", "one memmon", names, chosen=False, reason=_WHY_MEMMON)
        if not self.after.memmons:
            yield Change(before.name, "", "one memmon", NOTHING, chosen=False, reason=_WHY_NO_MEMMON)

    def _options(self, before: Section, after: Section | None) -> Iterator[Change]:
        """Yield the options of a listener's section that the role writes otherwise, if somebody has written them."""
        for option, value in before.options.items():
            known = before.table.find(option)
            then = after.options.get(option) if after else None
            if value == then or known and (value == known.default or option in _PLACES):
                continue
            if option == "events":
                if before.kind != "memmon":
                    yield self._only_apart(before, option, value, then, f"{before.name}.events")
                continue
            if option in _ROTATION:
                # The variable would change that of the programs too.
                yield Change(before.name, option, value, then or NOTHING, chosen=False, reason=_WHY_ROTATION)
                continue
            yield self._only_apart(before, option, value, None, f"{before.name}.{option}")

    def _only_apart(self, before: Section, item: str, now: str, then: str | None, *names: str) -> Change:
        """Return the change of what no variable keeps, though one that was set may ask for it."""
        known = before.table.find(item)
        variable = known.variable if known and not known.is_read_only else ""
        return Change(
            before.name,
            item,
            now,
            then or NOTHING,
            chosen=True,
            settled_by=((variable,),) if variable else (),
            names=names,
            hint=_APART,
        )

    def _changed(self, before: Section, after: Section) -> Iterator[Change]:
        """Yield the changes of a crashmail or httpok that both files have."""
        for name, spelling in {one.name: one.spelling for one in before.arguments if one.name.startswith("-")}.items():
            known = before.table.find(name)
            # crashmail never looks at these, and its address and httpok's page are there because they were set.
            if before.kind == "crashmail" and name in ("-a", "-p", "-m"):
                continue
            now, then = before.argument(name), after.argument(name)
            if name == "-p":
                # httpok takes the bare name as well.
                now, then = (text and text.rpartition(":")[2] for text in (now, then))
            if now == then:
                continue
            spellings = dict.fromkeys([spelling, name, *(known.names if known else ())])
            yield self._only_apart(
                before, spelling, before.argument(name) or "given", then, *(f"{before.name} {one}" for one in spellings)
            )
        yield from self._options(before, after)

    def _listener_gone(self, listener: Section) -> Change:
        variable = {"crashmail": ("-m", "auth_crashmail_email"), "httpok": ("", "auth_httpok_url")}.get(listener.kind)
        keeps: tuple[tuple[Path, Any], ...] = ()
        hint = f"cut out [{listener.name}] here and put it into a file of its own in conf.d"
        if variable and listener.name == f"eventlistener:{listener.kind}":
            value = listener.argument(variable[0]) if variable[0] else _page(listener)
            if value:
                keeps, hint = (((variable[1],), value),), ""
        return Change(listener.name, "", "a listener", NOTHING, True, keeps, (), (listener.name,), hint)


def _shown(limit: Limit | None) -> str:
    if limit is None:
        return NOTHING
    sizes = " and ".join(memmon.size_text(size) for size in sorted(limit.sizes))
    if limit.in_steps:
        sizes += " in steps downwards"
    return f"{sizes} with its children" if limit.cumulative else sizes


def _page(listener: Section) -> str:
    return next((one.name for one in listener.arguments if one.name.startswith("http")), "")
