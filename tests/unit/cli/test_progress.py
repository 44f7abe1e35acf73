"""Progress: a bar on a terminal, plain lines elsewhere, nothing when quiet."""

import io
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from batchgen.cli.listeners import left_behind
from batchgen.cli.progress import BAR_EVERY, LINE_EVERY, Bar, Lines, Progress, Silence, reporter_for
from batchgen.session.host import Ended, Snapshot, Started

START = Snapshot(items=1500, done=0, in_flight=16, failed=0, in_doubt=0, spent=Decimal(0), left=None)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines(*snapshots: tuple[float, Snapshot]) -> list[str]:
    """What is written when this many seconds have passed at each snapshot."""
    out, clock = io.StringIO(), iter([seconds for seconds, _ in snapshots])
    reporter = Lines(out, lambda: next(clock))
    for _, snapshot in snapshots:
        reporter.show(snapshot)
    reporter.close()
    return out.getvalue().splitlines()


def test_a_line_tells_how_it_stands() -> None:
    full = Snapshot(1500, 700, 16, 3, 2, Decimal("39.20"), Decimal("20.8"))
    assert lines((3725.9, full)) == [
        "1:02:05: 700 of 1,500 done, 16 in flight, 3 failed, 2 in doubt, $39.20 spent, $20.80 left"
    ]


def test_a_line_leaves_out_what_there_is_none_of() -> None:
    assert lines((0.0, START)) == ["0:00: 0 of 1,500 done, 16 in flight, $0.00 spent"]


def test_the_time_to_go_follows_what_ended_in_this_run() -> None:
    resumed = replace(START, done=500)
    _, later, none = lines((0.0, resumed), (60.0, replace(resumed, done=590, failed=10)), (61.0, resumed))
    assert later.endswith(", about 9:00 to go"), "900 left at 100 a minute"
    assert "to go" not in none


def test_nothing_is_said_twice() -> None:
    """A run with nothing to do ends as it began."""
    ended = replace(START, done=1500, in_flight=0)
    assert len(lines((0.0, ended), (0.0, ended))) == 1
    assert len(lines((0.0, ended), (1.2, ended))) == 1
    assert len(lines((0.0, START), (0.0, ended))) == 2
    assert len(lines((0.0, START), (29.999, START), (60.0, START))) == 3, "it still lives"


def test_the_end_has_nothing_to_go() -> None:
    assert "to go" not in lines((0.0, START), (90.0, replace(START, done=1500, in_flight=0)))[1]


def test_a_bar_shows_share_and_numbers() -> None:
    out = Terminal()
    bar = Bar(out)
    bar.show(replace(START, done=300, spent=Decimal("16.8")))
    bar.show(replace(START, done=750, failed=5, in_doubt=1, left=Decimal("1.5")))
    bar.show(replace(START, done=600))
    bar.close()
    last = out.getvalue().split("\r")
    assert any("50%" in part and "756/1500" in part and "5 failed, 1 in doubt" in part for part in last)
    assert " 40%" in last[-1]
    assert out.getvalue().endswith("\n")


def test_a_bar_over_nothing_is_no_fault() -> None:
    bar = Bar(Terminal())
    bar.show(replace(START, items=0, in_flight=0))
    bar.close()


def test_silence_is_silent() -> None:
    silence = Silence()
    silence.show(START)
    silence.close()


def test_snapshots_are_shown_as_often_as_fits_and_the_last_one_always() -> None:
    out, seconds = io.StringIO(), 0.0
    progress = Progress(out, quiet=False, now=lambda: seconds)
    progress(Ended())  # a session that never began has nothing to show
    progress(Started())
    for number in range(200):
        progress(replace(START, done=number))
        seconds += 0.25
    progress(Ended())
    shown = [line.split(" done")[0] for line in out.getvalue().splitlines()]
    assert shown == ["0:00: 0 of 1,500", "0:30: 120 of 1,500", "0:50: 199 of 1,500"]


@pytest.mark.parametrize(
    ("out", "quiet", "kind", "every"),
    [
        (io.StringIO(), False, Lines, LINE_EVERY),
        (Terminal(), False, Bar, BAR_EVERY),
        (Terminal(), True, Silence, LINE_EVERY),
        (io.StringIO(), True, Silence, LINE_EVERY),
    ],
)
def test_the_reporter_fits_where_it_leads_to(out: io.StringIO, quiet: bool, kind: type, every: float) -> None:
    reporter = reporter_for(out, quiet=quiet, elapsed=lambda: 0.0)
    assert type(reporter) is kind
    assert reporter.every == every
    reporter.close()
    assert LINE_EVERY == 30.0


def test_what_a_process_leaves_behind_that_stops_at_once() -> None:
    both = left_behind(replace(START, in_flight=16, submitting=3), Path("/out/my run"))
    assert "3 requests have no answer yet, may be charged, and are in doubt" in both
    assert "`batchgen resolve '/out/my run'`" in both
    assert "13 jobs at the provider" in both
    assert both.endswith("next: run the same command to continue; nothing is bought twice\n")
    one = left_behind(replace(START, in_flight=1, submitting=1), None)
    assert "1 request has no answer yet, may be charged, and is in doubt" in one
    assert "at the provider" not in one
    assert left_behind(replace(START, in_flight=0), None).count("\n") == 2
