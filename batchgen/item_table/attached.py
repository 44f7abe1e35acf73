"""An item table attached to another database, under the names that stand here."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

_SCHEMA = "requested"
"""The name under which the item table is attached to another database."""
REQUESTED = f"{_SCHEMA}.item"
"""The items: position (from 1), id, digest, model, body, tags, path, source, estimated, inputs, expect, variables,
generated."""
SKIPPED = f"{_SCHEMA}.skipped"
"""Id and digest of the items that were left out because other books show them as bought."""
OTHER_SHARDS = f"{_SCHEMA}.other_shard"
"""Id, digest and tags (as JSON) of the items that other shards buy."""
WAITING = f"{_SCHEMA}.waiting"
"""Position of the items that a person has to pick an output for first, or that need such items."""
PRIORITY = f"{_SCHEMA}.priority"
"""Position of the items that are bought earlier or later than their place says, with the priority; others have 0."""
INPUT = f"{_SCHEMA}.input"
"""Outputs of other items that items need: position, parameter, item_id, output, and the position of the source."""
REDO = f"{_SCHEMA}.redo"
"""Position of the items that are wanted second purchases, with the run and the item that they repeat."""
TO_BUY = f"{_SCHEMA}.to_buy"
"""Digest and estimated cost of the items that a run would buy; see `make_to_buy`."""


def attach(db: sqlite3.Connection, database: Path, *, read_only: bool = False) -> None:
    """Attach an item table to another database, for the names `REQUESTED`, `SKIPPED`, …

    `read_only` takes a connection that was opened with `uri=True`.
    """
    db.execute(f"ATTACH ? AS {_SCHEMA}", (f"{database.absolute().as_uri()}?mode=ro" if read_only else str(database),))


@contextmanager
def attached(db: sqlite3.Connection, database: Path) -> Iterator[None]:
    """Attach an item table for as long as the block lasts."""
    attach(db, database)
    try:
        yield
    finally:
        db.execute(f"DETACH {_SCHEMA}")


def index_identities(db: sqlite3.Connection) -> None:
    """See to it that items of an attached table are found by id and digest, however many there are."""
    db.execute(f"CREATE UNIQUE INDEX IF NOT EXISTS {_SCHEMA}.item_identity ON item (id, digest)")


def make_to_buy(db: sqlite3.Connection, condition: str) -> None:
    """Make the table `TO_BUY` of an attached item table, of the items `s` that fit a condition in SQL.

    Wanted second purchases are left out. `turn` counts the items of one digest.
    """
    db.execute(f"DROP TABLE IF EXISTS {TO_BUY}")
    db.execute(
        f"CREATE TABLE {TO_BUY} AS SELECT s.digest, s.estimated,"
        f" row_number() OVER (PARTITION BY s.digest ORDER BY s.id) AS turn FROM {REQUESTED} s"
        f" WHERE {condition} AND s.position NOT IN (SELECT position FROM {REDO})"
    )
    db.execute(f"CREATE INDEX {_SCHEMA}.to_buy_digest ON to_buy (digest)")


def index_items(database: Path) -> None:
    """Prepare a complete item table for being compared with journals, which look each of their purchases up."""
    with closing(sqlite3.connect(":memory:")) as db, db:
        attach(db, database)
        index_identities(db)
