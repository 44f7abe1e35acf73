"""Notes of what was written from a journal, such as its ledger.

They last until anything changes that it was written from: an item, a purchase, a file. So a note that is still there
says that what was written would come out the same.
"""

import sqlite3

LEDGER = "ledger_written"
REPORT = "report_written"
_NOTES = f"name IN ('{LEDGER}', '{REPORT}')"
_TRIGGERS = [
    (f"{table}_{event}", f"AFTER {event} ON main.{table}")
    # Every table but those of facts about the folder, and of its receipts.
    for table in ("item", "attempt", "output", "move", "dependency", "delivered")
    for event in ("insert", "update", "delete")
]


def watch(db: sqlite3.Connection) -> bool:
    """Let each change that this connection makes delete the notes, in the same transaction; return whether any is left.

    The triggers belong to the connection, so they see what any statement changes. They cost a few microseconds a row,
    and so there are none where there is no note, or no longer.
    """
    noted = db.execute(f"SELECT 1 FROM meta WHERE {_NOTES}").fetchone() is not None
    for name, when in _TRIGGERS:
        db.execute(
            f"CREATE TEMP TRIGGER IF NOT EXISTS {name} {when} BEGIN DELETE FROM meta WHERE {_NOTES}; END"
            if noted
            else f"DROP TRIGGER IF EXISTS temp.{name}"
        )
    return noted
