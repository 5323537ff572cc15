# Copyright (c) 2026, the allianceauth.tuning authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server on which somebody has chosen values, and edits of what Alliance Auth writes, with what is shown of each."""

from __future__ import annotations

from typing import Any

from ansible_collections.allianceauth.tuning.plugins.module_utils.conf import manual_changes
from ansible_collections.allianceauth.tuning.plugins.module_utils.controller import consent, variables

from tests.unit.plugins.rendering import complete, look, render

CORES = 4
HOST = "auth1"
CELERY = "/home/allianceserver/venv/auth/bin/celery"
VENV = "/home/allianceserver/venv/auth"
LOG = "/home/allianceserver/myauth/log"
SECRET = "hunter2"

WORKER = "%(ENV_AA_COMMAND_CELERY)s\n    -A %(ENV_AA_PROJECT_NAME)s worker\n    --pool=threads\n    --concurrency=5\n"
LIMITS = "    -p worker=256MB\n    -p worker_services=256MB\n    -p gunicorn=256MB\n"
PLACES = f"directory = /home/allianceserver/myauth\nuser = allianceserver\nstdout_logfile = {LOG}/{{0}}.log\n"
MEMBERAUDIT = (
    f"[program:worker_memberaudit]\ncommand = {CELERY} -A myauth worker -Q memberaudit --pool=threads --concurrency=3 "
    "-n %(program_name)s_%(process_num)02d\n"
    + PLACES.format("worker_memberaudit").replace(f"{LOG}/", "/var/log/")
    + "process_name = %(program_name)s_%(process_num)02d\n\n"
)
BOT = (
    "[program:authbot]\ncommand = /home/allianceserver/venv/auth/bin/python manage.py run_authbot\nnumprocs = 1\n"
    + PLACES.format("authbot")
    + f"autostart = true\nautorestart = true\nstopsignal = SIGINT\nenvironment = TOKEN={SECRET}\n\n"
)
IN_THE_GROUP = "[group:"
OF_BOTH_STREAMS = "".join(
    f"std{stream}_logfile = %(ENV_AA_PROJECT_DIRECTORY)s/log/%(program_name)s.log\n" for stream in ("out", "err")
)
WORKERS_PROCESSES = "numprocs = 1\nprocess_name = %(program_name)s_%(process_num)02d\n"
BEAT_STARTS = "autostart = true\nautorestart = true\nstartsecs = 10\npriority = 998\n\n[program:worker]"
OF_THE_WORKER = "priority = 998\n\n[program:worker_services]"

IN_ITS_ENVIRONMENT = "environment = GUNICORN_CMD_ARGS='-w 5 --timeout=30 --preload --bind 127.0.0.1:8001'"

UNREACHED = (
    "worker memory limit: 256MB -> 512MB (it was that of the small main process alone, and never reached; "
    "auth_worker_memory_limit)"
)

# Edits of what `allianceauth start` of 5.5.0 writes, each with what is shown of it.
CHOSEN: dict[str, tuple[dict[str, str], list[str]]] = {
    "other numbers": (
        {
            WORKER: "%(ENV_AA_COMMAND_CELERY)s -A myauth worker -P threads -c 12 -l INFO\n",
            "numprocs = 1\n": "numprocs=2\n",
            LIMITS: "  -p worker_00=700MB -p worker_01=700MB -p worker_services=256MB -p gunicorn=900MB\n",
            "--timeout 120": "--timeout 0",
        },
        [
            "worker --concurrency: 12 -> 10 (auth_worker_concurrency)",
            "worker --loglevel: info -> none (auth_worker_loglevel)",
            "worker numprocs: 2 -> 1 (auth_worker_numprocs)",
            "gunicorn --timeout: 0 -> 120 (auth_gunicorn_timeout)",
            "worker memory limit: 700MB -> 512MB (auth_worker_memory_limit)",
            "gunicorn memory limit: 900MB -> none (auth_gunicorn_memory_limit)",
        ],
    ),
    "another pool and longer times": (
        {
            WORKER: "%(ENV_AA_COMMAND_CELERY)s -A myauth worker --pool=prefork --concurrency=8\n",
            "numprocs = 1\n": "numprocs=4\n",
            "stopwaitsecs = 600": "stopwaitsecs=3600",
            "-p worker=256MB": "-p worker=900MB",
            "--workers=3": "--workers=9",
            "--timeout 120": "--timeout 300",
        },
        [
            "worker --concurrency: 8 -> 10 (auth_worker_concurrency)",
            "worker --pool: prefork -> threads (auth_worker_pool)",
            "worker numprocs: 4 -> 1 (auth_worker_numprocs)",
            "worker stopwaitsecs: 3600 -> 600 (auth_worker_stopwaitsecs)",
            "gunicorn --workers: 9 -> 3 (auth_gunicorn_workers)",
            "gunicorn --timeout: 300 -> 120 (auth_gunicorn_timeout)",
            "worker memory limit: 900MB -> 512MB (auth_worker_memory_limit)",
        ],
    ),
    # gunicorn takes them before its command's, and so does whoever reads both.
    "arguments in gunicorn's environment": (
        {
            "    --workers=3\n": "",
            "stopsignal = INT": f"{IN_ITS_ENVIRONMENT}\nstopsignal = INT",
        },
        [
            "gunicorn --workers: 5 -> 3 (auth_gunicorn_workers)",
            "gunicorn --bind: 127.0.0.1:8001 -> 127.0.0.1:8000 (change it in your web server too; auth_gunicorn_bind)",
            "gunicorn --preload: --preload -> none (auth_gunicorn_options)",
        ],
    ),
    "green threads": (
        {WORKER: "%(ENV_AA_COMMAND_CELERY)s -A myauth worker --pool=gevent --concurrency=80\n"},
        [
            "worker --concurrency: 80 -> 10 (auth_worker_concurrency)",
            "worker --pool: gevent -> threads (auth_worker_pool)",
        ],
    ),
    "Celery's own pool, with a limit of its processes": (
        {WORKER: "%(ENV_AA_COMMAND_CELERY)s -A myauth worker --max-memory-per-child 262144\n"},
        [
            f"worker --concurrency: {CORES} (the default) -> 10 (auth_worker_concurrency)",
            "worker --pool: prefork (the default) -> threads (auth_worker_pool)",
            "worker --max-memory-per-child: --max-memory-per-child 262144 -> none (options of worker in auth_workers)",
            UNREACHED,
        ],
    ),
    "a pool that grows": (
        {WORKER: "%(ENV_AA_COMMAND_CELERY)s -A myauth worker -c 5 --autoscale=10,3\n"},
        [
            "worker --pool: prefork (the default) -> threads (auth_worker_pool)",
            "worker --autoscale: --autoscale=10,3 -> none (options of worker in auth_workers)",
            UNREACHED,
        ],
    ),
    "beat that runs elsewhere": (
        {BEAT_STARTS: BEAT_STARTS.replace("autostart = true", "autostart = off", 1)},
        ["beat autostart: false -> true (auth_beat)"],
    ),
    "no beat": (
        {"[program:beat]": "[program:x]", BEAT_STARTS: BEAT_STARTS},
        [
            "[program:x]: a program -> none (auth_extra_programs.x)",
            "[program:beat]: none -> a program (auth_beat)",
        ],
    ),
    "a worker of an app's": (
        {IN_THE_GROUP: MEMBERAUDIT + IN_THE_GROUP},
        ["[program:worker_memberaudit]: a program -> none (worker_memberaudit in auth_workers)"],
    ),
    "a bot": (
        {IN_THE_GROUP: BOT + IN_THE_GROUP, "-p gunicorn=256MB": "-p gunicorn=256MB -p authbot=1GB"},
        ["[program:authbot]: a program -> none (auth_extra_programs.authbot)"],
    ),
    "a secret of one program": (
        {OF_THE_WORKER: f"environment = SLACK='{SECRET}'\n" + OF_THE_WORKER},
        [
            (
                "worker environment SLACK: a value that is not shown -> none "
                "(auth_program_settings.worker.environment.SLACK)"
            ),
        ],
    ),
    "a secret of all programs": (
        {"; The command to run Memmon": "", "/bin/memmon  \n": f"/bin/memmon,\n  TOKEN={SECRET}\n"},
        ["supervisord environment TOKEN: a value that is not shown -> none (auth_environment.TOKEN)"],
    ),
    "a limit with its children": (
        {
            WORKER: "%(ENV_AA_COMMAND_CELERY)s -A myauth worker --pool=prefork --concurrency=5\n",
            LIMITS: "  -c -p worker=900MB -p worker_services=256MB\n",
        },
        [
            "worker --pool: prefork -> threads (auth_worker_pool)",
            "worker memory limit: 900MB with its children -> 512MB (auth_worker_memory_limit)",
        ],
    ),
    "the template's limit for gunicorn with its children": (
        {LIMITS: LIMITS.rstrip("\n") + " -c -p gunicorn=256MB\n"},
        ["gunicorn memory limit: 256MB with its children -> none (auth_gunicorn_memory_limit)"],
    ),
    "a limit for the group": (
        {LIMITS: "  -g myauth=700MB -p gunicorn=900MB\n"},
        [
            "beat memory limit: 700MB -> none (auth_beat_memory_limit)",
            "worker memory limit: 700MB -> 512MB (auth_worker_memory_limit)",
            "worker_services memory limit: 700MB -> 512MB (memory_limit of worker_services in auth_workers)",
            "gunicorn memory limit: 700MB -> none (auth_gunicorn_memory_limit)",
        ],
    ),
    "a limit for all before that of one": (
        {LIMITS: "  -a 700MB -p worker_00=600MB\n"},
        [
            "beat memory limit: 700MB -> none (auth_beat_memory_limit)",
            "worker memory limit: 600MB -> 512MB (auth_worker_memory_limit)",
            "worker_services memory limit: 700MB -> 512MB (memory_limit of worker_services in auth_workers)",
            "gunicorn memory limit: 700MB -> none (auth_gunicorn_memory_limit)",
        ],
    ),
    "a limit for all": (
        {LIMITS: "  -a 700MB\n"},
        [
            "beat memory limit: 700MB -> none (auth_beat_memory_limit)",
            "worker memory limit: 700MB -> 512MB (auth_worker_memory_limit)",
            "worker_services memory limit: 700MB -> 512MB (memory_limit of worker_services in auth_workers)",
            "gunicorn memory limit: 700MB -> none (auth_gunicorn_memory_limit)",
        ],
    ),
    "mails": (
        {"-p gunicorn=256MB": "-p gunicorn=256MB -m me@example.com -n Prod", "TICK_60": "TICK_5"},
        [
            "memmon --email: me@example.com -> none (auth_memmon_email)",
            "memmon --name: Prod -> none (auth_memmon_name)",
            "memmon events: TICK_5 -> TICK_60 (auth_memmon_event)",
        ],
    ),
    "a script in a worker's place": (
        {
            WORKER + "    -n %(program_name)s_%(process_num)02d\n": "/home/allianceserver/start_worker.sh\n",
        },
        [
            (
                f"worker command: /home/allianceserver/start_worker.sh -> {CELERY} … (what it runs cannot be read from "
                "here; enabled of worker in auth_workers)"
            ),
        ],
    ),
    **{
        f"{before} before a worker's command": (
            {WORKER: f"{before} {WORKER}"},
            [
                (
                    f"worker command: {before.replace('%(ENV_AA_VENV_DIRECTORY)s', VENV)} {CELERY} -A myauth worker "
                    f"--pool=threads --concurrency=5 -n worker_00 -> {CELERY} … (what it runs cannot be read from "
                    "here; enabled of worker in auth_workers)"
                ),
            ],
        )
        for before in (
            "ionice -c3",
            "nice",
            "env A=b",
            "/usr/bin/env",
            "taskset 0x3",
            "%(ENV_AA_VENV_DIRECTORY)s/bin/newrelic-admin run-program",
            "/usr/bin/python3 -u",
        )
    },
    **{
        f"{before} before gunicorn's command": (
            {"%(ENV_AA_COMMAND_GUNICORN)s": f"{before} %(ENV_AA_COMMAND_GUNICORN)s"},
            [
                (
                    f"gunicorn command: {before.replace('%(ENV_AA_VENV_DIRECTORY)s', VENV)} {VENV}/bin/gunicorn "
                    "myauth.wsgi --workers=3 --timeout 120 --pid /home/allianceserver/myauth/gunicorn.pid "
                    f"--no-control-socket -> {VENV}/bin/gunicorn … (what it runs cannot be read from here; "
                    "auth_gunicorn)"
                ),
            ],
        )
        for before in ("ionice -c3", "env A=b", "%(ENV_AA_VENV_DIRECTORY)s/bin/newrelic-admin run-program")
    },
    "a script in gunicorn's place": (
        {
            "%(ENV_AA_COMMAND_GUNICORN)s %(ENV_AA_PROJECT_NAME)s.wsgi\n    --workers=3\n    --timeout 120\n"
            "    --pid %(ENV_AA_PROJECT_DIRECTORY)s/gunicorn.pid\n    --no-control-socket\n": "/opt/web.sh 'a b'\n"
        },
        [
            (
                "gunicorn command: /opt/web.sh a b -> /home/allianceserver/venv/auth/bin/gunicorn … "
                "(what it runs cannot be read from here; auth_gunicorn)"
            ),
        ],
    ),
    "another address": (
        {"--timeout 120": "--timeout 120 -b :8001"},
        ["gunicorn --bind: 0.0.0.0:8001 -> 127.0.0.1:8000 (change it in your web server too; auth_gunicorn_bind)"],
    ),
    "a unix socket": (
        {"--timeout 120": "--timeout 120\n    --bind unix:/run/a.sock"},
        ["gunicorn --bind: unix:/run/a.sock -> 127.0.0.1:8000 (change it in your web server too; auth_gunicorn_bind)"],
    ),
    "a site that logs to its standard output": (
        {"--timeout 120": "--timeout 120 --access-logfile - --error-logfile=-"},
        [
            "gunicorn --access-logfile: --access-logfile - -> none (auth_gunicorn_options)",
            "gunicorn --error-logfile: --error-logfile=- -> none (auth_gunicorn_options)",
        ],
    ),
    "a number of processes in gunicorn's environment": (
        {"--workers=3": "", "stopsignal = INT": "environment = WEB_CONCURRENCY=7\nstopsignal = INT"},
        ["gunicorn --workers: 7 -> 3 (auth_gunicorn_workers)"],
    ),
    "another file for gunicorn's pid": (
        {"--pid %(ENV_AA_PROJECT_DIRECTORY)s/gunicorn.pid": "--pid /run/site.pid"},
        [
            (
                "gunicorn --pid: --pid /run/site.pid -> --pid /home/allianceserver/myauth/gunicorn.pid "
                "(auth_gunicorn_options)"
            ),
        ],
    ),
    "gunicorn's own file": (
        {"--timeout 120": "--timeout 120 -c mine.py"},
        ["gunicorn -c: -c mine.py -> --config /etc/supervisor/a folder/50%.gunicorn.py (auth_gunicorn_options)"],
    ),
    "logs that have moved": (
        {"stdout_logfile = %(ENV_AA_PROJECT_DIRECTORY)s/log/%(program_name)s.log": "stdout_logfile = /mnt/beat.log"},
        [
            (
                "beat stdout_logfile: /mnt/beat.log -> /var/log/supervisor/myauth/beat.log "
                "(auth_program_settings.beat.stdout_logfile)"
            )
        ],
    ),
    "several processes with logs elsewhere, of another size": (
        {
            WORKERS_PROCESSES + OF_BOTH_STREAMS: WORKERS_PROCESSES.replace("1", "2")
            + "stdout_logfile = /mnt/a b_%(process_num)02d.log\nstdout_logfile_maxbytes = 10MB\n"
        },
        [
            "worker numprocs: 2 -> 1 (auth_worker_numprocs)",
            (
                "worker stdout_logfile: /mnt/a b.log -> /var/log/supervisor/myauth/worker.log "
                "(auth_program_settings.worker.stdout_logfile)"
            ),
            "worker stdout_logfile_maxbytes: 10MB -> 50MB (auth_program_settings.worker.stdout_logfile_maxbytes)",
        ],
    ),
    "a log of its own for stderr": (
        {
            WORKERS_PROCESSES + OF_BOTH_STREAMS: WORKERS_PROCESSES
            + "redirect_stderr = false\nstderr_logfile = /mnt/errors.log\nstderr_logfile_backups = 3\n"
        },
        [
            "worker stderr_logfile: /mnt/errors.log -> none (auth_program_settings.worker.stderr_logfile)",
            (
                "worker stderr_logfile_backups: 3 -> 10 (the default) "
                "(auth_program_settings.worker.stderr_logfile_backups)"
            ),
        ],
    ),
    "a smaller log of memmon, which is the role's own": (
        {"events = TICK_60": "events = TICK_60\nstderr_logfile_maxbytes = 1MB"},
        [],
    ),
    "options and an argument": (
        {OF_THE_WORKER: "umask = 027\nstartsecs = 30\n" + OF_THE_WORKER, "--concurrency=5": "--concurrency=5 -E"},
        [
            "worker -E: -E -> none (options of worker in auth_workers)",
            "worker startsecs: 30 -> 10 (auth_program_settings.worker.startsecs)",
            "worker umask: 027 -> none (auth_program_settings.worker.umask)",
        ],
    ),
    "two arguments with one value": (
        {"--concurrency=5": "--concurrency=5 --time-limit 50 --max-tasks-per-child 50"},
        [
            "worker --time-limit: --time-limit 50 -> none (options of worker in auth_workers)",
            "worker --max-tasks-per-child: --max-tasks-per-child 50 -> none (options of worker in auth_workers)",
        ],
    ),
    "other queues": (
        {"--concurrency=5": "--concurrency=5 -Q priority,celery"},
        ["worker --queues: celery,priority -> none (queues of worker in auth_workers)"],
    ),
    "crashmail and httpok": (
        {
            IN_THE_GROUP: f"[eventlistener:crashmail]\ncommand = {CELERY[:-6]}crashmail -a -m me@example.com\n"
            f"events = PROCESS_STATE_EXITED\n[eventlistener:httpok]\ncommand = {CELERY[:-6]}httpok -p myauth:gunicorn "
            "http://127.0.0.1:8000/\nevents = TICK_60\n" + IN_THE_GROUP
        },
        [
            "[eventlistener:crashmail]: a listener -> none (auth_crashmail_email)",
            "[eventlistener:httpok]: a listener -> none (auth_httpok_url)",
        ],
    ),
    "CRLF, tabs, no spaces, comments and other letters": (
        {
            "numprocs = 1\n": "numprocs=3\t; drei für größere Last\r\n",
            "--concurrency=5\n": "--concurrency=7\r\n",
            "stopwaitsecs = 600": "stopwaitsecs: 900",
        },
        [
            "worker --concurrency: 7 -> 10 (auth_worker_concurrency)",
            "worker numprocs: 3 -> 1 (auth_worker_numprocs)",
            "worker stopwaitsecs: 900 -> 600 (auth_worker_stopwaitsecs)",
        ],
    ),
}

# No variable keeps these; each with what is said, and the name that lets it go.
LOST: dict[str, tuple[dict[str, str], str, str]] = {
    "a section of supervisor's": (
        {IN_THE_GROUP: "[inet_http_server]\nport = 9001\n" + IN_THE_GROUP},
        "[inet_http_server]: a section -> none (cut it out here and put it into a file of its own in conf.d)",
        "inet_http_server",
    ),
    "a group": (
        {IN_THE_GROUP: "[group:bots]\nprograms = a\n" + IN_THE_GROUP},
        "[group:bots]: a group -> none (give its programs to auth_extra_programs, or cut it out",
        "group:bots",
    ),
    "the priority of the group": (
        {"priority = 999": "priority = 500"},
        "myauth priority: 500 -> 999 (no variable has it: the role's group has 999, so give the server's other groups ",
        "group:myauth.priority",
    ),
    "another application": (
        {"%(ENV_AA_PROJECT_NAME)s.wsgi": "myauth.telemetry.wsgi"},
        (
            "gunicorn application: myauth.telemetry.wsgi -> myauth.wsgi (the role starts myauth.wsgi: set "
            "auth_gunicorn to false, and give this command to auth_extra_programs under another name)"
        ),
        "program:gunicorn.application",
    ),
    "an application of its own name, behind a flag": (
        {
            " %(ENV_AA_PROJECT_NAME)s.wsgi": "",
            "--no-control-socket": "--no-control-socket myauth.asgi:application",
        },
        "gunicorn application: myauth.asgi:application -> myauth.wsgi (the role starts myauth.wsgi: set auth_gunicorn ",
        "program:gunicorn.application",
    ),
    "an application that gunicorn's own file gives": (
        {" %(ENV_AA_PROJECT_NAME)s.wsgi": ""},
        "gunicorn application: what gunicorn's own file gives -> myauth.wsgi (the role starts myauth.wsgi: set auth_",
        "program:gunicorn.application",
    ),
    "an option of the daemon": (
        {"[supervisord]\n": "[supervisord]\nminfds = 2048\n"},
        "supervisord minfds: 2048 -> none (cut it out here and put it into a file of its own in conf.d)",
        "supervisord.minfds",
    ),
    "several processes of a bot": (
        {IN_THE_GROUP: BOT.replace("numprocs = 1", "numprocs = 2") + IN_THE_GROUP},
        "[program:authbot]: a program -> none (cut out [program:authbot] here and put it into a file of its own in ",
        "program:authbot",
    ),
    "the limit of a program of another file": (
        {"-p gunicorn=256MB": "-p gunicorn=256MB -p other=1GB"},
        "memmon -p other: 1GB -> none (other is not in this file: give it a memmon of another name",
        "eventlistener:memmon -p other",
    ),
    "the limit of a group of another file": (
        {"-p gunicorn=256MB": "-p gunicorn=256MB -g bots=1GB"},
        "memmon -g bots: 1GB -> none (bots is not in this file: give it a memmon of another name",
        "eventlistener:memmon -g bots",
    ),
    "an option of memmon": (
        {"TICK_60": "TICK_60\nbuffer_size = 100"},
        "memmon buffer_size: 100 -> none (only a listener of another name",
        "eventlistener:memmon.buffer_size",
    ),
    "several processes of a worker that something else starts": (
        {WORKER: f"nice {WORKER}", "numprocs = 1\n": "numprocs = 2\n"},
        (
            f"worker command: nice {CELERY} -A myauth worker --pool=threads --concurrency=5 "
            f"-n worker_%(process_num)02d -> {CELERY} … (what it runs cannot be read from here, and several processes "
            "of it need another name, in a file of its own in conf.d)"
        ),
        "program:worker.command",
    ),
    "the system's own Python": (
        {"%(ENV_AA_COMMAND_GUNICORN)s": "/usr/bin/python3 -m gunicorn"},
        f"gunicorn command: /usr/bin/python3 -m gunicorn -> {VENV}/bin/gunicorn (the role starts what is in a virtual",
        "program:gunicorn.command",
    ),
    "two addresses": (
        {"--timeout 120": "--timeout 120 -b 10.0.0.1:80 --bind 127.0.0.1:8000"},
        "gunicorn --bind: 10.0.0.1:80, 127.0.0.1:8000 -> 127.0.0.1:8000 (change it in your web server too",
        "program:gunicorn --bind",
    ),
    "a listener that is called memmon and is none": (
        {IN_THE_GROUP: "[eventlistener:memmon_x]\ncommand = /opt/watch\nevents = TICK_60\n" + IN_THE_GROUP},
        "[eventlistener:memmon_x]: a listener -> none (cut out [eventlistener:memmon_x] here and put it into a file ",
        "eventlistener:memmon_x",
    ),
}


def edited(text: str, edits: dict[str, str]) -> str:
    for before, after in edits.items():
        assert before in text, before
        text = text.replace(before, after, 1)
    return text


class Server:
    """The role's variables on one server, of which some were set."""

    def __init__(self, defaults: dict[str, Any], given: dict[str, Any] | None = None) -> None:
        self.given = given or {}
        self.values = {**defaults, **self.given}
        self.explicit = consent.Variables(self.values, self.given)

    def file(self, version: str = "5.5.0") -> str:
        """Return what the role would write on a server with a version of Alliance Auth."""
        info = look(self.values)
        info["user"] = {"uid": 1000, "gid": 1000, "group": "allianceserver"}
        info["project_exists"] = True
        newer = version not in ("2.15.1", "3.8.1", "4.6.4")
        info["venv"].update(gunicorn_control_socket=newer, template_environment=newer)
        routed = ["services"] if version.startswith("5") else []
        declared, refusals = variables.declare(self.values, HOST, routed)
        assert refusals == []
        return complete(render(declared, info), self.values, declared)

    def changes(
        self,
        old: str,
        version: str = "5.5.0",
        discard: tuple[str, ...] = (),
        gunicorns_file: dict[str, Any] | None = None,
    ) -> list[dict[str, Any]]:
        found = manual_changes.changes(old, self.file(version), discard, CORES, gunicorns_file=gunicorns_file)
        return [change.as_dict() for change in found]

    def unasked(self, old: str, version: str = "5.5.0", discard: tuple[str, ...] = ()) -> list[consent.Change]:
        return consent.unasked(self.changes(old, version, discard), self.explicit)
