"""Which items and purchases several journals share, and where they contradict each other.

A purchase is the same in two journals if it has the same name in the receipts, or (in journals that were migrated from
version 1, which had no names) the same item, number and time. One journal may have gone further with it than another.
Anything else that two of them know of one item is a contradiction: nobody can say which of them is right, or whether it
was bought twice.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Contradiction = Literal["request", "bought", "purchase", "job"]


@dataclass(frozen=True, slots=True)
class Overlap:
    """An item on which two journals contradict each other."""

    kind: Contradiction
    """Another request under one id; bought in both; one purchase that ended in two ways; one job of two purchases."""
    item_id: str
    first: int
    """The place of a journal among those that are merged."""
    second: int
    detail: str = ""
    """The job, where there is one."""


TABLES = """
-- Where each item of each journal is in the merged one.
CREATE TEMP TABLE place (
  source INTEGER, old INTEGER, new INTEGER NOT NULL, listed INTEGER NOT NULL, PRIMARY KEY (source, old)
) WITHOUT ROWID;
CREATE INDEX temp.place_new ON place (new, source);
CREATE TEMP TABLE purchase (
  source INTEGER, old INTEGER, name TEXT NOT NULL, item INTEGER NOT NULL, number INTEGER NOT NULL,
  at INTEGER NOT NULL, account TEXT, state TEXT, progress INTEGER, job TEXT, charged TEXT, refunded TEXT,
  PRIMARY KEY (source, old)
) WITHOUT ROWID;
CREATE INDEX temp.purchase_name ON purchase (name);
CREATE INDEX temp.purchase_item ON purchase (item, number, at);
"""

_PROGRESS = """
CASE a.state WHEN 'submitting' THEN 0 WHEN 'in_doubt' THEN 1 WHEN 'processing' THEN 3 WHEN 'ready' THEN 4
  WHEN 'lost' THEN iif(a.job_id IS NULL, 2, 5) ELSE 6 END
"""
"""How far a purchase has come: of two records of it, the one that has come further is the later one."""
_KNOWN = """
COALESCE((SELECT k.name FROM temp.purchase k
  WHERE ?2 AND k.item = p.new AND k.number = a.number AND k.at = a.submitted_at AND k.source < ?1), a.purchase)
"""
NOTE_ITEMS = """
INSERT INTO temp.place
SELECT ?, s.key, i.key, s.position IS NOT NULL FROM src.item s JOIN main.item i ON i.id = s.id AND i.digest = s.digest
"""
"""With a journal attached as `src`, whose items are in `item` already; its place is the value."""
NOTE_PURCHASES = f"""
INSERT INTO temp.purchase
SELECT ?1, a.key, {_KNOWN}, p.new, a.number, a.submitted_at, a.account, a.state, {_PROGRESS}, a.job_id, a.charged,
  a.refunded
FROM src.attempt a JOIN temp.place p ON p.source = ?1 AND p.old = a.item
"""
"""The same for its purchases; the second value says whether it had no names of its own for them."""


def contradictions(db: sqlite3.Connection, *, jobs_are_unique: bool) -> Iterator[Overlap]:
    """Yield the items on which the noted journals contradict each other.

    Without `jobs_are_unique`, two purchases may have one job: two embedded simulators do not know of each other.
    """
    for kind, query in _QUERIES.items():
        if kind != "job" or jobs_are_unique:
            for item_id, first, second, detail in db.execute(query):
                yield Overlap(kind, item_id, first, second, detail or "")


def note_shared(db: sqlite3.Connection) -> None:
    """Make the table `shared`: the purchases of ids under which several journals have bought."""
    db.execute("CREATE TEMP TABLE shared (id TEXT, source INTEGER, name TEXT, PRIMARY KEY (id, source, name))")
    db.execute(
        "INSERT OR IGNORE INTO temp.shared SELECT i.id, p.source, p.name FROM temp.purchase p"
        " JOIN main.item i ON i.key = p.item WHERE i.id IN (SELECT j.id FROM temp.purchase q"
        " JOIN main.item j ON j.key = q.item GROUP BY j.id HAVING MIN(q.source) < MAX(q.source))"
    )


def _lacks(first: str, second: str) -> str:
    """Return the SQL for whether the journal of `second` lacks a purchase that the one of `first` has."""
    return (
        f"EXISTS (SELECT 1 FROM temp.shared w WHERE w.id = {first}.id AND w.source = {first}.source"
        f" AND NOT EXISTS (SELECT 1 FROM temp.shared z WHERE z.id = w.id AND z.source = {second}.source"
        " AND z.name = w.name))"
    )


_PAIRS = (
    "(SELECT DISTINCT id, source FROM temp.shared) x JOIN (SELECT DISTINCT id, source FROM temp.shared) y"
    " ON y.id = x.id AND y.source > x.source"
)
_QUERIES: dict[Contradiction, str] = {
    "request": """
SELECT i.id, p.source, q.source, '' FROM main.item i JOIN main.item j ON j.id = i.id AND j.key > i.key
JOIN temp.place p ON p.new = i.key AND p.listed JOIN temp.place q ON q.new = j.key AND q.listed
WHERE i.id IN (SELECT id FROM main.item WHERE position IS NOT NULL GROUP BY id HAVING COUNT(*) > 1)
GROUP BY i.id
""",
    "bought": f"""
SELECT x.id, x.source, y.source, '' FROM {_PAIRS} WHERE {_lacks("x", "y")} AND {_lacks("y", "x")} GROUP BY x.id
""",
    "purchase": """
SELECT i.id, p.source, q.source, COALESCE(p.job, q.job) FROM temp.purchase p
JOIN temp.purchase q ON q.name = p.name AND q.source > p.source JOIN main.item i ON i.key = p.item
WHERE (p.item, p.number, p.at, p.account) IS NOT (q.item, q.number, q.at, q.account)
  OR (p.job <> q.job) OR (p.progress = q.progress AND p.progress = 6
    AND (p.state, p.charged, p.refunded) IS NOT (q.state, q.charged, q.refunded))
GROUP BY i.id
""",
    "job": """
SELECT i.id, MIN(p.source), MAX(p.source), p.job FROM temp.purchase p JOIN main.item i ON i.key = p.item
WHERE p.job IS NOT NULL GROUP BY p.job HAVING COUNT(DISTINCT p.name) > 1
""",
}
