"""What a person is told while a run goes on, and how often."""

from decimal import Decimal
from typing import Literal

import pytest

from batchgen.policy.alerts import Alert, CapNear, CapUse, FirstDoubt, Paused, Resumed, Standing, Told, alerts_of
from batchgen.policy.stopping import ApiHealth


def told_of(*standings: Standing, before: Standing | None = None) -> list[Alert]:
    """All that is told of a run that stands like this, one after the other."""
    told, found = Told.before(before or Standing()), []
    for standing in standings:
        told, alerts = alerts_of(told, standing)
        found += alerts
    return found


def use(name: str, committed: str, limit: str = "10") -> CapUse:
    return CapUse(name, Decimal(limit), Decimal(committed))


def test_a_cap_is_told_once_from_four_fifths_on() -> None:
    near = use("budget", "8.00")
    steps = [Standing([use("budget", spent)]) for spent in ("0", "7.99")]
    assert told_of(*steps) == []
    assert told_of(*steps, Standing([near]), Standing([use("budget", "9")]), Standing([use("budget", "5")])) == [
        CapNear(near)
    ]
    assert CapNear(near).sentence == "at least 80% of budget is used: $8.00 of $10.00 is spent, reserved or in doubt"


def test_each_cap_is_told_for_itself() -> None:
    first, second = use("budget", "8"), use("max_cost", "90", "100")
    assert told_of(Standing([first]), Standing([first, second])) == [CapNear(first), CapNear(second)]


def test_a_cap_that_was_near_before_the_run_is_not_told_again() -> None:
    before = Standing([use("max_cost", "9.60"), use("budget", "0")])
    assert told_of(before, Standing([use("max_cost", "9.70"), use("budget", "0.10")]), before=before) == []
    assert told_of(Standing([use("max_cost", "9.99"), use("budget", "8.10")]), before=before) == [
        CapNear(use("budget", "8.10"))
    ]


def test_the_first_doubt_is_told_and_no_other() -> None:
    assert told_of(Standing(), Standing(doubts=2), Standing(doubts=5)) == [FirstDoubt(2)]
    assert FirstDoubt(1).sentence == "1 submission had no clear answer and may have been charged"


def test_a_doubt_that_a_crash_left_is_the_first_one() -> None:
    assert told_of(Standing(doubts=1), before=Standing(doubts=1)) == [FirstDoubt(1)]


def test_a_pause_is_told_once_until_it_has_ended() -> None:
    paused, outage, open_ = Standing(paused_by="in_doubt"), Standing(paused_by="outage"), Standing()
    assert told_of(open_, paused, outage, open_, open_, outage) == [
        Paused("in_doubt"), Resumed(), Paused("outage"),
    ]  # fmt: skip


def test_a_run_that_has_stopped_neither_pauses_nor_resumes() -> None:
    stopped = Standing(stopped=True)
    assert told_of(Standing(paused_by="outage"), stopped, stopped) == [Paused("outage")]
    assert told_of(Standing(paused_by="outage", stopped=True)) == []
    assert told_of(Standing(doubts=1, stopped=True)) == [FirstDoubt(1)], "an answer may still come"


@pytest.mark.parametrize("by", ["outage", "in_doubt"])
def test_a_pause_says_why(by: Literal["outage", "in_doubt"]) -> None:
    expected = {"outage": "cannot be reached", "in_doubt": "no clear answer"}[by]
    assert expected in Paused(by).sentence


def test_one_failed_connection_is_no_outage_and_a_failed_probe_is() -> None:
    health = ApiHealth().definite()
    assert health.paused_by() is None
    once = health.not_sent(10.0)
    assert (once.probe_at, once.paused_by()) == (11.0, None)
    assert once.not_sent(10.5).paused_by() is None, "a request that was sent before the pause began"
    assert once.not_sent(11.0).paused_by() == "outage"
    assert once.not_sent(11.0).definite().paused_by() is None


def test_doubts_in_a_row_pause() -> None:
    health = ApiHealth().definite()
    for _ in range(2):
        health = health.unclear(1.0, Decimal(1))
    assert health.paused_by() is None
    health = health.unclear(1.0, Decimal(1))
    assert health.paused_by() == "in_doubt"
    assert health.reached().paused_by() == "in_doubt", "an answered poll ends no doubt"
    assert health.definite().paused_by() is None
