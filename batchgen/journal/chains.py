"""Chains in the journal: which items wait for outputs of others, which can have them, and which are skipped.

All of it follows from what items need (`inputs`) and from how their sources stand, so it is worked out again at the
start of each run (`settle_chains`), and for the items behind one source whenever that ends (`advance_chain`).
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from batchgen.core.digest import filled
from batchgen.core.records import UNBOUGHT, UNSUCCESSFUL, Input
from batchgen.journal.attempts import WORK_COLUMNS, Work, read_work
from batchgen.journal.schema import moment

SOURCE_EXPIRED = "source_expired"
"""The `reason` of an item that stays pending: the provider no longer has a file that it needs."""
_EXPIRED = "file_expired "
"""How the `reason` of a finished item begins whose file another one needs, and the provider no longer has; then comes
the number of the attempt that made the file."""


@dataclass(frozen=True, slots=True)
class SourceOutput:
    """An output of a finished item that another item needs."""

    input: Input
    source: int
    """The finished item's key."""
    job_id: str
    url: str
    """Its address at the API; empty where the journal was rebuilt from the receipts, which do not hold it."""
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class SentInput:
    """An output of another item as it was sent in a request."""

    input: Input
    job_id: str
    address: str


@dataclass(frozen=True, slots=True)
class ChainStep:
    """What became of the items behind a source that has ended."""

    free: Sequence[tuple[int, Work]]
    """Those that can be bought now, with their positions."""
    skipped: Sequence[Work]
    """Those that were pending, and are skipped now."""
    restored: Sequence[Work]
    """Those that were skipped, and are pending again."""


NO_STEP = ChainStep((), (), ())

# The attempt that made the outputs that an item has now.
_LATEST = "(SELECT MAX(b.number) FROM attempt b WHERE b.item = s.key AND b.state = 'done')"


_LISTED = "(o.url <> '' OR o.path IS NOT NULL)"


def lacks_output(item: str, needed: str) -> str:
    """Return the SQL for whether a finished item lacks the output in the column `output` of `needed`."""
    return (
        f"({needed}.output > 0 AND NOT EXISTS (SELECT 1 FROM attempt a JOIN output o ON o.attempt = a.key"
        f" WHERE a.item = {item}.key AND a.number = {_LATEST.replace('s.key', f'{item}.key')}"
        f" AND o.number = {needed}.output AND {_LISTED}))"
    )


def has_expired(item: str) -> str:
    """Return the SQL for whether the provider no longer has a file that an item made last, as far as is known."""
    return f"COALESCE({item}.reason = '{_EXPIRED}' || {_LATEST.replace('s.key', f'{item}.key')}, 0)"


def needed_and_expired(item: str) -> str:
    """Return the SQL for whether a file of a finished item has expired, and a pending item needs it."""
    return (
        f"({has_expired(item)} AND EXISTS (SELECT 1 FROM dependency d JOIN item i ON i.key = d.dependant"
        f" WHERE d.source = {item}.key AND i.reason = '{SOURCE_EXPIRED}' AND i.state = 'pending'))"
    )


def is_stale(attempt: str, item: str) -> str:
    """Return the SQL for whether an attempt of an item was sent with an output that its source has since made again.

    The source is the item that is needed now: it may have had another id when the attempt was sent.
    """
    return (
        f"({attempt}.inputs <> '[]' AND EXISTS (SELECT 1 FROM json_each({attempt}.inputs) e"
        f" JOIN json_each({item}.inputs) n ON json_extract(n.value, '$[0]') = json_extract(e.value, '$[0]')"
        " JOIN item s ON s.id = json_extract(n.value, '$[1]') AND s.position IS NOT NULL"
        f" JOIN attempt m ON m.item = s.key AND m.number = {_LATEST}"
        " WHERE m.job_id IS NOT json_extract(e.value, '$[3]')))"
    )


def inputs_text(inputs: Sequence[SentInput]) -> str:
    """Return what an attempt remembers of the outputs that it was sent with."""
    if not inputs:
        return "[]"
    return json.dumps([[i.input.parameter, i.input.item_id, i.input.output, i.job_id, i.address] for i in inputs])


def with_references(body: str, inputs: str) -> str:
    """Return a body as it is shown: with `${items.ID.output.N}` for what it needs of others; both as in the journal."""
    if inputs == "[]":
        return body
    return filled(body, {place: Input(place, item_id, output).text for place, item_id, output in json.loads(inputs)})


class ChainStates:
    """The journal's part about chains. Inside a transaction, as the transitions are."""

    db: sqlite3.Connection

    def link_chains(self) -> None:
        """Work out which requested items need which, from their `inputs`; nothing is written where it is known."""
        self.db.execute(_UNLINK)
        self.db.execute(_LINK)
        self.settle_chains()

    def settle_chains(self) -> None:
        """Work out how all items of chains stand."""
        self.db.execute(_UNBLOCK_OTHERS)
        self.db.execute(_UNSKIP_OTHERS)
        if self.has_chains():
            self._begin("SELECT DISTINCT dependant FROM dependency")
            self._settle()
            self.db.execute(_FORGET_EXPIRED, (SOURCE_EXPIRED,))

    def has_chains(self) -> bool:
        """Return whether any requested item needs another one."""
        return self.db.execute("SELECT 1 FROM dependency LIMIT 1").fetchone() is not None

    def advance_chain(self, source: int) -> ChainStep:
        """Work out how the items behind an item that has ended (by its key) stand now."""
        if not self.db.execute("SELECT 1 FROM dependency WHERE source = ? LIMIT 1", (source,)).fetchone():
            return NO_STEP
        self._begin(_BEHIND, (source,))
        skipped, restored, changed = self._settle()
        return ChainStep(
            free=self._works({*restored, *changed}, "i.state = 'pending' AND i.blocked = 0 AND wanted(i.id, i.tags)"),
            skipped=[work for _, work in self._works(skipped)],
            restored=[work for _, work in self._works(restored)],
        )

    def input_outputs(self, work: Work) -> list[SourceOutput]:
        """Return the outputs that an item needs, all of them of finished items."""
        found = []
        for needed in work.item.inputs:
            row = self.db.execute(_OUTPUT, (work.key, needed.parameter, needed.output)).fetchone()
            if row is not None:
                source, job_id, url, expires = row
                found.append(SourceOutput(needed, source, job_id, url, None if expires is None else moment(expires)))
        return found

    def note_source_expired(self, work: Work, source: int) -> None:
        """The provider no longer has a file (of the item with the key `source`) that a pending item needs."""
        self.db.execute("UPDATE item SET reason = ? WHERE key = ? AND state = 'pending'", (SOURCE_EXPIRED, work.key))
        self.db.execute(
            f"UPDATE item AS s SET reason = '{_EXPIRED}' || {_LATEST} WHERE key = ? AND state = 'done'", (source,)
        )

    def requeue_expired_sources(self) -> int:
        """Make finished items pending again whose files are needed and expired; return how many."""
        return self.db.execute(_REQUEUE_EXPIRED).rowcount

    def startable(self) -> int:
        """Return how many requested items could be bought now, and nothing is known that keeps them from it."""
        (count,) = self.db.execute(_STARTABLE).fetchone()
        return int(count)

    def waiting_for_picks(self) -> int:
        """Return how many requested items wait until a person has picked an output."""
        (count,) = self.db.execute(_WAITING).fetchone()
        return int(count)

    # ---- inside ----

    def _begin(self, affected: str, values: tuple[object, ...] = ()) -> None:
        self.db.execute("CREATE TEMP TABLE IF NOT EXISTS affected (key INTEGER PRIMARY KEY)")
        self.db.execute("DELETE FROM temp.affected")
        self.db.execute(f"INSERT INTO temp.affected {affected}", values)
        self.db.execute("CREATE TEMP TABLE IF NOT EXISTS doomed (key INTEGER PRIMARY KEY)")
        self.db.execute("DELETE FROM temp.doomed")
        self.db.execute(_DOOM)

    def _settle(self) -> tuple[list[int], list[int], list[int]]:
        """Give the affected items their states; return which are skipped now, pending again, and blocked otherwise."""
        skipped, restored, blocked = (self._changed(statement) for statement in (_SKIP, _UNSKIP, _BLOCK))
        self.db.execute(_REASONS)
        return skipped, restored, blocked

    def _changed(self, statement: str) -> list[int]:
        return [key for (key,) in self.db.execute(statement).fetchall()]

    def _works(self, keys: Iterable[int], condition: str = "true") -> list[tuple[int, Work]]:
        marks = json.dumps(sorted(keys))
        rows = self.db.execute(
            f"SELECT i.position, {WORK_COLUMNS} FROM json_each(?) k CROSS JOIN item i ON i.key = k.value"
            f" WHERE {condition} ORDER BY i.position",
            (marks,),
        )
        return [(row[0], read_work(row[1:])) for row in rows]


_LACKS_OUTPUT = f"(s.state = 'done' AND {lacks_output('s', 'd')})"
_UNUSABLE = f"(s.key IS NULL OR s.state IN {UNSUCCESSFUL.sql} OR {_LACKS_OUTPUT})"
# What was bought before, and is pending because somebody asked for it once more, is never skipped.
_NEVER_BOUGHT = "NOT EXISTS (SELECT 1 FROM attempt a WHERE a.item = i.key)"

DOOMED = f"""
  SELECT d.dependant AS key FROM dependency d LEFT JOIN item s ON s.key = d.source
  WHERE {_UNUSABLE} AND NOT (s.key IS NOT NULL AND retried(s.state) AND wanted(s.id, s.tags))
  UNION
  SELECT d.dependant FROM doomed x JOIN item i ON i.key = x.key AND i.state = 'skipped'
  JOIN dependency d ON d.source = x.key
"""
"""The common table `doomed`: what stays skipped where `retried` (a function of a state) items are bought again."""

_UNLINK = """
DELETE FROM dependency WHERE NOT EXISTS
  (SELECT 1 FROM item i WHERE i.key = dependant AND i.position IS NOT NULL AND i.inputs <> '[]')
"""
_LINK = """
INSERT INTO dependency
SELECT i.key, json_extract(e.value, '$[0]'), s.key, json_extract(e.value, '$[2]')
FROM item i CROSS JOIN json_each(i.inputs) e
LEFT JOIN item s ON s.id = json_extract(e.value, '$[1]') AND s.position IS NOT NULL
WHERE i.position IS NOT NULL AND i.inputs <> '[]'
ON CONFLICT (dependant, parameter) DO UPDATE SET source = excluded.source, output = excluded.output
WHERE (source, output) IS NOT (excluded.source, excluded.output)
"""
_UNBLOCK_OTHERS = """
UPDATE item SET blocked = 0 WHERE blocked <> 0 AND key NOT IN (SELECT dependant FROM dependency)
"""
_UNSKIP_OTHERS = """
UPDATE item SET state = 'pending', reason = NULL
WHERE state = 'skipped' AND position IS NOT NULL AND key NOT IN (SELECT dependant FROM dependency)
"""
# What needs an item, at first or second hand, as far as it has not been bought.
_BEHIND = f"""
WITH RECURSIVE behind AS (
  SELECT dependant AS key FROM dependency WHERE source = ?
  UNION
  SELECT d.dependant FROM behind b JOIN item i ON i.key = b.key AND i.state IN {UNBOUGHT.sql}
  JOIN dependency d ON d.source = b.key
)
SELECT key FROM behind
"""
_DOOM = f"""
INSERT INTO temp.doomed
WITH RECURSIVE doom AS (
  SELECT d.dependant AS key FROM temp.affected f CROSS JOIN dependency d ON d.dependant = f.key
  LEFT JOIN item s ON s.key = d.source JOIN item i ON i.key = d.dependant
  WHERE i.state IN {UNBOUGHT.sql} AND {_NEVER_BOUGHT}
    AND ({_UNUSABLE} OR (s.state = 'skipped' AND s.key NOT IN (SELECT key FROM temp.affected)))
  UNION
  SELECT d.dependant FROM doom x JOIN dependency d ON d.source = x.key JOIN item i ON i.key = d.dependant
  WHERE i.state IN {UNBOUGHT.sql} AND {_NEVER_BOUGHT}
)
SELECT key FROM doom
"""
_SKIP = """
UPDATE item SET state = 'skipped' WHERE key IN (SELECT key FROM temp.doomed) AND state = 'pending' RETURNING key
"""
_UNSKIP = """
UPDATE item SET state = 'pending', reason = NULL
WHERE key IN (SELECT key FROM temp.affected) AND key NOT IN (SELECT key FROM temp.doomed) AND state = 'skipped'
RETURNING key
"""
_OPEN_INPUTS = f"""
(SELECT COUNT(*) FROM dependency d LEFT JOIN item s ON s.key = d.source
 WHERE d.dependant = item.key AND (d.output = 0 OR s.state IS NOT 'done' OR {_LACKS_OUTPUT}))
"""
_BLOCK = f"""
UPDATE item SET blocked = {_OPEN_INPUTS}
WHERE key IN (SELECT key FROM temp.affected) AND blocked IS NOT {_OPEN_INPUTS} RETURNING key
"""
_REASONS = f"""
UPDATE item SET reason = (
  SELECT 'needs ' || CASE WHEN d.output > 1 THEN 'output ' || d.output || ' of ' ELSE '' END || n.id || CASE
    WHEN s.key IS NULL THEN ', which was left out as bought elsewhere'
    WHEN s.state = 'done' THEN ', which came with fewer outputs than ordered'
    WHEN s.state = 'rejected' THEN ', which was rejected'
    WHEN s.state = 'lost' THEN ', which is lost'
    WHEN s.state = 'failed' THEN ', which failed'
    ELSE ', which was skipped' END
  FROM dependency d LEFT JOIN item s ON s.key = d.source JOIN (
    SELECT json_extract(e.value, '$[0]') AS parameter, json_extract(e.value, '$[1]') AS id
    FROM json_each(item.inputs) e
  ) n ON n.parameter = d.parameter
  WHERE d.dependant = item.key AND (s.state = 'skipped' OR {_UNUSABLE}) ORDER BY d.parameter LIMIT 1
) WHERE key IN (SELECT key FROM temp.doomed)
"""
_FORGET_EXPIRED = """
UPDATE item SET reason = NULL WHERE reason = ? AND (blocked > 0 OR state <> 'pending')
"""
_OUTPUT = f"""
SELECT s.key, a.job_id, o.url, a.expires_at
FROM dependency d JOIN item s ON s.key = d.source JOIN attempt a ON a.item = s.key AND a.number = {_LATEST}
JOIN output o ON o.attempt = a.key AND o.number = d.output
WHERE d.dependant = ? AND d.parameter = ? AND d.output = ? AND s.state = 'done' AND {_LISTED} AND a.job_id IS NOT NULL
"""
_REQUEUE_EXPIRED = f"""
UPDATE item AS s SET state = 'pending' WHERE state = 'done' AND position IS NOT NULL AND wanted(id, tags)
  AND {needed_and_expired("s")}
"""
_WAITING = """
SELECT COUNT(*) FROM item i WHERE i.state = 'pending' AND i.position IS NOT NULL AND wanted(i.id, i.tags)
  AND EXISTS (SELECT 1 FROM dependency d WHERE d.dependant = i.key AND d.output = 0)
"""
_STARTABLE = """
SELECT COUNT(*) FROM item i WHERE i.state = 'pending' AND i.position IS NOT NULL AND i.blocked = 0
  AND i.reason IS NULL AND wanted(i.id, i.tags)
"""
