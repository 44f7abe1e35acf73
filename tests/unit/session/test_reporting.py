"""The report at the end of a run never changes how the run ended."""

import logging
from contextlib import closing
from pathlib import Path

import pytest
from support.bought import item, journal_of

from batchgen.journal import Journal
from batchgen.report import writer
from batchgen.session import reporting
from batchgen.session.host import Event, Notice
from batchgen.session.reporting import report_at_end


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "spring"
    folder.mkdir()
    with journal_of(folder, [item("mug", "A mug")]):
        pass
    return folder


def written(folder: Path, wanted: str = "full", *, items: int = 1, interrupted: bool = False) -> object:
    with closing(Journal(folder)) as journal:
        return report_at_end(journal, wanted, lambda _: None, items=items, interrupted=interrupted)


def test_it_is_written_where_it_is_wanted(run: Path) -> None:
    assert written(run, "none") is None
    assert not (run / "report.html").exists()
    assert written(run, "page") == run / "report.html"
    assert (run / "report.html").exists()


def test_without_the_extra_it_says_which(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporting, "missing_extra", lambda: "pip install it")
    assert written(run) == "not written: it needs an extra: pip install it"


def test_an_interrupted_run_writes_a_small_one_alone(run: Path) -> None:
    assert f"`batchgen report {run}` writes it" in str(written(run, items=100_000, interrupted=True))
    assert not (run / "report.html").exists()
    assert written(run, interrupted=True) == run / "report.html"


def test_a_large_one_is_told_before_it_is_written(run: Path) -> None:
    heard: list[Event] = []
    with closing(Journal(run)) as journal:
        report_at_end(journal, "full", heard.append, items=123_456, interrupted=False)
    assert heard == [Notice("writing the report of 123,456 items; Ctrl-C leaves it out")]


@pytest.mark.parametrize(
    ("error", "told", "level"),
    [
        (KeyboardInterrupt(), "since it was interrupted", logging.WARNING),
        (ZeroDivisionError("division by zero"), "because of a bug", logging.ERROR),
    ],
)
def test_whatever_happens_the_run_has_ended(
    run: Path, error: BaseException, told: str, level: int,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    def fail(folder: Path, *, ended: bool) -> None:
        raise error

    monkeypatch.setattr(writer, "write_report", fail)
    assert told in str(written(run))
    assert [record.levelno for record in caplog.records] == [level]
