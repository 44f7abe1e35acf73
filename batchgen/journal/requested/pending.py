"""The items that are still to be bought: by this process, or by others for it."""

import json
import sqlite3
from collections.abc import Collection, Sequence

from batchgen import receipts
from batchgen.core.records import UNANSWERED
from batchgen.item_table.pictures import STAND_IN_START
from batchgen.journal.attempts import WORK_COLUMNS, Work, read_work

_AT_HOME = f"""
(i.inputs <> '[]' OR instr(i.body, '{STAND_IN_START}') > 0 OR EXISTS (
  SELECT 1 FROM item s JOIN attempt a ON a.item = s.key JOIN output o ON o.attempt = a.key
  WHERE s.id = i.id AND o.path >= 'files/' AND o.path < 'files0')
 OR EXISTS (SELECT 1 FROM output o WHERE o.path >= 'files/' || i.path || '.' AND o.path < 'files/' || i.path || '/')
 OR EXISTS (SELECT 1 FROM output o WHERE o.path >= 'files/' || i.path || '@' AND o.path < 'files/' || i.path || 'A'))
"""
"""Whether an item is bought by the process that owns the run folder, whoever buys the others: it needs outputs of
others or local pictures, or files of an earlier purchase, of whatever item, are in its place and have to be moved."""


class PendingRows:
    """The journal's part about what is to be bought."""

    db: sqlite3.Connection
    lends = False
    """Whether others buy those items that can be bought anywhere."""

    def pending(self, after: int, count: int, without: Collection[str] = ()) -> list[tuple[int, Work]]:
        """Return up to `count` requested pending items after position `after`, each with its position.

        Those of the models `without` are left out, and those that others buy.
        """
        return self._pending(after, count, without, _AT_HOME if self.lends else "1")

    def lendable(self, after: int, count: int) -> list[tuple[int, Work]]:
        """Return up to `count` requested pending items after position `after` that can be bought anywhere."""
        return self._pending(after, count, (), f"NOT {_AT_HOME}")

    def _pending(self, after: int, count: int, without: Collection[str], which: str) -> list[tuple[int, Work]]:
        rows = self.db.execute(
            f"SELECT i.position, {WORK_COLUMNS} FROM item i"
            " WHERE i.state = 'pending' AND i.position > ? AND i.blocked = 0"
            f" AND i.model NOT IN (SELECT value FROM json_each(?)) AND wanted(i.id, i.tags) AND {which}"
            " ORDER BY i.position LIMIT ?",
            (after, json.dumps(sorted(without)), count),
        )
        return [(row[0], read_work(row[1:])) for row in rows]

    def pending_among(self, keys: Collection[int]) -> list[tuple[int, Work]]:
        """Return those of these items (by key) that are requested and pending, each with its position."""
        rows = self.db.execute(
            f"SELECT i.position, {WORK_COLUMNS} FROM json_each(?) k CROSS JOIN item i ON i.key = k.value"
            " WHERE i.state = 'pending' AND i.position IS NOT NULL AND i.blocked = 0 AND wanted(i.id, i.tags)"
            " ORDER BY i.position",
            (json.dumps(sorted(keys)),),
        )
        return [(row[0], read_work(row[1:])) for row in rows]

    def lent_out(self) -> list[tuple[str, str]]:
        """Return the name and the start of each purchase of a worker whose answer is not known."""
        return self.db.execute(
            "SELECT a.purchase, a.lent_to FROM item i JOIN attempt a ON a.item = i.key AND a.state = i.state"
            f" WHERE i.state IN {UNANSWERED.sql} AND a.lent_to IS NOT NULL ORDER BY a.key"
        ).fetchall()

    def borrow(self, items: Sequence[tuple[int, Work]]) -> None:
        """List items of another journal, each with its position and its key there; inside a transaction."""
        self.db.executemany(
            "INSERT INTO item (key, id, digest, model, body, tags, path, source, estimated, inputs, expect, attempts,"
            " position) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, '[]', ?, ?, ?)",
            (
                (
                    work.key, item.id, item.digest, item.model, item.body, json.dumps(dict(item.tags)), item.path,
                    item.source, receipts.plain(item.estimated), item.expect, work.attempts, position,
                )
                for position, work in items
                for item in (work.item,)
            ),
        )  # fmt: skip
