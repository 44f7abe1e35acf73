"""Which items of a manifest a run cannot buy, since an item that they need will not succeed in it."""

import sqlite3

from batchgen.core.records import UNBOUGHT, UNSUCCESSFUL
from batchgen.item_table import INPUT, REQUESTED
from batchgen.journal.chains import lacks_output
from batchgen.journal.requested.requeueing import state_before


def find_unreachable(db: sqlite3.Connection, *, journal: bool) -> None:
    """Make the temporary table `unreachable` (position, lost), with an item table attached; see `find_renames`.

    `lost` is whether the item at fault is a lost one, which may still be found. Without a `journal`, only what was left
    out as bought elsewhere is at fault. Uses the SQL functions `wanted`, `retried` and `again`.
    """
    db.execute("DROP TABLE IF EXISTS temp.unreachable")
    db.execute("CREATE TEMP TABLE unreachable (position, lost, PRIMARY KEY (position, lost)) WITHOUT ROWID")
    if db.execute(f"SELECT 1 FROM {INPUT} LIMIT 1").fetchone() is not None:
        db.execute(_UNREACHABLE if journal else _LEFT_OUT)


_STATE = f"COALESCE({state_before('j')}, j.state, 'pending')"
_UNREACHABLE = f"""
INSERT INTO temp.unreachable
WITH RECURSIVE behind AS (
  SELECT n.position AS position, COALESCE({_STATE} = 'lost' AND s.position IS NOT NULL, 0) AS lost
  FROM {INPUT} n LEFT JOIN {REQUESTED} s ON s.position = n.source
  LEFT JOIN item j ON j.id = s.id AND j.digest = s.digest
  WHERE s.position IS NULL
    OR ({_STATE} IN {UNSUCCESSFUL.sql} AND NOT (retried({_STATE}) AND wanted(s.id, s.tags)))
    OR (j.state = 'done' AND {lacks_output("j", "n")} AND NOT (again(s.id) AND wanted(s.id, s.tags)))
  UNION
  SELECT n.position, b.lost FROM behind b JOIN {REQUESTED} s ON s.position = b.position
  LEFT JOIN item j ON j.id = s.id AND j.digest = s.digest JOIN {INPUT} n ON n.source = b.position
  WHERE {_STATE} IN {UNBOUGHT.sql} AND b.position NOT IN (SELECT position FROM temp.rename)
)
SELECT position, lost FROM behind
"""
_LEFT_OUT = f"""
INSERT INTO temp.unreachable
WITH RECURSIVE behind AS (
  SELECT n.position AS position FROM {INPUT} n LEFT JOIN {REQUESTED} s ON s.position = n.source
  WHERE s.position IS NULL
  UNION
  SELECT n.position FROM behind b JOIN {REQUESTED} s ON s.position = b.position JOIN {INPUT} n ON n.source = b.position
)
SELECT position, 0 FROM behind
"""
