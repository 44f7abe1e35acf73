"""What happened over time, for drawing."""

from pathlib import Path
from typing import Any

import pytest
from support.bought import Buyer, item, journal_of

from batchgen.page import RunPage
from batchgen.page.series import POINTS, quantile


@pytest.mark.parametrize(
    ("counted", "tenths", "value"),
    [
        ([(7, 1)], 5, 7),
        ([(1, 1), (2, 1), (3, 1)], 5, 2),
        ([(1, 5), (9, 5)], 5, 1),
        ([(1, 4), (9, 6)], 5, 9),
        ([(n, 1) for n in range(1, 101)], 1, 10),
        ([(n, 1) for n in range(1, 101)], 9, 90),
    ],
)
def test_a_quantile_is_the_value_that_so_many_are_at_most(
    counted: list[tuple[int, int]], tenths: int, value: int
) -> None:
    assert quantile(counted, tenths) == value


def series_after(folder: Path, *changes: str) -> dict[str, Any]:
    """The series of a night of 700 items, each done three seconds after it began, after changes of its journal."""
    with journal_of(folder, [item(f"i{n}") for n in range(700)]) as journal:
        buyer = Buyer(journal)
        for number in range(700):
            buyer.done(f"i{number}", cost="0.056")
        for change in changes:
            journal.db.execute(change)
    with RunPage(folder) as page:
        series: dict[str, Any] = page.overview()["series"]
    return series


def test_a_long_night_has_a_bounded_number_of_points(tmp_path: Path) -> None:
    series = series_after(tmp_path)
    for line in series.values():
        assert 300 < len(line["t"]) <= POINTS
        assert line["t"] == sorted(set(line["t"]))
    assert series["cost"]["net"][-1] == pytest.approx(39.2)
    assert series["in_flight"]["jobs"][-1] == 0
    assert max(series["lag"]["worst_s"]) == 0.8, "two seconds, less 1.234 at work, to a tenth"


def test_a_provider_whose_clock_is_behind_adds_no_points(tmp_path: Path) -> None:
    series = series_after(tmp_path, "UPDATE attempt SET completed_at = completed_at - 400000000, refunded = '0.01'")
    for line in series.values():
        assert len(line["t"]) <= POINTS
        assert line["t"] == sorted(set(line["t"]))
    assert series["cost"]["net"][-1] == pytest.approx(32.2)


def test_lengths_of_time_are_few_however_long_and_many_they_are(tmp_path: Path) -> None:
    series = series_after(tmp_path, "UPDATE attempt SET inference_ms = NULL, took_ms = 3600123 + key")
    assert set(series["lag"]["worst_s"]) == {3600}


@pytest.mark.parametrize("behind", [4000, 400_000_000])
def test_a_provider_whose_clock_is_behind_has_no_fewer_jobs_than_none(tmp_path: Path, behind: int) -> None:
    series = series_after(tmp_path, f"UPDATE attempt SET completed_at = completed_at - {behind}")
    assert min(series["in_flight"]["jobs"]) == 0
    assert series["in_flight"]["jobs"][-1] == 0
