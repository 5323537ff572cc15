# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide what to do to a server from what is asked for and what is there: once a run, for each kind of job.

In all functions ``info`` is `auth_info`'s result.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Iterable, Mapping, Sequence

from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import managed_file, worker_command
from ansible_collections.allianceauth.tuning.plugins.module_utils.conf.command import split_command
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import (
    differences,
    handover,
    logs,
    memory,
    outdated,
    outside,
    places,
    removal,
    report,
    restarting,
    sections,
    stages,
    troubled,
)
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.decided import (
    Expected,
    Files,
    Plan,
    Wanted,
)
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller.declared import Declared, ineffective
from ansible_collections.allianceauth.tuning.plugins.module_utils.model import memmon
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.names import link_to, make_namespec
from ansible_collections.allianceauth.tuning.plugins.module_utils.model.program import IMPLEMENTATIONS, Worker

# The tag of the role's task for each step.
_TAGS = {
    "install": "install",
    "outside": "configure",
    "configure": "configure",
    "restart": "restart",
    "start": "restart",
    "link_logs": "restart",
    "verify": "verify",
}

# States of a process that nobody can expect to run again.
_FAILED = ("FATAL", "BACKOFF", "EXITED")


def apply(declared: Declared, info: Mapping[str, Any], wanted: Wanted, steps: Iterable[str]) -> Plan:
    """Return how the server becomes what is declared; ``steps`` are those that the run's tags let run."""
    plan = _plan(declared, info, wanted)
    not_running = (*plan.stopped, *differences.starting(plan.expected.processes, info["daemon"]["processes"]))
    steps = frozenset(steps)
    text_differs = info["supervisor_conf"]["checksum"] != wanted.checksum
    is_replaced = text_differs and "configure" in steps
    found, sockets = differences.sentences(declared, info), differences.socket_sentences(declared, info)
    if plan.files.new_log_dir and not text_differs:
        found.append(f"the folder {plan.files.log_dir} is gone, into which supervisord logs")
    reasons = {
        "install": _install_reasons(declared, info, wanted),
        "outside": list(plan.outside.reasons),
        "configure": _configure_reasons(declared, info, wanted, plan.files),
        "restart": found + sockets + ["supervisord has to read its new configuration"] * is_replaced,
        "start": [f"{name} does not run" for name in not_running],
        "link_logs": [f"{log} has no link in the project's folder" for log in plan.files.log_links],
        "verify": [],
    }
    if reasons["restart"]:
        reasons["start"] = []
    elif reasons["install"]:
        reasons["start"].append("the listeners run the previous superlance")
    if info["guard"]["pending"]:
        if not reasons["restart"]:
            reasons["start"].append("workers may have been told to take no more tasks")
        reasons["verify"].append("a run before was cut off, and its guard has not acted yet")
    if steps == {"verify"}:
        reasons["verify"].append("the run has the tag verify alone")
    reasons["verify"] += reasons["restart"] or [f"{name} did not run" for name in not_running]
    actions = {step: why for step, why in reasons.items() if why and _TAGS[step] in steps}
    left_out = tuple(step for step, why in reasons.items() if why and step != "verify" and _TAGS[step] not in steps)
    groups = info.get("effective", {}).get("groups", [])
    # They are refused before anything is touched.
    if ambiguous := memmon.ambiguous(groups, plan.expected.limits):
        actions = {"refuse": ambiguous, **actions}
    # What the memory has room for changes by the hour: that is no reason to refuse what is there already.
    too_much = memory.excess(declared, info)
    is_new = wanted.limits_set and text_differs and memory.exceeds_present(declared, info)
    refused = (too_much if is_new else "") or restarting.leaves_stopped(info, actions)
    restarts = [restarting.others_stop(declared, info), restarting.stay_ended(info, plan.drain.workers)]
    said = ["" if refused else too_much, restarting.left_serving(info, actions)]
    said += restarts if "restart" in actions else []
    plan = replace(
        plan,
        refused=refused,
        actions=actions,
        left_out=left_out,
        # Of a file that is replaced, what it differs in is no news.
        found=tuple(found if is_replaced else found + sockets),
        warnings=(*plan.warnings, *filter(None, said)),
    )
    return _with_newer_code(plan, declared, info)


def problems_left(
    declared: Declared, info: Mapping[str, Any], wanted: Wanted, steps: Iterable[str], before: Mapping[str, Any]
) -> list[str]:
    """Return a sentence for each thing that a run did not bring about.

    ``info`` is of its end, ``before`` of its beginning, empty if nobody looked then.
    """
    plan = apply(declared, info, wanted, steps)
    # What is only just starting is for who waited for it; memmon may start a process again at any time.
    left = [why for step, reasons in plan.actions.items() if step not in ("start", "verify") for why in reasons]
    tolerated = troubled.before(before) if before else {}
    expected = [name for name in plan.expected.processes if name not in tolerated]
    return differences.disagreements(declared, expected, plan.expected.limits, info) + left


def drain(declared: Declared, info: Mapping[str, Any], wanted: Wanted) -> Plan:
    """Return how the auth programs are stopped and started again, and those of others left alone."""
    plan = _plan(declared, info, wanted)
    ours = {p["namespec"] for p in info["daemon"]["processes"] if p["group"] == declared.project}
    expected = tuple(info.get("expected", []))
    return replace(
        plan,
        job="drain",
        drain=plan.drain.only(ours.union(expected)),
        # Where the programs that supervisord has loaded answer, whatever the variables say by now.
        expected=Expected(expected, site=_in_file(declared, info).site or plan.expected.site),
    )


def start(declared: Declared, info: Mapping[str, Any], wanted: Wanted) -> Plan:
    """Return how the programs start that a drain has stopped; what was installed meanwhile is looked at before."""
    runs = {process["namespec"] for process in info["daemon"]["processes"] if process["pid"]}
    plan = drain(declared, info, wanted)
    # What did not work before is no matter of this start.
    tolerated = troubled.before(info)
    stopped = [name for name in plan.expected.processes if name not in runs and name not in tolerated]
    noted = bool(stopped) and not runs.intersection(plan.expected.processes)
    plan = replace(plan, job="start", stopped=tuple(stopped), code=restarting.Code(noted=noted))
    return _with_start(plan, declared, stopped, outdated.since_kept(info["code"], info["now"]))


def restart(declared: Declared, info: Mapping[str, Any], wanted: Wanted, only: str) -> Plan:
    """Return how the programs, or ``only`` some, come to run what is installed, as supervisord has them loaded."""
    plan = _plan(declared, info, wanted)
    names = restarting.chosen(declared, info, only)
    differ = differences.unread(declared, info)
    in_file = _in_file(declared, info) if not plan.unread else Expected(())
    ours = {make_namespec(declared.project, _process_of(node)): node for node in in_file.nodes}
    site = in_file.site or plan.expected.site
    plan = replace(
        plan,
        job="restart",
        drain=restarting.drain(plan.drain, info, names),
        expected=Expected(
            names,
            # Where gunicorn answers as supervisord has loaded it, is not known if the file was changed since.
            site=site if restarting.serves(declared, names) and not plan.unread else "",
            nodes={node: in_file.nodes[node] for name, node in ours.items() if name in names},
        ),
        # Further workers are started as the file has them, which is not what supervisord has loaded.
        handover={} if plan.unread else handover.of_file(declared, _on_disk(declared.project, info), names),
        # This job never replaces the file, so that none is to be put back either.
        unread=(),
        outdated=outdated.sentence(
            [process for process in restarting.ours(declared, info) if process["namespec"] not in names],
            info["code"],
            info["now"],
        ),
        actions={"restart": ["it was asked for"]},
        table=(),
        warnings=(*filter(None, [plan.guard_report]), *restarting.differs(differ)),
    )
    plan = _with_code(plan, declared, info)
    return replace(plan, code=restarting.beside(plan.code, declared, info, names, ours))


def _with_newer_code(plan: Plan, declared: Declared, info: Mapping[str, Any]) -> Plan:
    """Return a plan with the look at what was installed that is due before it stops or starts programs.

    What has changed since all were restarted last is also looked at where no process is older, after a reboot or while
    all are stopped.
    """
    changed = outdated.since_kept(info["code"], info["now"])
    if "restart" not in plan.actions:
        return _with_start(plan, declared, plan.stopped, changed) if "start" in plan.actions else plan
    if not plan.outdated and not changed:
        return plan
    return _with_code(_with_start(plan, declared, plan.stopped, changed), declared, info, starts=plan.stopped)


def _with_start(plan: Plan, declared: Declared, stopped: Sequence[str], changed: str) -> Plan:
    """Return a plan that starts programs, with a look at the code if it has ``changed`` since all started last."""
    if not changed or not stopped:
        return plan
    serves = restarting.serves(declared, stopped)
    gunicorn = make_namespec(declared.project, "gunicorn") if serves else ""
    said = restarting.comes_into_service_with_a_start(changed, serves)
    code = replace(plan.code, asked=True, gunicorn=gunicorn)
    return replace(plan, code=code, warnings=(*plan.warnings, said))


def _with_code(plan: Plan, declared: Declared, info: Mapping[str, Any], starts: Iterable[str] = ()) -> Plan:
    """Return a plan that restarts, with what comes into service by that and has to be looked at before.

    ``starts`` are processes that do not run now.
    """
    stops = [*plan.drain.workers, *plan.drain.site, *(name for names in plan.drain.stages for name in names)]
    nodes = {make_namespec(declared.project, _process_of(node)): node for node in _in_file(declared, info).nodes}
    # Nobody can say whether they know the same tasks as the new code does, so none with it may take tasks beside them.
    unknown = sorted(set(plan.drain.workers) - set(nodes))
    code = restarting.Code(
        asked=True,
        nodes=tuple(node for name, node in nodes.items() if name in plan.drain.workers),
        gunicorn=make_namespec(declared.project, "gunicorn") if restarting.serves(declared, [*stops, *starts]) else "",
    )
    said = restarting.comes_into_service(info, stops)
    if unknown and plan.handover:
        said.append(
            f"nobody takes tasks while the workers restart: which tasks {', '.join(unknown)} know cannot be asked, and "
            "the new code may have others."
        )
    return replace(plan, code=code, handover={} if unknown else plan.handover, warnings=(*plan.warnings, *said))


def _process_of(node: str) -> str:
    """Return the process that a Celery node is by its name: PROCESS@HOST, or celery@PROCESS in the templates."""
    left, _at, right = node.partition("@")
    return right if left == "celery" else left


def rollback(
    declared: Declared, info: Mapping[str, Any], wanted: Wanted, replaced: bool, before: Mapping[str, Any]
) -> Plan:
    """Return how the file on disk comes into service, whatever the variables say.

    ``replaced`` says that check mode would have put another file there, which ``info`` cannot show. ``before`` is what
    was seen before the file came there; empty where it is yet to come, so that what it takes to restart with it has to
    be known, and whether the installed code may come into service.
    """
    plan = _plan(declared, info, wanted)
    why = differences.sentences(declared, info) + differences.socket_sentences(declared, info)
    why = why or ["supervisord has to read the file"] * (replaced or not before)
    plan = replace(
        plan,
        job="rollback",
        expected=_in_file(declared, info),
        handover=handover.of_file(declared, _on_disk(declared.project, info), info.get("expected", [])),
        actions={"restart": why} if why else {},
        warnings=(*plan.warnings, *filter(None, [restarting.others_stop(declared, info) if why else ""])),
    )
    # The workers that run have the nodes that the file of before names.
    plan = _with_newer_code(plan, declared, before or info)
    # What there is to be warned of, the admin has read before the file came.
    return replace(plan, warnings=()) if before else plan


def remove(
    declared: Declared, info: Mapping[str, Any], wanted: Wanted, belongings: Mapping[str, Any], uninstalls: bool
) -> Plan:
    """Return how a server becomes what it was before the first run.

    ``belongings`` is `auth_belongings`'s result, ``uninstalls`` says whether superlance is to go. `removed` follows.
    """
    plan = _plan(declared, info, wanted)
    linked = (info["log_links"] or {}).values() if plan.files.log_dir else ()
    logs = tuple(log for log in linked if log.startswith(f"{plan.files.log_dir}/"))
    installed = "superlance" in info["venv"]["versions"]
    said = removal.warnings(belongings, plan.files, uninstalls, installed, declared.venv)
    return replace(
        plan,
        job="remove",
        files=replace(plan.files, log_links=logs),
        actions=removal.actions(belongings, logs, plan.files, uninstalls, installed),
        warnings=(*filter(None, [plan.guard_report]), *said),
    )


def removed(
    declared: Declared, info: Mapping[str, Any], wanted: Wanted, replaced: bool, before: Mapping[str, Any]
) -> Plan:
    """Return how the file of before the first run comes into service, as `rollback` does.

    ``expected.listeners`` are those that cannot run without superlance.
    """
    plan = rollback(declared, info, wanted, replaced, before)
    # `remove` has told it.
    plan = replace(plan, warnings=tuple(said for said in plan.warnings if said != plan.guard_report))
    return replace(plan, expected=replace(plan.expected, listeners=removal.listeners(info, declared.venv)))


def revert(
    declared: Declared, info: Mapping[str, Any], wanted: Wanted, before: Mapping[str, Any], file_is_back: bool
) -> Plan:
    """Return how what ran before a run that failed runs again; ``before`` is what was seen then.

    Where the previous file could not be put back, what is on disk is not loaded either: what supervisord knows is
    better than nothing, if it answers.
    """
    # The warnings were given when the run began, and what fails now is its cause.
    plan = replace(_plan(declared, info, wanted), warnings=())
    seen = before["daemon"]["processes"]
    failed = {process["namespec"] for process in seen if process["state"] in _FAILED}
    # Those of others as well, which the drain has stopped.
    ran = {process["namespec"] for process in seen if process["pid"]}
    on_disk = [
        make_namespec(group["name"], process["name"])
        for group in info.get("effective", {}).get("groups", [])
        for process in group["processes"]
    ]
    if not file_is_back and not plan.daemon_problem:
        known = [process["namespec"] for process in info["daemon"]["processes"]]
        expected = Expected(tuple(name for name in known if name in ran))
        return replace(plan, job="revert", handover={}, expected=expected)
    back = dict.fromkeys([*info.get("expected", []), *(name for name in on_disk if name in ran)])
    # An orphan alone is no reason: the run may have failed because it did not end.
    why = [plan.daemon_problem] if plan.daemon_problem else []
    why += [f"{group} differs from the disk" for group in plan.unread]
    return replace(
        plan,
        job="revert",
        # The workers that the failed run has started go on. New ones would have the configuration that does not work.
        handover={},
        # One that works on is no reason to leave the server without the others.
        drain=plan.drain.without_orphan_workers(),
        expected=Expected(tuple(name for name in back if name not in failed)),
        actions={"restart": why} if why else {},
    )


def _plan(declared: Declared, info: Mapping[str, Any], wanted: Wanted) -> Plan:
    """Return what all jobs share."""
    trouble = troubled.before(info)
    expected, told = _expected(declared, info, trouble), outside.decide(declared, info)
    project_logs = f"{declared.project_dir}/log"
    own_log_dir = "" if declared.log_dir == project_logs else declared.log_dir
    differs = info["gunicorn_conf"]["checksum"] != wanted.gunicorn_conf_checksum
    return Plan(
        job="apply",
        drain=stages.drain(declared, info),
        expected=expected,
        files=Files(
            path=declared.supervisor_conf,
            content=wanted.content,
            discard=wanted.discard,
            link=link_to(declared.supervisor_conf, declared.project, declared.project_dir),
            group=info["user"]["group"],
            project_logs=project_logs,
            log_dir=own_log_dir,
            new_log_dir="" if info["log_dir_exists"] else own_log_dir,
            log_links=tuple(logs.missing_links(declared, own_log_dir, info["log_links"])),
            gunicorn_conf=bool((sections.gunicorn(declared, info) or {}).get("shares")) and differs,
        ),
        outside=told,
        daemon_problem=str(info["daemon"].get("problem", "")),
        unread=tuple(name for names in differences.unread(declared, info).values() for name in names),
        stopped=tuple(differences.stopped(expected.processes, info["daemon"]["processes"])),
        tolerated=tuple(trouble),
        handover=handover.of_variables(declared),
        new_page=_new_page(declared, info),
        outdated=outdated.sentence(restarting.ours(declared, info), info["code"], info["now"]),
        own_groups=tuple(sorted(declared.own_groups(info))),
        guard_report=info["guard"]["said"],
        superlance=wanted.superlance,
        table=tuple(report.table(declared, info)),
        pools=tuple(places.pools(declared)),
        warnings=(
            *filter(None, [info["guard"]["said"]]),
            *_silent_broker(info["broker"]),
            *memory.warnings(declared, info),
            *ineffective(declared),
            *logs.shared(declared),
            *told.warnings,
            *troubled.sentences(trouble, expected.processes, info.get("expected", [])),
            *outdated.future(info["code"], info["now"]),
            *_exposed(declared, info),
        ),
    )


def _silent_broker(broker: Mapping[str, str]) -> list[str]:
    sentence = (
        f"Redis at {broker.get('address')}, the broker when a run has restarted this server last, does not answer "
        f"({broker.get('problem')}), so that no task is queued or done: start it (sudo systemctl start redis-server on "
        "its machine), or correct its address in the project's settings."
    )
    return [sentence] if broker.get("problem") else []


def _expected(declared: Declared, info: Mapping[str, Any], trouble: Iterable[str]) -> Expected:
    """Return what has to run; what is in ``trouble`` did not work before, so that nobody can be asked for it."""
    always = [program for program in declared.programs if program.always_runs]
    works = {name for program in always for name in program.process_names} - {
        name.rpartition(":")[2] for name in trouble
    }
    listeners = tuple(make_namespec(name, name) for name in declared.listener_names)
    return Expected(
        processes=(
            *(make_namespec(declared.project, name) for program in always for name in program.process_names),
            *listeners,
        ),
        listeners=listeners,
        site=declared.gunicorn_options.bind if "gunicorn" in works else "",
        nodes={
            f"{name}@{info['hostname']}": _pool_figures(worker)
            for worker in declared.workers
            if worker.always_runs
            for name in worker.process_names
            if name in works
        },
        limits={listener.process: listener.size for listener in declared.listeners},
    )


def _install_reasons(declared: Declared, info: Mapping[str, Any], wanted: Wanted) -> list[str]:
    installed = info["venv"]["versions"].get("superlance", "")
    if not declared.listener_names or installed == wanted.superlance:
        return []
    return [f"superlance {wanted.superlance} is asked for, and {installed or 'none'} is installed"]


def _configure_reasons(declared: Declared, info: Mapping[str, Any], wanted: Wanted, files: Files) -> list[str]:
    found, path = info["supervisor_conf"], declared.supervisor_conf
    reasons = {
        f"{path} is no file yet": found["kind"] != "file",
        f"{path} has other contents": found["kind"] == "file" and found["checksum"] != wanted.checksum,
        f"{path} has other owners or another mode": found["kind"] == "file"
        and (found["uid"], found["gid"], found["mode"]) != (0, info["user"]["gid"], managed_file.MODE),
        f"{files.link} is no link to it": info["link"]["target"] != path,
        "gunicorn's configuration file has other contents": files.gunicorn_conf,
        f"the folder {files.new_log_dir} is missing": bool(files.new_log_dir),
        info.get("invalid", ""): "invalid" in info,
    }
    return [reason for reason, holds in reasons.items() if holds]


def _pool_figures(worker: Worker) -> dict[str, Any]:
    """Return what Celery has to say of a worker's pool."""
    figures: dict[str, Any] = {"implementation": IMPLEMENTATIONS[worker.pool]}
    # Then it is what Celery makes of the load.
    if not any(option.startswith("--autoscale") for option in worker.options):
        figures["max-concurrency"] = worker.concurrency
    return figures


def _exposed(declared: Declared, info: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each thing that root loads or writes and somebody else can change."""
    return [
        f"supervisord, which is root, loads or writes {path}, which {user} can change: so {user} can have root do "
        "anything. Give it, and the folders on the way to it, to root, and let root alone write them (chmod go-w)."
        for path, user in info.get("exposed", {}).items()
        # The guide's layout, which is asked for.
        if path != f"{declared.project_dir}/log"
    ]


def _new_page(declared: Declared, info: Mapping[str, Any]) -> str:
    """Return the page that httpok shall ask for if it can be asked for before, "" if not.

    A site that hangs is no reason to refuse what may repair it, so a page that httpok
    asks for already counts as right; and a site that moves does not answer yet.
    """
    commands = [split_command(process["command"]) for process in _on_disk("httpok", info)]
    known = any(declared.httpok in command[1:] for command in commands if command[0].endswith("/httpok"))
    moves = _in_file(declared, info).site not in ("", declared.gunicorn_options.bind)
    answers = bool(stages.drain(declared, info).site)
    return declared.httpok if sections.httpok(declared) and answers and not known and not moves else ""


def _in_file(declared: Declared, info: Mapping[str, Any]) -> Expected:
    """Return what the programs of the file on disk are to show, whatever the variables say."""
    nodes: dict[str, dict[str, Any]] = {}
    site = ""
    trouble = troubled.before(info)
    for process in _on_disk(declared.project, info):
        if make_namespec(declared.project, process["name"]) in trouble:
            continue
        command = split_command(process["command"])
        options = dict(zip(command, command[1:]))
        if process["name"] == "gunicorn":
            site = options.get("--bind", "")
        elif process["always_runs"] and worker_command.is_worker(command) and "-n" in options:
            node = options["-n"].replace("%h", info["hostname"])
            # As the template writes it; such a node may be too busy to answer.
            figures = {"implementation": IMPLEMENTATIONS["solo"]} if "--pool=solo" in command else {}
            nodes[node if "@" in node else f"celery@{node}"] = figures
    return Expected(tuple(info.get("expected", [])), site=site, nodes=nodes)


def _on_disk(group: str, info: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    groups = info.get("effective", {}).get("groups", [])
    return [process for found in groups if found["name"] == group for process in found["processes"]]
