"""What was found about the files of a run, read while another process may be writing it."""

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from batchgen.core.records import COLLECTABLE


@dataclass(frozen=True, slots=True)
class Flagged:
    """How many requested items have flagged files, and how much is left to judge."""

    items: int = 0
    by_flag: Mapping[str, int] = field(default_factory=dict)
    """How many of them have each flag, most first."""
    unjudged: int = 0
    """Files of requested items of which not everything was looked at; those of older versions do not count."""


NOTHING_FLAGGED = Flagged()


@dataclass(frozen=True, slots=True)
class FlaggedFile:
    """A file in which something was found."""

    item_id: str
    output: int
    path: str
    """Relative to the run folder."""
    flags: tuple[str, ...]


def flagged_of(db: sqlite3.Connection) -> Flagged:
    """Return what was found about the files of requested items (selected ones), in the purchases that count."""
    found: dict[int, set[str]] = {}
    for key, flags in db.execute(f"SELECT i.key, d.flags {_FLAGGED}"):
        found.setdefault(key, set()).update(flags.split(";"))
    by_flag = Counter(flag for flags in found.values() for flag in flags)
    return Flagged(len(found), dict(sorted(by_flag.items(), key=lambda one: (-one[1], one[0]))), unjudged_of(db))


def unjudged_of(db: sqlite3.Connection) -> int:
    """Return how many files of requested items (selected ones) were not looked at as a whole; see `Flagged`."""
    (unjudged,) = db.execute(_UNJUDGED).fetchone()
    return int(unjudged)


def flagged_files(db: sqlite3.Connection) -> Iterator[FlaggedFile]:
    """Yield the flagged files of selected items, in the order of the manifest."""
    rows = db.execute(f"SELECT i.id, o.number, o.path, d.flags {_FLAGGED} ORDER BY i.position, d.number")
    for item_id, output, path, flags in rows:
        yield FlaggedFile(item_id, output, path, tuple(flags.split(";")))


# From the flagged files on, of which there are few.
_FLAGGED = """
FROM delivered d INDEXED BY delivered_flagged CROSS JOIN output o USING (attempt, number, sha256)
CROSS JOIN attempt a ON a.key = d.attempt CROSS JOIN item i ON i.key = a.item
WHERE d.flags <> '' AND i.state = 'done' AND i.position IS NOT NULL AND o.path IS NOT NULL AND wanted(i.id, i.tags)
  AND a.number = (SELECT MAX(b.number) FROM attempt b WHERE b.item = i.key AND b.state = 'done')
"""
_UNJUDGED = f"""
SELECT COUNT(*) FROM delivered d INDEXED BY delivered_unjudged CROSS JOIN output o USING (attempt, number, sha256)
CROSS JOIN attempt a ON a.key = d.attempt CROSS JOIN item i ON i.key = a.item
WHERE d.judged = 0 AND o.path IS NOT NULL AND i.position IS NOT NULL AND a.state NOT IN {COLLECTABLE.sql}
  AND wanted(i.id, i.tags)
"""
