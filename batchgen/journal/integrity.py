"""Whether a journal is intact. A damaged one is refused, since what it has lost would be bought again."""

import sqlite3
import struct
from pathlib import Path

from batchgen.core.records import State

_STATES = ", ".join(f"'{state}'" for state in State)
_MASK = 0xFFFFFFFF


def content_fault(db: sqlite3.Connection) -> str | None:
    """Return what is wrong with a journal's pages, indexes or states, or None. About 4 s for a million items.

    An index that has lost an entry would hide a purchase (SQLite documentation, "PRAGMA integrity_check").
    """
    (found,) = db.execute("PRAGMA integrity_check(1)").fetchone()
    if found != "ok":
        return str(found)
    for table in ("item", "attempt"):
        if db.execute(f"SELECT 1 FROM {table} WHERE state NOT IN ({_STATES}) LIMIT 1").fetchone():
            return f"the table {table} contains an unknown state"
    if any(db.execute(question).fetchone() for question in _MIXED):
        return "its file and its log do not belong together: one of them is an older copy"
    return None


# SQLite accepts an older file under a newer log, or a newer file under an older one.
_MIXED = (
    "SELECT 1 FROM vouched WHERE (attempts, accepted) <> (SELECT COUNT(*), COUNT(job_id) FROM attempt)",
    "SELECT 1 FROM attempt a JOIN item i ON i.key = a.item WHERE i.attempts < a.number LIMIT 1",
    "PRAGMA foreign_key_check",
)


def value_fault(db: sqlite3.Connection) -> str | None:
    """Return which table holds values that batchgen never writes, or None. Slower than `content_fault`."""
    for table, wrong in _WRONG_VALUES.items():
        if db.execute(f"SELECT 1 FROM {table} WHERE {wrong} LIMIT 1").fetchone():
            return f"the table {table} holds values that batchgen never writes"
    return None


_WRONG_VALUES = {
    "item": "typeof(id) || typeof(digest) || typeof(path) || typeof(source) || typeof(model) <> 'texttexttexttexttext'"
    " OR estimated GLOB '*[^0-9.]*' OR NOT json_valid(body) OR NOT json_valid(tags) OR NOT json_valid(inputs)"
    " OR NOT json_valid(COALESCE(expect, '{}')) OR NOT json_valid(COALESCE(variables, '{}'))",
    "attempt": "estimated GLOB '*[^0-9.]*' OR charged GLOB '*[^0-9.]*' OR refunded GLOB '*[^0-9.]*'"
    " OR reserved GLOB '*[^0-9.]*' OR named_price GLOB '*[^0-9.]*' OR surplus GLOB '*[^0-9.]*'"
    " OR typeof(account) || typeof(catalog_version) <> 'texttext' OR typeof(submitted_at) <> 'integer'",
    "output": "typeof(url) <> 'text' OR typeof(path) NOT IN ('text', 'null')",
    "delivered": "typeof(sha256) || typeof(flags) <> 'texttext'",
}


def log_fault(path: Path) -> str | None:
    """Return what is wrong with the write-ahead log that a killed process left beside the journal at `path`, or None.

    SQLite takes the first frame that does not fit its checksum for the torn end of the last commit, and forgets what
    follows. With synchronous=FULL a commit is on disk before the next one is written: where two commits follow on each
    other behind that frame, they had been made. Format: SQLite documentation, "WAL-mode File Format".
    """
    log = path.with_name(f"{path.name}-wal")
    if not log.exists():
        return None
    with log.open("rb") as file:
        head = file.read(32)
        if len(head) < 32:
            return None
        magic, _, page, *_ = struct.unpack(">8I", head)
        order = ">" if magic & 1 else "<"
        sums = _checksum(order, head[:24], (0, 0))
        if magic >> 1 != 0x377F0682 >> 1 or sums != struct.unpack(">2I", head[24:]):
            return "the header of its log is damaged"
        intact, committed = True, False
        while len(frame := file.read(24 + page)) == 24 + page:
            ours = frame[8:16] == head[16:24]
            if not ours and intact:
                return None  # what follows is from before the log was restarted
            stored = struct.unpack(">2I", frame[16:24])
            fits = ours and _checksum(order, frame[:8] + frame[24:], sums) == stored
            intact = intact and fits
            sums = stored
            if intact:
                continue
            committed = committed and fits
            if ours and frame[4:8] != bytes(4):  # the frame ends a commit
                if committed:
                    return "its log is damaged in the middle"
                committed = True
    return None


def _checksum(order: str, data: bytes, sums: tuple[int, int]) -> tuple[int, int]:
    first, second = sums
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & _MASK
        second = (second + odd + first) & _MASK
    return first, second
