"""What a benchmark or a test concludes from traffic."""

from __future__ import annotations

from lab.observe import counts, programs


def line(event: str, key: str, time: float = 0.0) -> dict[str, object]:
    return {"event": event, "key": key, "time": time}


def request(time: float, status: int, took: float = 0.0) -> dict[str, object]:
    return {"time": time, "took": took, "status": status}


def sent(*keys: str, due: float = 0.0) -> list[dict[str, object]]:
    return [{"key": key, "due": due} for key in keys]


def test_a_task_without_an_end_is_lost_and_one_that_began_twice_is_doubled() -> None:
    ledger = [line("start", "a"), line("end", "a"), line("start", "b"), *2 * [line("start", "c"), line("end", "c")]]
    counted = counts.count_tasks(sent("a", "b", "c", "d"), ledger)
    assert counted.lost == ("b", "d")
    assert counted.doubled == ("c",)


def test_a_task_that_fails_may_begin_again_once_for_each_failure() -> None:
    retried = [line("start", "a"), line("failure", "a"), line("start", "a"), line("end", "a")]
    assert counts.count_tasks(sent("a"), retried) == counts.TaskCounts(sent=("a",))
    assert counts.count_tasks(sent("a"), retried[:2]).lost == ("a",)
    assert counts.count_tasks(sent("a"), [*retried, line("start", "a")]).doubled == ("a",)


def test_a_task_that_begins_before_its_countdown_is_over_is_early() -> None:
    ledger = [line("start", "a", 9.9), line("end", "a", 11), line("start", "b", 10.1), line("end", "b", 11)]
    counted = counts.count_tasks(sent("a", "b", "c", due=10), ledger)
    assert counted.early == ("a",)
    assert counted.lost == ("c",)


def test_the_delay_of_a_task_counts_from_the_end_of_its_countdown() -> None:
    tasks = [{"key": key, "time": 0, "due": due} for key, due in (("a", 10), ("b", 11), ("c", 30), ("at once", 0))]
    ledger = [line("start", "a", 10.5), line("start", "b", 15), line("start", "b", 40), line("start", "c", 50)]
    assert counts.longest_delay(tasks, [*ledger, line("start", "at once", 20)], 5, 20) == 4
    assert counts.longest_delay(tasks, ledger, 60, 70) == 0


def test_downtime_lasts_from_the_first_failure_to_the_next_answer() -> None:
    statuses = [200, 302, 0, 503, 404, 500, 200]
    requests = [request(10 + 0.5 * number, status) for number, status in enumerate(statuses)]
    assert counts.downtime(reversed(requests)) == 1.5
    assert len(counts.failed(requests)) == 3


def test_downtime_counts_the_wait_for_a_gunicorn_that_cannot_answer_yet() -> None:
    requests = [request(0, 200), request(1, 0), request(2, 200, took=6), request(3, 200, took=5.5), request(9, 200)]
    assert counts.downtime(requests) == 7


def test_downtime_that_does_not_end_counts_to_the_last_request() -> None:
    assert counts.downtime([request(1, 200), request(2, 0), request(4, 0)]) == 2
    assert counts.downtime([]) == 0


def test_a_missing_worker_shows_as_a_gap_between_beginnings() -> None:
    ledger = [line("start", str(number), time) for number, time in enumerate([0, 0.5, 1.5, 6.5, 7.0])]
    assert counts.without_worker(sent(*"01234"), [*ledger, line("start", "other", 4)], every=0.5) == 4.5


def test_celery_processes_outside_the_daemon_are_orphans() -> None:
    listing = """
      1     0 init.scope /sbin/init
     10     1 supervisor.service /usr/bin/python3 /usr/bin/supervisord -n
     11    10 supervisor.service /venv/bin/python3 /venv/bin/celery -A myauth worker
     12    11 supervisor.service /venv/bin/python3 /venv/bin/celery -A myauth worker
     13     1 supervisor.service /venv/bin/python3 /venv/bin/celery -A myauth worker --pool=threads
     14     1 ssh.service grep celery -A
     15     1 allianceauth-tuning-myauth-worker-worker_00-1.service /venv/bin/python3 /venv/bin/celery -A myauth worker
    """
    assert programs.orphans_in(listing.strip(), daemon=10) == [
        "13 /venv/bin/python3 /venv/bin/celery -A myauth worker --pool=threads"
    ]


def test_the_last_word_of_each_memmon_counts_though_they_share_a_log() -> None:
    look = "Checking programs {name}={limit}\nRSS of myauth:{name} is {size}\n"
    log = look.format(name="worker_00", limit=1048576, size=5) + "RESULT 2\nOKREADY\n"
    log += look.format(name="worker_00", limit=268435456, size=119713792)
    log += look.format(name="worker_01", limit=268435456, size=119713792)
    assert programs.memory_limits_in(log) == {
        name: f"{name} holds 114 MB, its limit is 256 MB" for name in ("worker_00", "worker_01")
    }
    assert programs.memory_limits_in("") == {}


def test_the_longest_pause_counts_from_the_begin_of_the_window_to_its_end() -> None:
    ledger = [{"event": "start", "key": f"a-0-{time}", "time": time} for time in (1, 12, 13, 30)]
    ledger += [{"event": "end", "key": "a-0-12", "time": 20}, {"event": "start", "key": "a-1-16", "time": 16}]
    assert counts.longest_pause(ledger, "a-0-", 10, 18) == 5
    assert counts.longest_pause(ledger, "a-0-", 11.5, 14) == 1
