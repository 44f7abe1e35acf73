"""Replays receipts to a journal that may know less: it takes over every line that it does not know yet.

Lines are matched by purchase, attempt and job id, and one job id is never two charges. Nothing that the journal knows
is undone, except an intent that the receipts know was not charged. Memory does not grow with the lines.
"""

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Callable
from typing import Any

from batchgen.core.records import UNANSWERED, State
from batchgen.journal.attempts import UNKNOWN_BODY, UNKNOWN_DIGEST
from batchgen.journal.recovery.aftermath import derive_state, follow_files, settle_files, split_live_purchases, touch
from batchgen.journal.requested.renames import plan_moves
from batchgen.store import OUTPUTS

_Content = dict[str, Any]
_ALONE = "known only from the receipts: the program ended while the request was on its way"
_BY_HAND = "settled by hand as charged, without a known job id"
_TABLES = (  # not in one script, which would commit
    "CREATE TEMP TABLE alias (purchase TEXT PRIMARY KEY, attempt INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TEMP TABLE touched (item INTEGER PRIMARY KEY)",
    "CREATE TEMP TABLE finished (attempt INTEGER PRIMARY KEY, outputs INTEGER NOT NULL)",
    "CREATE TEMP TABLE kept (attempt INTEGER, number INTEGER, path, bytes, sha256, PRIMARY KEY (attempt, number))",
)


class Replay:
    """Takes the lines in order, inside a transaction of the caller; `finish` ends it."""

    def __init__(self, db: sqlite3.Connection, *, newer: bool = False) -> None:
        """`newer` says that all the lines are newer than the journal."""
        self._db = db
        self._newer = newer
        for statement in _TABLES:
            db.execute(statement)
        self._kinds: dict[str, Callable[[_Content], None]] = {
            "bound": self._bound,
            "intent": self._intent,
            "accepted": self._accepted,
            "void": self._void,
            "ended": self._ended,
            "reopened": self._reopened,
            "stored": self._stored,
            "settled": self._settled,
            "renamed": self._renamed,
        }

    def take(self, kind: str, line: _Content) -> None:
        """Take over what one line says."""
        if kind in self._kinds:
            self._kinds[kind](line)

    def finish(self, is_there: Callable[[str, int, str], bool]) -> Counter[str]:
        """Set the states of the items whose attempts have changed, and return how many of these are in each state.

        `is_there` says whether a file (path, length, SHA-256) is on disk.
        """
        settle_files(self._db, is_there)
        follow_files(self._db, is_there)
        for (item,) in self._db.execute("SELECT item FROM temp.touched"):
            split_live_purchases(self._db, item)
            derive_state(self._db, item)
        states = dict(
            self._db.execute(
                "SELECT state, COUNT(*) FROM item WHERE key IN (SELECT item FROM temp.touched) GROUP BY state"
            )
        )
        for table in ("alias", "touched", "finished", "kept"):
            self._db.execute(f"DROP TABLE temp.{table}")
        return Counter(states)

    # ---- finding ----

    def _find(self, purchase: str) -> tuple[int, int, str, str | None] | None:
        """Return key, item, state and job id of the attempt that a purchase is, or None."""
        row = self._db.execute(
            "SELECT key, item, state, job_id FROM attempt WHERE purchase = ?1"
            " UNION ALL SELECT a.key, a.item, a.state, a.job_id FROM temp.alias t JOIN attempt a ON a.key = t.attempt"
            " WHERE t.purchase = ?1",
            (purchase,),
        ).fetchone()
        return None if row is None else (row[0], row[1], row[2], row[3])

    def _item(self, item_id: str, digest: str, model: str, price: str) -> int:
        """Return the key of an item; one that the journal lacks is made, without a body."""
        self._db.execute(
            "INSERT INTO item (id, digest, model, body, tags, path, source, estimated, inputs)"
            f" VALUES (?, ?, ?, '{UNKNOWN_BODY}', '{{}}', ?, 'receipts.jsonl', ?, '[]') ON CONFLICT DO NOTHING",
            (item_id, digest, model, item_id, price),
        )
        (key,) = self._db.execute("SELECT key FROM item WHERE id = ? AND digest = ?", (item_id, digest)).fetchone()
        return int(key)

    # ---- the lines ----

    def _bound(self, line: _Content) -> None:
        """The journal's binding counts until a line says the same: the lines after that one are newer."""
        bound = {"run": line["bound"], "api": line["api"], "account": line["account"]}
        bound[OUTPUTS] = line.get("outputs", "")
        marks = ", ".join("?" * len(bound))
        known = dict(self._db.execute(f"SELECT name, value FROM meta WHERE name IN ({marks})", tuple(bound)))
        if self._newer or "api" not in known:
            self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", bound.items())
            self._newer = True
        elif {OUTPUTS: ""} | known == bound:
            self._newer = True

    def _intent(self, line: _Content) -> None:
        if self._find(line["intent"]) is not None:
            return
        known = self._db.execute(
            "SELECT a.key FROM attempt a JOIN item i ON i.key = a.item"
            " WHERE i.id = ? AND i.digest = ? AND a.number = ? AND a.submitted_at = ?",
            (line["item"], line["digest"], line["attempt"], line["at"]),
        ).fetchone()
        if known is not None:  # a journal that was migrated from version 1 has other names for its purchases
            self._alias(line["intent"], known[0])
            return
        item = self._item(line["item"], line["digest"], line["model"], line["price"])
        self._insert(
            item, line["intent"], number=line["attempt"], state=State.IN_DOUBT, estimated=line["price"],
            reserved=line["reserved"], account=line["account"], catalog_version=line["tables"], submitted_at=line["at"],
            error_type="in_doubt", error_message=_ALONE,
        )  # fmt: skip

    def _accepted(self, line: _Content) -> None:
        purchase, job = line["accepted"], line["job"]
        found = self._find(purchase)
        holder = self._db.execute("SELECT key FROM attempt WHERE job_id = ?", (job,)).fetchone()
        if holder is not None:
            # If another attempt has it, the answers to two orders named one job. What became of this order is not
            # known: it stays in doubt.
            if found is None:
                self._alias(purchase, holder[0])
            return
        columns = {
            "job_id": job,
            "charged": line["charged"],
            "accepted_at": line["at"],
            "expires_at": line.get("expires"),
        }
        if found is not None and found[3] is None:
            # Whether the answer named a price is not known, so none counts as named or confirmed.
            columns |= {"state": State.PROCESSING, "error_type": None, "error_message": None}
            self._db.execute(
                f"UPDATE attempt SET {', '.join(f'{name} = ?' for name in columns)} WHERE key = ?",
                (*columns.values(), found[0]),
            )
            touch(self._db, found[1])
        else:
            # An acceptance whose intent cannot be read, or a second acceptance: the money is known, the order is not.
            item = self._presumed(line) if found is None else found[1]
            name = purchase if found is None else hashlib.sha256(job.encode()).hexdigest()[:20]
            self._insert(
                item, name, number=line["attempt"], state=State.PROCESSING, estimated=line["charged"],
                reserved=line["charged"], account=self._account(), catalog_version="", submitted_at=line["at"],
                **columns,
            )  # fmt: skip

    def _presumed(self, line: _Content) -> int:
        """Return the item that a purchase whose order cannot be read belongs to: the one that has its id now.

        If that item was edited meanwhile, the output is of the earlier request; otherwise it would be paid for twice.
        """
        row = self._db.execute(
            "SELECT key FROM item WHERE id = ? ORDER BY position IS NULL", (line["item"],)
        ).fetchone()
        return int(row[0]) if row else self._item(line["item"], UNKNOWN_DIGEST, "", line["charged"])

    def _account(self) -> str:
        row = self._db.execute("SELECT value FROM meta WHERE name = 'account'").fetchone()
        return str(row[0]) if row else ""

    def _alias(self, purchase: str, attempt: int) -> None:
        self._db.execute("INSERT OR REPLACE INTO temp.alias VALUES (?, ?)", (purchase, attempt))

    def _insert(self, item: int, purchase: str, *, number: int, **columns: object) -> None:
        """Make an attempt; it gets another number if this one belongs to another purchase of the same id."""
        number = self._free_number(item, number)
        columns |= {"item": item, "purchase": purchase, "number": number}
        self._db.execute(
            f"INSERT INTO attempt ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
            (*columns.values(),),
        )
        self._use_number(item, number)
        touch(self._db, item)

    def _free_number(self, item: int, wanted: int) -> int:
        (taken, last) = self._db.execute(
            "SELECT EXISTS (SELECT 1 FROM item o JOIN attempt a ON a.item = o.key WHERE o.id = i.id AND a.number = ?),"
            " (SELECT MAX(attempts) FROM item o WHERE o.id = i.id) FROM item i WHERE i.key = ?",
            (wanted, item),
        ).fetchone()
        return int(last) + 1 if taken else wanted

    def _use_number(self, item: int, number: int) -> None:
        """A number stays used, whatever becomes of its attempt: (id, number) always names the same purchase."""
        self._db.execute("UPDATE item SET attempts = MAX(attempts, ?) WHERE key = ?", (number, item))

    def _void(self, line: _Content) -> None:
        found = self._find(line["void"])
        if found is not None and found[2] in UNANSWERED and found[3] is None:
            self._drop(found[0], found[1])

    def _drop(self, key: int, item: int) -> None:
        self._db.execute("DELETE FROM temp.alias WHERE attempt = ?", (key,))
        self._db.execute("DELETE FROM attempt WHERE key = ?", (key,))
        touch(self._db, item)

    def _ended(self, line: _Content) -> None:
        found = self._find(line["ended"])
        if found is None:
            return
        key, item, state, job = found
        after = line["state"]
        if after == State.REJECTED and job is None and state in UNANSWERED:
            words = ("rejected", "rejected, according to the receipts")
        elif state != State.PROCESSING:
            return
        elif after == State.READY:
            self._db.execute("INSERT OR REPLACE INTO temp.finished VALUES (?, ?)", (key, line.get("outputs", 0)))
            # A poll may have named another price than the answer to the POST.
            self._db.execute(
                "UPDATE attempt SET charged = COALESCE(?, charged) WHERE key = ?", (line.get("charged"), key)
            )
            return
        elif after == State.FAILED:
            words = ("generation_failed", "failed at the provider, according to the receipts")
        elif after == State.LOST:
            words = ("lost", "lost, according to the receipts")
        else:
            return
        self._db.execute(
            "UPDATE attempt SET state = ?, completed_at = ?, charged = COALESCE(?, charged), refunded = ?,"
            " refunded_at = CASE WHEN ?4 IS NULL THEN NULL ELSE ?2 END, error_type = ?, error_message = ?"
            " WHERE key = ?",
            (after, line["at"], line.get("charged"), line.get("refunded"), *words, key),
        )
        touch(self._db, item)

    def _reopened(self, line: _Content) -> None:
        found = self._find(line["reopened"])
        if found is not None and found[2] == State.LOST and found[3] is not None:
            self._db.execute(
                "UPDATE attempt SET state = 'processing', completed_at = NULL, error_type = NULL, error_message = NULL"
                " WHERE key = ?",
                (found[0],),
            )
            touch(self._db, found[1])

    def _stored(self, line: _Content) -> None:
        found = self._find(line["stored"])
        if found is not None:
            self._db.execute(
                "INSERT OR REPLACE INTO temp.kept VALUES (?, ?, ?, ?, ?)",
                (found[0], line["output"], line["path"], line["bytes"], line["sha256"]),
            )

    def _settled(self, line: _Content) -> None:
        purchase, how = line["settled"], line["how"]
        found = self._find(purchase)
        if found is None or found[2] not in UNANSWERED or found[3] is not None:
            return
        key, item = found[:2]
        if how == "not_charged":
            self._drop(key, item)
        elif how == "charged":
            self._db.execute(
                "UPDATE attempt SET state = 'lost', charged = ?, completed_at = ?, error_type = 'lost',"
                " error_message = ? WHERE key = ?",
                (line.get("charged", "0"), line["at"], _BY_HAND, key),
            )
            touch(self._db, item)

    def _renamed(self, line: _Content) -> None:
        found = self._find(line["renamed"])
        if found is None:
            return
        key, item = found[:2]
        row = self._db.execute("SELECT id, digest, model, estimated FROM item WHERE key = ?", (item,)).fetchone()
        if row[0] == line["item"]:
            return
        new = self._item(line["item"], row[1], row[2], row[3])
        number = self._free_number(new, line["attempt"])
        self._db.execute("UPDATE attempt SET item = ?, number = ? WHERE key = ?", (new, number, key))
        self._use_number(new, number)
        (path,) = self._db.execute("SELECT path FROM item WHERE key = ?", (new,)).fetchone()
        plan_moves(self._db, key, path)
        touch(self._db, item)
        touch(self._db, new)
