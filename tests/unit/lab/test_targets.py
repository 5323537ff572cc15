"""Which targets the benchmark says are met."""

from __future__ import annotations

import pytest

from bench import restart, ways


def seen(*without_worker: float) -> list[restart.Seen]:
    return [
        restart.Seen(
            took=1.0,
            failed=0,
            downtime=30.0,
            without_worker=seconds,
            late=0.0,
            lost=0,
            doubled=0,
            orphans=0,
            memory=0,
        )
        for seconds in without_worker
    ]


@pytest.mark.parametrize(("rounds", "met"), [((0.0, 0.0, 1.5), "met"), ((0.0, 0.0, 1.6), "MISSED")])
def test_the_worst_round_has_to_keep_what_is_promised_of_each_run(
    capsys: pytest.CaptureFixture[str], rounds: tuple[float, ...], met: str
) -> None:
    comparison = ways.CHANGE
    by_hand = {way.key: seen(36.0, 36.0, 36.0) for way in comparison.ways}
    restart.targets(comparison, {**by_hand, comparison.ours: seen(*rounds)}, 30)
    assert f"no worker for at most 1.5 s: {met}\n" in capsys.readouterr().out
