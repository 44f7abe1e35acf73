"""Items that are bought before all others: what could be one of them, and how those that were chosen stand."""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from batchgen.core.records import DOUBTFUL, UNBOUGHT, State
from batchgen.journal.attempts import WORK_COLUMNS, Work, is_last, read_work
from batchgen.journal.chains import SOURCE_EXPIRED


class CandidateRow(NamedTuple):
    """A requested item."""

    key: int
    position: int
    model: str
    body: str
    state: State
    flagged: int
    """Whether something was found about the files of a finished one."""
    unjudged: int
    """Whether not all of that is known yet."""


class CanaryRow(NamedTuple):
    """How an item stands that is bought before others."""

    work: Work
    state: State
    reason: str
    """Why it did not succeed, as it was recorded; may hold what others wrote."""
    flags: str
    """What was found about the files of a finished one, separated by `;`."""
    unjudged: int
    """Whether not all of that is known yet."""


def find_waiting(db: sqlite3.Connection) -> None:
    """Find out, for `candidates_after`, what waits for a person: to pick an output, or to settle an item in doubt."""
    db.execute("CREATE TEMP TABLE IF NOT EXISTS waiting (key INTEGER PRIMARY KEY)")
    db.execute("DELETE FROM temp.waiting")
    db.execute(_WAITING)


def candidates_after(db: sqlite3.Connection, key: int, count: int) -> list[CandidateRow]:
    """Return up to `count` selected items with higher keys than `key`, by key, that were bought or could be now.

    Left out is what is skipped, what waits for a person, and what needs a file that the provider no longer has.
    """
    return [
        CandidateRow(key, position, model, body, State(state), flagged, unjudged)
        for key, position, model, body, state, flagged, unjudged in db.execute(_CANDIDATES, (key, count))
    ]


def with_sources(db: sqlite3.Connection, keys: Iterable[int]) -> list[int]:
    """Return these items, by key, and those that they need, at first or second hand, as far as not done."""
    return [key for (key,) in db.execute(_WITH_SOURCES, (json.dumps(list(keys)),))]


def canary_rows(db: sqlite3.Connection, keys: Sequence[int]) -> list[CanaryRow]:
    """Return how these items stand, in the manifest's order."""
    rows = db.execute(_CANARIES, (json.dumps(list(keys)),))
    return [CanaryRow(read_work(row[4:]), State(row[0]), *row[1:4]) for row in rows]


_FLAGS = """
(SELECT group_concat(flag, ';') FROM (
  SELECT a.error_type AS flag WHERE a.error_type IN ('unknown_format', 'fewer_outputs')
  UNION SELECT d.flags FROM delivered d JOIN output o USING (attempt, number, sha256)
  WHERE d.attempt = a.key AND d.flags <> ''))
"""
_UNJUDGED = """
EXISTS (SELECT 1 FROM delivered d JOIN output o USING (attempt, number, sha256)
  WHERE d.attempt = a.key AND d.judged = 0)
"""
_WAITING = f"""
INSERT INTO temp.waiting
WITH RECURSIVE stuck AS (
  SELECT d.dependant AS key FROM dependency d LEFT JOIN item s ON s.key = d.source
  WHERE d.output = 0 OR s.state IN {DOUBTFUL.sql}
  UNION
  SELECT d.dependant FROM stuck w JOIN dependency d ON d.source = w.key
)
SELECT key FROM stuck
"""
_CANDIDATES = f"""
SELECT i.key, i.position, i.model, i.body, i.state,
  CASE i.state WHEN 'done' THEN {_FLAGS} IS NOT NULL ELSE 0 END, CASE i.state WHEN 'done' THEN {_UNJUDGED} ELSE 0 END
FROM item i LEFT JOIN attempt a ON i.state = 'done' AND a.item = i.key AND {is_last("a", "i")}
WHERE i.key > ? AND i.position IS NOT NULL AND i.state <> 'skipped'
  AND (i.state <> 'pending'
    OR (i.reason IS NOT '{SOURCE_EXPIRED}' AND i.key NOT IN (SELECT key FROM temp.waiting)))
  AND wanted(i.id, i.tags)
ORDER BY i.key LIMIT ?
"""
_WITH_SOURCES = f"""
WITH RECURSIVE needed AS (
  SELECT value AS key FROM json_each(?)
  UNION
  SELECT s.key FROM needed n JOIN item i ON i.key = n.key AND i.state IN {UNBOUGHT.sql}
  JOIN dependency d ON d.dependant = n.key JOIN item s ON s.key = d.source AND s.state <> 'done'
)
SELECT key FROM needed ORDER BY key
"""
_CANARIES = f"""
SELECT i.state, COALESCE(i.reason, a.error_message, a.error_type, ''),
  CASE i.state WHEN 'done' THEN COALESCE({_FLAGS}, '') ELSE '' END,
  CASE i.state WHEN 'done' THEN {_UNJUDGED} ELSE 0 END,
  {WORK_COLUMNS}
FROM json_each(?) k CROSS JOIN item i ON i.key = k.value
LEFT JOIN attempt a ON a.item = i.key AND {is_last("a", "i")}
ORDER BY i.position
"""
