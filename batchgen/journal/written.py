"""Notes of what was written from a journal, such as its ledger.

They last until anything changes that it was written from: an item, a purchase, a file. So a note that is still there
says that what was written would come out the same.
"""

import sqlite3

LEDGER = "ledger_written"
REPORT = "report_written"
_FROM = ("item", "attempt", "output", "move", "dependency", "delivered")
"""Every table but those of facts about the folder, and of its receipts."""


def drop_notes_on_change(db: sqlite3.Connection) -> None:
    """From now on, let each change that this connection makes delete the notes, in the same transaction.

    The triggers belong to the connection and not to the file, so they see what any statement changes, and cost those
    nothing who read.
    """
    for table in _FROM:
        for event in ("INSERT", "UPDATE", "DELETE"):
            db.execute(
                f"CREATE TEMP TRIGGER {table}_{event} AFTER {event} ON main.{table} BEGIN"
                f" DELETE FROM meta WHERE name IN ('{LEDGER}', '{REPORT}'); END"
            )
