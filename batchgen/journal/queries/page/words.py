"""The words that items can be searched for, and the tiles that the last search has found.

Both lie in the temporary database of the tile index (`index.py`): a search reads every text once, and the pages and
counts of what it found are looked up.
"""

import json
import sqlite3
from collections.abc import Sequence


class Words:
    """The words over a connection with a `page.tile`; one thread at a time."""

    def __init__(self, db: sqlite3.Connection) -> None:
        """Make the tables; nothing is collected yet."""
        self._db = db
        self._found: list[str] | None = None
        db.create_function("folded", 2, _folded, deterministic=True)
        for statement in _TABLES.split(";"):
            db.execute(statement)

    def forget(self) -> None:
        """Collect anew: what a run that starts lists may have any key."""
        self._db.execute("DELETE FROM page.words")
        self.tiles_changed()

    def tiles_changed(self) -> None:
        """Search anew."""
        self._found = None

    def collect(self, most: int) -> bool:
        """Collect the words of up to so many items more; return whether there may be others left."""
        # An item keeps its key, id and prompt, so that what is new is what has a higher key.
        return self._db.execute(_COLLECT, (most,)).rowcount == most

    def find(self, words: Sequence[str]) -> None:
        """Let `page.found` hold the ranks of the tiles whose id or prompt has all of these words, which are folded."""
        self.collect(_ALL)
        if self._found != words:
            self.tiles_changed()
            self._db.execute("DELETE FROM page.found")
            self._db.execute(_FIND.format(" AND ".join(["instr(w.folded, ?)"] * len(words))), words)
            self._found = list(words)


def _folded(item_id: str, body: str) -> str:
    """Return what is searched for words."""
    prompt = json.loads(body).get("prompt", "")
    return f"{item_id}\n{prompt}".casefold()


_ALL = -1
"""As a limit of SQL: there is none."""
_TABLES = """
CREATE TABLE page.words (item INTEGER PRIMARY KEY, folded TEXT NOT NULL);
CREATE TABLE page.found (rank INTEGER PRIMARY KEY)
"""
_COLLECT = """
INSERT INTO page.words SELECT key, folded(id, body) FROM item
WHERE key > (SELECT COALESCE(MAX(item), 0) FROM page.words) ORDER BY key LIMIT ?
"""
_FIND = """
INSERT INTO page.found SELECT t.rank FROM page.words w CROSS JOIN page.tile t ON t.item = w.item WHERE {}
"""
