# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Set, renew and end the guard of a run, on the server, and do nothing any more once it has acted.

The guard is a transient timer of systemd's with the program in guard_program.py, and
all that it has to know lies in a folder of root's. Whoever holds the lock owns it.
"""

from __future__ import annotations

import contextlib
import glob
import inspect
import os
import shutil
import signal
import socket
import subprocess
import time
from typing import Any, Callable, Collection, Iterable, Iterator, Mapping

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.allianceauth.tuning.plugins.module_utils.model import webhook
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import consumers_program, proof
from ansible_collections.allianceauth.tuning.plugins.module_utils.server import guard_program as program
from ansible_collections.allianceauth.tuning.plugins.module_utils.server.supervisord import Daemon

# On a file system that a reboot empties: after it, supervisord has started all by itself. Only root can put a file
# there.
RUN_FOLDER = "/run"
# What it has done is to be told after a reboot, too.
REPORT_FOLDER = proof.FOLDER

# Every module that changes something, or waits for long, takes it.
SPEC: dict[str, Any] = {"guard": {"type": "dict", "default": {}}}

# No call of a run takes longer: one that hangs is not to keep the guard from acting for ever.
_LONGEST_CALL_SECONDS = 900
_LOOK_SECONDS = 0.2

_SYSTEMD_SECONDS = 60

# Of the guard's seconds: how long a timer may have run when it is set anew.
_TIMER_SHARE = 1 / 3


class LostOwnershipError(Exception):
    """This run no longer holds the lock; the text is a sentence on who has taken it."""


class NotSetError(Exception):
    """systemd does not keep the timer; the text is a sentence that says why."""


def lock_path() -> str:
    """Return the lock's file: one for all projects, because they share a supervisord, which restarts as a whole."""
    return os.path.join(RUN_FOLDER, "allianceauth.tuning.lock")


def report_path(name: str) -> str:
    """Return the file in which a guard says what it has done."""
    return os.path.join(REPORT_FOLDER, f"{name}.guard.json")


def report_aside(name: str) -> str:
    """Return the file for the same where that one cannot be written, such as on a full disk."""
    return os.path.join(RUN_FOLDER, f"allianceauth.tuning.{name}.guard.json")


def _report(name: str) -> dict[str, Any]:
    """Return what a guard has said last, nothing if nothing was said that nobody was told."""
    found = [program.load(path) for path in (report_path(name), report_aside(name))]
    return max(found, key=lambda report: float(report.get("acted", 0)))


def unit(name: str) -> str:
    """Return the name of the timer and of what it starts."""
    return f"allianceauth-tuning-{name}-guard"


def _folder(name: str) -> str:
    return os.path.join(RUN_FOLDER, f"allianceauth.tuning.{name}.guard")


def _state_path(name: str) -> str:
    return os.path.join(_folder(name), "state.json")


def pending_elsewhere(name: str) -> list[str]:
    """Return the other projects of this server that have a guard which has not acted yet."""
    found = glob.glob(os.path.join(glob.escape(RUN_FOLDER), "allianceauth.tuning.*.guard", "state.json"))
    names = [os.path.basename(os.path.dirname(path))[len("allianceauth.tuning.") : -len(".guard")] for path in found]
    return sorted(other for other in names if other != name)


def look(name: str) -> dict[str, Any]:
    """Return whether a guard of a run is ``pending``, and what one ``said`` that has acted, "" if nobody was told."""
    return {
        "pending": os.path.exists(_state_path(name)),
        "said": program.sentence(_report(name)),
    }


def forget(name: str) -> bool:
    """Remove what a guard has said; return whether there was anything."""
    found = False
    for path in (report_path(name), report_aside(name)):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
            found = True
    return found


@contextlib.contextmanager
def as_owner(module: AnsibleModule) -> Iterator[None]:
    """Do what changes the server, or takes long, as the run that holds the lock; the guard waits meanwhile.

    Fails, and nothing is done, if that run was taken for dead. Without a run nothing is asked.
    """
    given = of_run(module)
    if not given:
        yield
        return
    with _failing(module):
        renew(given)
    renewer = _keep_renewing(given)
    try:
        yield
    finally:
        os.kill(renewer, signal.SIGKILL)
        os.waitpid(renewer, 0)


def of_run(module: AnsibleModule) -> dict[str, Any]:
    """Return the ``name``, ``owner`` and ``seconds`` that a module was given, nothing if no run holds a lock."""
    given = module.params["guard"]
    # Numbers from templates are text before ansible-core 2.19.
    return {**given, "seconds": int(given["seconds"])} if given.get("owner") and not module.check_mode else {}


@contextlib.contextmanager
def _failing(module: AnsibleModule) -> Iterator[None]:
    try:
        yield
    except LostOwnershipError as why:
        module.fail_json(msg=str(why), guard_acted=True)


def renew(given: Mapping[str, Any]) -> None:
    """Have the guard of this run begin to wait anew, if it has one. Raises `LostOwnershipError`."""
    with _owned(given):
        _renew(given["name"])


@contextlib.contextmanager
def _owned(given: Mapping[str, Any]) -> Iterator[None]:
    """Do what nobody may interfere with, the guard included. Raises `LostOwnershipError`."""
    with program.opened(lock_path()) as held:
        if held.get("owner") != given["owner"]:
            raise LostOwnershipError(_taken(given, held.get("owner", "")))
        yield


def _taken(given: Mapping[str, Any], owner: str) -> str:
    """Return the sentence on a lock that was taken from a run, ``owner`` being whoever has it now."""
    host = socket.gethostname()
    seconds = given["seconds"]
    said = program.sentence(_report(given["name"]))
    if owner.startswith("the guard of "):
        said = f"{owner[0].upper()}{owner[1:]} is bringing back what ran before."
    elif owner:
        said = f"By now it is the turn of {owner.partition(', process ')[0]}. {said}".rstrip()
    return (
        f"{host} has not heard of this run for {seconds} s, so it was taken for dead. {said} Nothing more was touched: "
        "run it again."
    )


def _renew(name: str) -> None:
    state = program.load(_state_path(name))
    if not state:
        return
    now = time.monotonic()
    # The deadline is what counts: a timer that goes off before it has the program wait. So not every call of a long
    # drain has to tell systemd, which writes four lines into its journal each time.
    due = now - state["timer_set"] >= state["seconds"] * _TIMER_SHARE
    state.update(deadline=now + state["seconds"], renewed=time.time(), **({"timer_set": now} if due else {}))
    program.save(_state_path(name), state)
    if due:
        # It counts from the beginning.
        systemd("systemctl", "restart", f"{unit(name)}.timer")


def _keep_renewing(given: Mapping[str, Any]) -> int:
    """Renew in a process of its own as long as this one lives; return its number.

    Not a thread's work: what is called meanwhile forks.
    """
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(nothing, number)
        pause = given["seconds"] * _TIMER_SHARE
        until = time.monotonic() + _LONGEST_CALL_SECONDS
        due = time.monotonic() + pause
        while os.getppid() == parent and time.monotonic() < until:
            if time.monotonic() >= due:
                renew(given)
                due = time.monotonic() + pause
            time.sleep(_LOOK_SECONDS)
    finally:
        # Nobody is there to read a traceback.
        os._exit(0)


def put(module: AnsibleModule, found: Mapping[str, Any]) -> None:
    """Set the guard of a run. ``found`` is what it shall bring back, in the words of guard_program.

    What a run before, whose guard has not acted yet, has found is to be brought back as well. Raises `NotSetError`.
    """
    given = of_run(module)
    if not given:
        return
    name = given["name"]
    with _failing(module), _owned(given):
        os.makedirs(_folder(name), 0o700, exist_ok=True)
        earlier = program.load(_state_path(name))
        # What an earlier run, whose guard has not acted yet, has found was before anything changed.
        stopped = set(earlier.get("stopped", []))
        ran = {*found["ran"], *earlier.get("ran", [])} - stopped
        state = {
            **found,
            "owner": given["owner"],
            "seconds": given["seconds"],
            "lock": lock_path(),
            "report": report_path(name),
            "aside": report_aside(name),
            "ran": sorted(ran),
            "stopped": sorted(stopped | set(found["stopped"]) - ran),
            "first": earlier.get("first", found["daemon"]),
            "adopted": earlier.get("adopted", False),
            "unproven": earlier.get("unproven"),
            "celery": earlier.get("celery", {}),
            "consumers": earlier.get("consumers", {}),
            "apart": earlier.get("apart", ""),
            "waiting": earlier.get("waiting", {}),
            "private": earlier.get("private", False),
            "finishing": earlier.get("finishing", {}),
            "deadline": time.monotonic() + given["seconds"],
            "timer_set": time.monotonic(),
            "renewed": time.time(),
        }
        if state["unproven"]:
            # That one had the file loaded which is to come back; the present one may not.
            state["daemon"] = earlier["daemon"]
        _put_webhook(module, _folder(name))
        path = os.path.join(_folder(name), "guard.py")
        for file, source in ((path, program), (os.path.join(_folder(name), program.CONSUMERS), consumers_program)):
            program.write(file, inspect.getsource(source).encode(), 0, 0, 0o600)
        program.save(_state_path(name), state)
        _start_timer(name, given["seconds"], path)


def _put_webhook(module: AnsibleModule, folder: str) -> None:
    """Have the guard know whom to tell; root alone can read it."""
    config, code = (os.path.join(folder, name) for name in program.WEBHOOK)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(config)
    if module.params.get("webhook"):
        program.write(code, inspect.getsource(webhook).encode(), 0, 0, 0o600)
        program.write(config, module.params["webhook"].encode(), 0, 0, 0o600)


def _start_timer(name: str, seconds: int, path: str) -> None:
    if not systemd("systemctl", "restart", f"{unit(name)}.timer"):
        return
    problem = systemd(
        "systemd-run",
        "--quiet",
        "--collect",
        f"--unit={unit(name)}",
        f"--description=Bring {name} back if the run of allianceauth.tuning is cut off",
        f"--on-active={seconds}",
        "--timer-property=AccuracySec=1s",
        "/usr/bin/python3",
        "-I",
        path,
        _state_path(name),
    )
    if problem:
        shutil.rmtree(_folder(name), ignore_errors=True)
        raise NotSetError(
            f"systemd on {socket.gethostname()} does not keep the timer that brings the server back if this run is cut "
            f"off, so nothing was stopped: {problem.rstrip('.')}."
        )


def adopt(name: str, owner: str) -> None:
    """Have the guard of a run that is dead guard the one that holds the lock now; call it while it is opened."""
    state = program.load(_state_path(name))
    if state:
        adopted = state.get("adopted", False) or state["owner"] != owner
        program.save(_state_path(name), {**state, "owner": owner, "adopted": adopted})
        _renew(name)


def end(name: str) -> None:
    """End the guard of the run that gives its lock back; call it while that is opened."""
    if os.path.exists(_folder(name)):
        # Without its state it does nothing, should it go off now.
        shutil.rmtree(_folder(name))
        systemd("systemctl", "stop", f"{unit(name)}.timer")


def unproven(module: AnsibleModule, proven: str | None, file: Mapping[str, Any]) -> None:
    """Have the guard put a file back; call it right before that is replaced.

    ``proven`` is its text, None if there is none, and ``file`` what guard_program has to know of it.
    The first file that a run replaces is the one that ran; of those after it none has proved itself.
    """
    given = of_run(module)
    if not given:
        return
    with _failing(module), _owned(given):
        path = _state_path(given["name"])
        state = program.load(path)
        if state and not state["unproven"]:
            kept = os.path.join(_folder(given["name"]), program.PROVEN)
            if proven is not None:
                program.write(kept, proven.encode(errors="surrogateescape"), 0, 0, 0o600)
            program.save(path, {**state, "unproven": dict(file)})


def neighbours(module: AnsibleModule, daemon: Daemon, ours: Collection[str]) -> tuple[set[str], set[str]]:
    """Return those programs of others that ran before this run, and those that somebody had stopped.

    Both are empty if nothing has happened to them. ``ours`` are our own groups. In a supervisord that was
    restarted since, either may be otherwise. In the same one, a run before this one that was cut off may have stopped
    what ran, but has started nothing: what is stopped no more, somebody has started since.
    """
    given = of_run(module)
    state = program.load(_state_path(given["name"])) if given else {}
    pid = daemon.pid() if state else 0
    same = bool(state) and state["first"] == {"pid": pid, "start": program.start_ticks(pid)}
    if not state or (same and not state.get("adopted")):
        return set(), set()

    def others(names: Iterable[str]) -> set[str]:
        return {name for name in names if name.partition(":")[0] not in ours}

    return others(state["ran"]), set() if same else others(state["stopped"])


def remember_consumers(
    module: AnsibleModule, celery: Mapping[str, Any], found: Mapping[str, Mapping[str, Any]], apart: str = ""
) -> dict[str, dict[str, Any]]:
    """Have the guard give workers their queues back; call it right before they are told to take no more tasks.

    ``celery``, ``found`` and ``apart`` are in the words of consumers_program.
    Returns them with the queues of those that an earlier call has told already; nothing if there is no guard.
    """
    given = of_run(module)
    if not given:
        return {}
    with _failing(module), _owned(given):
        path = _state_path(given["name"])
        state = program.load(path)
        if not state:
            return {}
        earlier = consumers_program.running(state)
        known = {
            name: {**entry, "queues": sorted({*entry["queues"], *earlier.get(name, {}).get("queues", [])})}
            for name, entry in found.items()
        }
        # Those of an earlier call run the code that they ran then.
        apart = apart or (state.get("apart", "") if earlier else "")
        program.save(path, {**state, "celery": dict(celery), "consumers": {**earlier, **known}, "apart": apart})
        return known


def remember_waiting(module: AnsibleModule, waiting: Mapping[str, Any]) -> None:
    """Have the guard hand the queues to these workers and no others, in the words of consumers_program.

    Call it once each old worker was told to take no more tasks, or to finish.
    """
    _change(module, lambda state: {"waiting": dict(waiting), "private": False})


def remember_serving(module: AnsibleModule, private: bool) -> None:
    """Have the guard know whether the workers that are to take tasks meanwhile have no queues to take them from yet."""
    _change(module, lambda state: {"private": private})


def remember_finishing(module: AnsibleModule, name: str, pid: int) -> None:
    """Have the guard know that a worker is told to finish; call it right before."""
    start = program.start_ticks(pid)
    # One that has just ended finishes nothing.
    if start is not None:
        told = {name: {"pid": pid, "start": start}}
        _change(module, lambda state: {"finishing": {**state.get("finishing", {}), **told}})


def _change(module: AnsibleModule, changes: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Save what changes in the state of a run's guard; without a guard there is nothing to save."""
    given = of_run(module)
    if not given:
        return
    with _failing(module), _owned(given):
        path = _state_path(given["name"])
        state = program.load(path)
        changed = {**state, **changes(state)} if state else {}
        if changed != state:
            program.save(path, changed)


def state(module: AnsibleModule) -> dict[str, Any]:
    """Return what the guard of a run has to know, in the words of guard_program; nothing if there is none."""
    given = of_run(module)
    return program.load(_state_path(given["name"])) if given else {}


def forget_consumers(module: AnsibleModule) -> None:
    """Have the guard give no queues back any more, and hand none over."""
    _change(module, lambda state: {"consumers": {}, "apart": "", "waiting": {}})


def proven(module: AnsibleModule) -> None:
    """Have the guard put no file back any more: the new one has proved itself."""
    _change(module, lambda state: {"unproven": None})


def systemd(*command: str) -> str:
    """Run a command of systemd's; return "" if it succeeds, or what it says."""
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=_SYSTEMD_SECONDS, check=False, text=True
        )
    except (OSError, subprocess.TimeoutExpired) as why:
        return str(why)
    return done.stdout.strip() or "it does not say why" if done.returncode else ""
