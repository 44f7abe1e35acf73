"""Journals of other versions: older ones are led forward and lose nothing, newer ones are left alone."""

import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from bought import Buyer, item, journal_of

from batchgen.errors import RunFolderError
from batchgen.journal import FILE_NAME, Journal, open_for_reading, schema, spend_of

NEXT = "ALTER TABLE item ADD COLUMN note TEXT NOT NULL DEFAULT 'none';"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run folder of the present version with one purchase in it."""
    with journal_of(tmp_path, [item("mug")]) as journal:
        Buyer(journal).accept("mug")
    return tmp_path


@pytest.fixture
def next_version(folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """From here on, the program's version is one further than that of the folder."""
    monkeypatch.setitem(schema.MIGRATIONS, schema.VERSION, NEXT)
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)
    return schema.VERSION


def version_of(folder: Path) -> int:
    with closing(sqlite3.connect(folder / FILE_NAME)) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])


def test_an_older_journal_is_led_forward_and_keeps_its_purchases(folder: Path, next_version: int) -> None:
    with closing(Journal(folder)) as journal:
        assert journal.db.execute("SELECT id, state, note FROM item").fetchall() == [("mug", "processing", "none")]
        assert journal.spend().charged == Decimal("0.056")
    assert version_of(folder) == next_version
    with closing(open_for_reading(folder / FILE_NAME)) as db:
        assert spend_of(db).charged == Decimal("0.056")


def test_a_reader_leaves_an_older_journal_alone_and_says_what_to_do(folder: Path, next_version: int) -> None:
    with pytest.raises(RunFolderError, match="`batchgen run` or `collect` brings it forward"):
        open_for_reading(folder / FILE_NAME)
    assert version_of(folder) == next_version - 1


def test_a_step_that_fails_leaves_the_journal_as_it_was(
    folder: Path, next_version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(schema.MIGRATIONS, next_version - 1, NEXT + "INSERT INTO nowhere VALUES (1);")
    with pytest.raises(sqlite3.OperationalError):
        Journal(folder)
    assert version_of(folder) == next_version - 1
    monkeypatch.setitem(schema.MIGRATIONS, next_version - 1, NEXT)
    Journal(folder).close()
    assert version_of(folder) == next_version


def test_every_version_has_its_way_forward() -> None:
    assert set(schema.MIGRATIONS) == set(range(1, schema.VERSION))
