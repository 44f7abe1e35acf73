"""What a run notes about its beginning and its end."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from batchgen.standing.last_run import LastRun, last_run_fact, last_run_of, last_run_text

BEGAN = LastRun(began_at=datetime(2026, 1, 31, 20, 0, tzinfo=UTC), max_cost=Decimal("20.00"), spent_before=Decimal(3))
ENDED = LastRun(
    began_at=BEGAN.began_at, ended_at=datetime(2026, 1, 31, 23, 0, tzinfo=UTC), stopped_because="max_cost",
    detail="max_cost of $20.00 is reached", exit_code=3,
)  # fmt: skip


@pytest.mark.parametrize("last", [LastRun(), BEGAN, ENDED])
def test_what_is_noted_is_read(last: LastRun) -> None:
    assert last_run_of(last_run_fact(last)) == last


@pytest.mark.parametrize("text", ["", "[]", "7", '{"began_at": "yesterday"}', '{"max_cost": "much"}', "{"])
def test_what_cannot_be_read_is_nothing(text: str) -> None:
    assert last_run_of({"last_run": text}) == LastRun()


def test_it_says_why_it_ended() -> None:
    assert last_run_text(LastRun(), running=False) == ""
    assert last_run_text(BEGAN, running=True) == ""
    assert "was stopped from outside" in last_run_text(BEGAN, running=False)
    assert BEGAN.began_only
    assert not ENDED.began_only
    assert last_run_text(ENDED, running=False) == (
        "the last run stopped at 2026-01-31T23:00:00Z: max_cost of $20.00 is reached"
    )
