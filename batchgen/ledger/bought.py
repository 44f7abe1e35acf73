"""What was bought, as a short list for git: enough for another copy of a manifest to buy none of it again."""

import csv
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from batchgen.core.cells import text_cell, unguarded
from batchgen.core.errors import UsageError
from batchgen.core.files import staged_text
from batchgen.core.records import BOUGHT
from batchgen.ledger.charges import Charge, file_charges

COLUMNS = ("run", "item_id", "request_digest")


def purchases(charges: Iterable[Charge], *, simulated: bool) -> Iterator[Charge]:
    """Yield the charges that were paid for, or may have been; with `simulated`, those of simulated money too."""
    return (charge for charge in charges if charge.state in BOUGHT and (simulated or not charge.simulated))


def write_bought(charges: Iterable[Charge], path: Path) -> int:
    """Write the purchases among `charges` as a list, the same for the same purchases, and return how many there are.

    Pretend money buys nothing. Raises DiskError.
    """
    with closing(sqlite3.connect("", isolation_level=None)) as db:
        # Sorted without holding them all: a nameless database goes to a file where it grows.
        db.execute("PRAGMA journal_mode = OFF")
        db.execute("CREATE TABLE bought (run, item_id, digest, PRIMARY KEY (run, item_id, digest)) WITHOUT ROWID")
        rows = ((c.run, c.item_id, c.digest) for c in purchases(charges, simulated=False))
        db.executemany("INSERT OR IGNORE INTO bought VALUES (?, ?, ?)", rows)
        count = 0
        with staged_text(path) as out:
            writer = csv.writer(out, lineterminator="\n")  # as git likes it
            writer.writerow(COLUMNS)
            for run, item_id, digest in db.execute("SELECT * FROM bought ORDER BY run, item_id, digest"):
                writer.writerow((text_cell(run), text_cell(item_id), digest))
                count += 1
    return count


def bought_in(path: Path, *, simulated: bool) -> Iterator[tuple[str, str]]:
    """Yield id and digest of what a file shows as bought, which is a ledger or such a list.

    Raises UsageError that names file and line of what is wrong.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.reader(lines, strict=True)
            if tuple(next(reader, ())) == COLUMNS:
                for row in reader:
                    if row and len(row) != len(COLUMNS):
                        raise UsageError(f"{path}:{reader.line_num}: expected 3 cells, got {len(row)}")
                    if row:
                        yield unguarded(row[1]), row[2]
                return
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text; export it as CSV in UTF-8") from error
    except csv.Error as error:
        raise UsageError(f"{path}: {error}") from error
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    for charge in purchases(file_charges(path), simulated=simulated):
        yield charge.item_id, charge.digest
