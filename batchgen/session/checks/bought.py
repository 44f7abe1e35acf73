"""Leaves out of a staged manifest what was bought elsewhere: as other run folders, ledgers and lists show it."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from batchgen.core.errors import UsageError
from batchgen.journal import FILE_NAME
from batchgen.ledger import LEDGER_NAME, run_charges
from batchgen.ledger.bought import bought_in, purchases


def skip_bought(stage: Path, given: Sequence[Path], listed: Sequence[Path] = (), *, simulated: bool) -> int:
    """Take out of the stage what other books show as bought, or as perhaps bought; return how many items.

    `given` are the books of `--skip-bought`, `listed` those of the manifest's `run.bought`. A purchase stands for the
    item of the same id and request; else, as where items were renamed, for the first one of the same request that is
    left and is no wanted second purchase. `simulated` counts pretended money too. What is taken out is kept in the
    stage's table `skipped`. Raises UsageError, also where what was given fits nothing, and RunFolderError.
    """
    with closing(sqlite3.connect(stage)) as db, db:
        # Comparing looks each purchase of the journal up in the stage.
        db.execute("CREATE UNIQUE INDEX IF NOT EXISTS item_identity ON item (id, digest)")
        if not given and not listed:
            return 0
        db.execute("CREATE INDEX IF NOT EXISTS item_digest ON item (digest)")
        db.execute(_BOUGHT)
        for number, books in enumerate((*given, *listed)):
            pairs = ((number, *pair) for pair in _pairs(books, simulated=simulated))
            db.executemany("INSERT OR IGNORE INTO temp.bought VALUES (?, ?, ?)", pairs)
            if books in given and not db.execute(_FITS, (number,)).fetchone():
                raise UsageError(f"--skip-bought {books}: nothing that it shows as bought is asked for here")
        db.execute(_SAME)
        db.execute(_SAME_REQUEST)
        return db.execute("DELETE FROM item WHERE (id, digest) IN (SELECT id, digest FROM skipped)").rowcount


_BOUGHT = """
CREATE TEMP TABLE bought (books INTEGER, id TEXT, digest TEXT, PRIMARY KEY (digest, id, books)) WITHOUT ROWID
"""
_FITS = "SELECT 1 FROM temp.bought b WHERE books = ? AND EXISTS (SELECT 1 FROM item WHERE digest = b.digest) LIMIT 1"
_SAME = """
INSERT OR IGNORE INTO skipped
SELECT s.id, s.digest FROM item s JOIN temp.bought b ON b.digest = s.digest AND b.id = s.id
"""
_SAME_REQUEST = """
INSERT INTO skipped
SELECT s.id, s.digest FROM (
  SELECT n.id, n.digest, row_number() OVER (PARTITION BY n.digest ORDER BY n.id) AS turn
  FROM item n WHERE n.digest IN (SELECT digest FROM temp.bought)
    AND NOT EXISTS (SELECT 1 FROM skipped k WHERE k.id = n.id AND k.digest = n.digest)
    AND NOT EXISTS (SELECT 1 FROM redo d WHERE d.position = n.position)
) s JOIN (
  SELECT o.digest, row_number() OVER (PARTITION BY o.digest ORDER BY o.id) AS turn
  FROM (SELECT DISTINCT id, digest FROM temp.bought) o
  WHERE NOT EXISTS (SELECT 1 FROM skipped k WHERE k.id = o.id AND k.digest = o.digest)
) o ON o.digest = s.digest AND o.turn = s.turn
"""


def _pairs(books: Path, *, simulated: bool) -> Iterator[tuple[str, str]]:
    """Yield id and digest of the purchases in a run folder, a ledger or a list. Raises RunFolderError, UsageError."""
    if books.is_dir():
        yield from _of_folder(books, simulated=simulated)
        return
    file = books.resolve()
    journal = file.with_name(FILE_NAME)
    # The ledger is behind while a run goes on, and after one that was killed; the journal beside it never is. One
    # without a byte knows nothing: its making was cut short.
    if journal.is_file() and journal.stat().st_size:
        yield from _of_folder(file.parent, simulated=simulated)
        if file.name == LEDGER_NAME:
            return
    yield from bought_in(file, simulated=simulated)


def _of_folder(folder: Path, *, simulated: bool) -> Iterator[tuple[str, str]]:
    for charge in purchases(run_charges(folder), simulated=simulated):
        yield charge.item_id, charge.digest
