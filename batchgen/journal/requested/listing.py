"""Makes the items of a manifest the requested ones, with the item table attached."""

import sqlite3

from batchgen.item_table import PRIORITY, REQUESTED, index_identities
from batchgen.journal.attempts import UNKNOWN_BODY, UNKNOWN_DIGEST


def list_requested(db: sqlite3.Connection) -> None:
    """List the items of the attached item table, and delete those that are no longer requested and cost nothing."""
    index_identities(db)
    prioritized = db.execute(f"SELECT 1 FROM {PRIORITY} LIMIT 1").fetchone() is not None
    db.execute(_IDENTIFY)
    db.execute(_UNLIST)
    db.execute(_list(**(_BY_PRIORITY if prioritized else _AS_WRITTEN)))
    db.execute(_FORGET)


_IDENTIFY = f"""
UPDATE item SET digest = s.digest, model = s.model FROM {REQUESTED} s
WHERE item.digest = '{UNKNOWN_DIGEST}' AND s.id = item.id
  AND NOT EXISTS (SELECT 1 FROM item o WHERE o.id = s.id AND o.digest = s.digest)
"""
_UNLIST = f"""
UPDATE item SET position = NULL WHERE position IS NOT NULL AND NOT EXISTS
  (SELECT 1 FROM {REQUESTED} s WHERE s.id = item.id AND s.digest = item.digest)
"""
_AS_WRITTEN = {"place": "s.position", "priorities": ""}
_BY_PRIORITY = {
    "place": "row_number() OVER (ORDER BY COALESCE(p.priority, 0) DESC, s.position)",
    "priorities": f"LEFT JOIN {PRIORITY} p USING (position)",
}
"""The place of an item in the order in which items are bought: that of the manifest, or higher priorities first."""


# An item without a price is not to be bought, and so it is not here; if it was bought once, its price then is known.
_KNOWN_PRICE = "COALESCE(s.estimated, (SELECT i.estimated FROM item i WHERE i.id = s.id AND i.digest = s.digest))"


def _list(place: str, priorities: str) -> str:
    return f"""
INSERT INTO item (id, digest, model, body, tags, path, source, estimated, inputs, expect, variables, position)
SELECT s.id, s.digest, s.model, s.body, s.tags, s.path, s.source, {_KNOWN_PRICE}, s.inputs, s.expect, s.variables,
  {place} AS place
FROM {REQUESTED} s {priorities} WHERE {_KNOWN_PRICE} IS NOT NULL ORDER BY place
ON CONFLICT (id, digest) DO UPDATE SET
  position = excluded.position, tags = excluded.tags, path = excluded.path, source = excluded.source,
  estimated = excluded.estimated, body = iif(body = '{UNKNOWN_BODY}', excluded.body, body), inputs = excluded.inputs,
  expect = excluded.expect, variables = excluded.variables
WHERE (position, tags, path, source, estimated, inputs, expect, variables) IS NOT
  (excluded.position, excluded.tags, excluded.path, excluded.source, excluded.estimated, excluded.inputs,
   excluded.expect, excluded.variables)
"""


_FORGET = """
DELETE FROM item WHERE position IS NULL AND state = 'pending' AND NOT EXISTS
  (SELECT 1 FROM attempt a WHERE a.item = item.key)
"""
