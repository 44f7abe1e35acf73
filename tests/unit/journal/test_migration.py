"""Journals of other versions: older ones are led forward and lose nothing, newer ones are left alone."""

import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from support.bought import START, Buyer, item, journal_of

from batchgen.core.errors import RunFolderError
from batchgen.item_table import write_items
from batchgen.journal import FILE_NAME, Journal, open_for_reading, schema, spend_of
from batchgen.journal.queries.comparison import compare

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


def test_a_reader_reads_an_older_journal_and_leaves_it_as_it_is(folder: Path, next_version: int) -> None:
    before = (folder / FILE_NAME).read_bytes()
    with closing(open_for_reading(folder / FILE_NAME)) as db:
        assert db.execute("SELECT id, state, note FROM item").fetchall() == [("mug", "processing", "none")]
        assert spend_of(db).charged == Decimal("0.056")
    assert version_of(folder) == next_version - 1
    assert (folder / FILE_NAME).read_bytes() == before


def test_a_reader_of_an_older_journal_sees_what_its_log_holds(folder: Path, next_version: int) -> None:
    with closing(sqlite3.connect(folder / FILE_NAME)) as db:
        db.execute("UPDATE attempt SET charged = '0.5'")
        db.commit()
        assert (folder / f"{FILE_NAME}-wal").stat().st_size > 0
        with closing(open_for_reading(folder / FILE_NAME)) as reader:
            assert spend_of(reader).charged == Decimal("0.5")


def test_a_newer_journal_is_refused_by_readers_and_writers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "VERSION", schema.VERSION - 1)
    monkeypatch.delitem(schema.MIGRATIONS, schema.VERSION)
    for opened in (lambda: open_for_reading(folder / FILE_NAME), lambda: Journal(folder)):
        with pytest.raises(RunFolderError, match="use the batchgen that wrote it, or a newer one"):
            opened()


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


# ---- from version 1 ----------------------------------------------------------------------------------------------

FIRST = Path(__file__).parent / "journals" / "version-1.sql"
BOUGHT_FIRST = """
INSERT INTO meta VALUES ('run', 'spring'), ('api', 'https://api18.dev'), ('account', 'f00d');
INSERT INTO item (id, digest, model, body, tags, path, source, estimated, inputs, state, attempts, listed) VALUES
  ('mug', 'd1', 'hera-1.0-text-to-image', '{"prompt":"A mug"}', '{}', 'mug', 'm.yaml:3', '0.056', '[]', 'done', 1, 1),
  ('jug', 'd2', 'hera-1.0-text-to-image', '{}', '{}', 'jug', 'm.yaml:4', '0.056', '[]', 'in_doubt', 1, 2);
INSERT INTO attempt (item, number, state, estimated, charged, job_id, account, tables, submitted_at) VALUES
  (1, 1, 'done', '0.056', '0.07', 'job-1', 'f00d', '1', 1769903999000),
  (2, 1, 'in_doubt', '0.056', NULL, NULL, 'f00d', '1', 1769903999000);
INSERT INTO output VALUES (1, 1, 'https://api18.dev/v1/files/job-1', 'files/mug.png', 3, 'abc');
PRAGMA user_version = 1;
"""


@pytest.fixture
def first_version(tmp_path: Path) -> Path:
    """A run folder as the first version wrote it."""
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as db:
        db.executescript(FIRST.read_text(encoding="utf-8") + BOUGHT_FIRST)
    return tmp_path


def test_a_journal_of_version_1_keeps_its_money(first_version: Path) -> None:
    with closing(Journal(first_version)) as journal:
        spend = journal.spend()
        assert (spend.charged, spend.in_doubt) == (Decimal("0.07"), Decimal("0.056"))
        assert journal.facts()["run"] == "spring"
        rows = journal.db.execute("SELECT purchase, reserved FROM attempt ORDER BY key").fetchall()
    assert [reserved for _, reserved in rows] == ["0.056", "0.056"]
    assert len({purchase for purchase, _ in rows}) == 2
    assert all(len(purchase) == 20 for purchase, _ in rows)


# ---- from version 2 ----------------------------------------------------------------------------------------------

SECOND = Path(__file__).parent / "journals" / "version-2.sql"
BOUGHT_SECOND = """
INSERT INTO meta VALUES ('run', 'spring'), ('api', 'https://api18.dev'), ('account', 'f00d');
INSERT INTO item (id, digest, model, body, tags, path, source, estimated, inputs, state, attempts, listed) VALUES
  ('mug', 'd1', 'hera-1.0-text-to-image', '{"prompt":"A mug"}', '{}', 'mug', 'm.yaml:3', '0.056', '[]', 'done', 1, 7),
  ('jug', 'd2', 'hera-1.0-text-to-image', '{}', '{}', 'jug', 'm.yaml:4', '0.056', '[]', 'in_doubt', 1, NULL),
  ('pan', 'd3', 'hera-1.0-text-to-image', '{}', '{}', 'pan', 'm.yaml:5', '0.056', '[]', 'pending', 0, 8);
INSERT INTO attempt
  (item, number, state, estimated, charged, job_id, account, tables, submitted_at, purchase, reserved, told) VALUES
  (1, 1, 'done', '0.056', '0.07', 'job-1', 'f00d', '3', 1769903999000, 'a', '0.06', '0.07'),
  (2, 1, 'in_doubt', '0.056', NULL, NULL, 'f00d', '4', 1769903999000, 'b', '0.06', NULL);
INSERT INTO output VALUES (1, 1, 'https://api18.dev/v1/files/job-1', 'files/mug.png', 3, 'abc');
PRAGMA user_version = 2;
"""


@pytest.fixture
def second_version(tmp_path: Path) -> Path:
    """A run folder as the second version wrote it."""
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as db:
        db.executescript(SECOND.read_text(encoding="utf-8") + BOUGHT_SECOND)
    return tmp_path


def test_a_journal_of_version_2_keeps_places_and_catalog_versions(second_version: Path) -> None:
    with closing(sqlite3.connect(second_version / FILE_NAME)) as db:
        before = {table: db.execute(f"SELECT * FROM {table}").fetchall() for table in ("item", "attempt", "output")}
        vouched = db.execute("SELECT run_id, attempts, accepted FROM vouched").fetchall()
    with closing(Journal(second_version)) as journal:
        journal.select(lambda *_: True)
        assert [(position, work.item.id) for position, work in journal.pending(0, 9)] == [(8, "pan")]
        assert journal.db.execute("SELECT catalog_version, named_price FROM attempt ORDER BY key").fetchall() == [
            ("3", "0.07"),
            ("4", None),
        ]
        assert (journal.spend().charged, journal.spend().in_doubt) == (Decimal("0.07"), Decimal("0.06"))
        # Later versions add columns behind the others.
        after = {table: journal.db.execute(f"SELECT * FROM {table}").fetchall() for table in before}
        assert {t: [row[: len(before[t][0])] for row in rows] for t, rows in after.items()} == before
        assert journal.db.execute("SELECT run_id, attempts, accepted FROM vouched").fetchall() == vouched


# ---- from version 3 ----------------------------------------------------------------------------------------------

THIRD = Path(__file__).parent / "journals" / "version-3.sql"
BOUGHT_THIRD = """
INSERT INTO meta VALUES ('run', 'spring'), ('api', 'https://api18.dev'), ('account', 'f00d');
INSERT INTO item (id, digest, model, body, tags, path, source, estimated, inputs, state, attempts, position) VALUES
  ('mug', 'd1', 'hera-1.0-text-to-image', '{"prompt":"A mug"}', '{}', 'mug', 'm.yaml:3', '0.056', '[]', 'done', 1, 7),
  ('jug', 'd2', 'hera-1.0-text-to-image', '{}', '{}', 'jug', 'm.yaml:4', '0.056', '[]', 'in_doubt', 1, NULL),
  ('pan', 'd3', 'hera-1.0-text-to-image', '{}', '{}', 'pan', 'm.yaml:5', '0.056', '[]', 'pending', 0, 8);
INSERT INTO attempt
  (item, number, state, estimated, charged, job_id, account, catalog_version, submitted_at, purchase, reserved) VALUES
  (1, 1, 'done', '0.056', '0.07', 'job-1', 'f00d', '3', 1769903999000, 'a', '0.06'),
  (2, 1, 'in_doubt', '0.056', NULL, NULL, 'f00d', '3', 1769903999000, 'b', '0.06');
INSERT INTO output VALUES (1, 1, 'https://api18.dev/v1/files/job-1', 'files/mug.png', 3, 'abc');
PRAGMA user_version = 3;
"""


@pytest.fixture
def third_version(tmp_path: Path) -> Path:
    """A run folder as the third version wrote it."""
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as db:
        db.executescript(THIRD.read_text(encoding="utf-8") + BOUGHT_THIRD)
    return tmp_path


def test_a_journal_of_version_3_takes_chains(third_version: Path) -> None:
    with closing(Journal(third_version)) as journal:
        assert [(position, work.item.id) for position, work in journal.pending(0, 9)] == [(8, "pan")]
        assert not journal.has_chains()
        assert journal.db.execute("SELECT blocked, reason FROM item").fetchall() == [(0, None)] * 3
        assert journal.db.execute("SELECT charged, inputs FROM attempt").fetchall() == [("0.07", "[]"), (None, "[]")]


# ---- from version 4 ----------------------------------------------------------------------------------------------

FOURTH = Path(__file__).parent / "journals" / "version-4.sql"
BOUGHT_FOURTH = BOUGHT_THIRD.replace("PRAGMA user_version = 3", "PRAGMA user_version = 4")


@pytest.fixture
def fourth_version(tmp_path: Path) -> Path:
    """A run folder as the fourth version wrote it."""
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as db:
        db.executescript(FOURTH.read_text(encoding="utf-8") + BOUGHT_FOURTH)
    return tmp_path


def test_a_journal_of_version_4_expects_nothing_and_has_looked_at_nothing(fourth_version: Path) -> None:
    with closing(Journal(fourth_version)) as journal:
        assert [(position, work.item.expect) for position, work in journal.pending(0, 9)] == [(8, None)]
        assert journal.db.execute("SELECT state, expect, variables FROM item ORDER BY key").fetchall() == [
            ("done", None, None),
            ("in_doubt", None, None),
            ("pending", None, None),
        ]
        assert journal.db.execute("SELECT charged, reserved FROM attempt ORDER BY key").fetchall() == [
            ("0.07", "0.06"),
            (None, "0.06"),
        ]
        assert journal.db.execute("SELECT COUNT(*) FROM delivered").fetchone() == (0,)
        assert journal.db.execute("SELECT path, sha256 FROM output").fetchall() == [("files/mug.png", "abc")]


# ---- from version 5 ----------------------------------------------------------------------------------------------

FIFTH = Path(__file__).parent / "journals" / "version-5.sql"
BOUGHT_FIFTH = BOUGHT_THIRD.replace(
    "PRAGMA user_version = 3",
    """
UPDATE attempt SET scale = '1/4' WHERE key = 1;
UPDATE item SET expect = '{"width":64}' WHERE id = 'mug';
INSERT INTO delivered (attempt, number, sha256, width, height, judged, flags) VALUES (1, 1, 'abc', 64, 64, 1, 'blank');
PRAGMA user_version = 5""",
)


@pytest.fixture
def fifth_version(tmp_path: Path) -> Path:
    """A run folder as the fifth version wrote it."""
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as db:
        db.executescript(FIFTH.read_text(encoding="utf-8") + BOUGHT_FIFTH)
    return tmp_path


def test_nothing_in_a_journal_of_version_5_was_lent_to_a_worker(fifth_version: Path) -> None:
    with closing(Journal(fifth_version)) as journal:
        assert journal.lent_out() == []
        rows = journal.db.execute("SELECT purchase, state, charged, reserved, scale, lent_to FROM attempt ORDER BY key")
        assert rows.fetchall() == [
            ("a", "done", "0.07", "0.06", "1/4", None), ("b", "in_doubt", None, "0.06", None, None),
        ]  # fmt: skip
        assert journal.db.execute("SELECT sha256, width, judged, flags FROM delivered").fetchall() == [
            ("abc", 64, 1, "blank")
        ]
        ((position, pan),) = journal.lendable(0, 9)
        assert (position, pan.item.id) == (8, "pan")
        with journal.transaction():
            attempt = journal.record_intent(pan, "f00d", "8", START, lent_to="00000000000000aa")
        assert journal.lent_out() == [(attempt.purchase, "00000000000000aa")]
    assert version_of(fifth_version) == schema.VERSION


VERSIONS = {f"{word}_version": n for n, word in enumerate(("first", "second", "third", "fourth", "fifth"), 1)}


@pytest.mark.parametrize("older", VERSIONS)
def test_an_older_journal_is_compared_with_a_manifest_before_it_is_migrated(
    older: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    folder = request.getfixturevalue(older)
    table = tmp_path / "items.sqlite3"
    write_items(table, [item("mug"), item("new")])
    with compare(table, folder / FILE_NAME, lambda *_: True) as comparison:
        assert sum(group.items for group in comparison.groups()) == 2
        assert (comparison.edited_ids(9), comparison.unlisted()) == (["mug"], 1)
    assert version_of(folder) == VERSIONS[older]


@pytest.mark.parametrize("older", VERSIONS)
def test_what_is_led_forward_has_the_tables_of_what_is_made_new(
    older: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> None:
    def columns(folder: Path) -> dict[str, set[tuple[str, str, int]]]:
        with closing(Journal(folder, create=True)) as journal:
            tables = [name for (name,) in journal.db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return {t: {(c[1], c[2], c[3]) for c in journal.db.execute(f"PRAGMA table_info({t})")} for t in tables} | {
                "indexes": {
                    (name, "", 0)
                    for (name,) in journal.db.execute("SELECT name FROM sqlite_master WHERE type = 'index'")
                }
            }

    assert columns(request.getfixturevalue(older)) == columns(tmp_path_factory.mktemp("new"))
