"""What befalls the books of a run folder between two starts, each done to the files of a process that has ended."""

import random
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

from batchgen.journal import FILE_NAME
from batchgen.receipts import FILE_NAME as RECEIPTS
from batchgen.session.repair.recovery import recover

WAL, INDEX = f"{FILE_NAME}-wal", f"{FILE_NAME}-shm"
JOURNAL = (FILE_NAME, WAL, INDEX)
BOOKS = (*JOURNAL, RECEIPTS)
HEAD = 100
"""Bytes at the beginning of the receipts that no bit flips in: without their first line there are no receipts."""

Files = dict[str, bytes]
"""What stood in the books once, by name; without those that were not there."""
Accident = Callable[[Path, Files, random.Random], None]
"""What is done to the books in a run folder, with those of an earlier time at hand."""


def read_books(run: Path) -> Files:
    return {name: (run / name).read_bytes() for name in BOOKS if (run / name).exists()}


def put_books(run: Path, files: Files, names: Iterable[str] = BOOKS) -> None:
    """Put these of the books in place as they were, and take away those that were not there."""
    for name in names:
        (run / name).unlink(missing_ok=True)
        if name in files:
            (run / name).write_bytes(files[name])


def older_journal(run: Path, older: Files, draws: random.Random) -> None:
    put_books(run, older, JOURNAL)


def older_journal_without_its_log(run: Path, older: Files, draws: random.Random) -> None:
    put_books(run, {FILE_NAME: older[FILE_NAME]}, JOURNAL)


def older_journal_under_this_log(run: Path, older: Files, draws: random.Random) -> None:
    put_books(run, older, (FILE_NAME,))
    (run / INDEX).unlink(missing_ok=True)


def older_log_on_this_journal(run: Path, older: Files, draws: random.Random) -> None:
    if WAL in older:
        put_books(run, older, (WAL,))
        (run / INDEX).unlink(missing_ok=True)


def older_receipts(run: Path, older: Files, draws: random.Random) -> None:
    put_books(run, older, (RECEIPTS,))


def lost_log(run: Path, older: Files, draws: random.Random) -> None:
    put_books(run, {}, (WAL, INDEX))


def lost_receipts(run: Path, older: Files, draws: random.Random) -> None:
    put_books(run, {}, (RECEIPTS,))


def lost_journal(run: Path, older: Files, draws: random.Random) -> None:
    recover(run)


def torn_end(run: Path, older: Files, draws: random.Random) -> None:
    with (run / RECEIPTS).open("ab") as file:
        file.write(b'{"intent":"012')


def zeros_at_the_end(run: Path, older: Files, draws: random.Random) -> None:
    with (run / RECEIPTS).open("ab") as file:
        file.write(bytes(draws.choice((10, 4096, 70_000, 1 << 21))))


def flipped_bit(run: Path, older: Files, draws: random.Random) -> None:
    content = bytearray((run / RECEIPTS).read_bytes())
    content[draws.randrange(HEAD, len(content))] ^= 1 << draws.randrange(7)
    (run / RECEIPTS).write_bytes(content)


def older_version(run: Path, older: Files, draws: random.Random) -> None:
    """A journal of version 1 that is brought forward has other names for purchases than the receipts."""
    with closing(sqlite3.connect(run / FILE_NAME)) as db, db:
        db.execute("UPDATE vouched SET generation = 0, bytes = 0, sha256 = '', run_id = lower(hex(randomblob(8)))")
        db.execute(
            "UPDATE attempt SET purchase = printf('%011x', submitted_at) || substr(lower(hex(randomblob(5))), 1, 9)"
        )


MIXED: tuple[Accident, ...] = (older_journal_under_this_log, older_log_on_this_journal)
"""A file and a log of different times are no database: they may be refused, but never guessed at."""
ACCIDENTS: tuple[Accident, ...] = (
    older_journal, older_journal_without_its_log, *MIXED, older_receipts, lost_log, lost_receipts, lost_journal,
    torn_end, zeros_at_the_end, flipped_bit,
)  # fmt: skip
"""All but `older_version`, which can only befall what that version knew."""
