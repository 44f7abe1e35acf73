"""The register: where this user's runs are and how far they have come, so that a run folder that was moved, deleted or
put back to an older copy is noticed. It helps but decides nothing: whatever is wrong with it, a run continues.
"""

import json
import logging
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

from batchgen.core.clock import utc_now
from batchgen.journal import Journal, is_embedded, milliseconds
from batchgen.journal.queries.overlap import PurchaseHistory, purchase_history

log = logging.getLogger("batchgen")

VARIABLE = "BATCHGEN_REGISTER"
_T = TypeVar("_T")
_PATIENCE = 5.0
"""Seconds that another process may take to write."""
_MOST = 1_000
"""Runs that are remembered; the ones that were seen last."""
_TABLE = """
CREATE TABLE IF NOT EXISTS run (
  run_id    TEXT PRIMARY KEY,
  folder    TEXT NOT NULL,
  name      TEXT NOT NULL,
  api       TEXT NOT NULL,
  account   TEXT NOT NULL,  -- the key's fingerprint
  receipts  INTEGER NOT NULL,
  purchases INTEGER NOT NULL,
  net       TEXT NOT NULL,  -- USD
  sample    TEXT NOT NULL,  -- some digests of what was bought, as JSON
  seen      INTEGER NOT NULL
) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A run folder as it was seen last."""

    folder: Path
    name: str
    history: PurchaseHistory
    net: Decimal
    """What it had cost, USD."""


class Register:
    """The runs of one user, in a small SQLite file."""

    def __init__(self, path: Path | None) -> None:
        """Without a path nothing is remembered."""
        self._path = path

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Register":
        """Return the register that BATCHGEN_REGISTER names (empty: none), else the one in the user's state folder.

        That is $XDG_STATE_HOME, or ~/.local/state (XDG Base Directory Specification).
        """
        chosen = environment.get(VARIABLE)
        if chosen is not None:
            return cls(Path(chosen) if chosen else None)
        state = Path(environment.get("XDG_STATE_HOME") or "~/.local/state")
        with suppress(RuntimeError):  # there is no home
            state = state.expanduser()
        return cls(state / "batchgen" / "runs.sqlite3" if state.is_absolute() else None)

    def entries(self, api: str, account: str) -> list[Entry]:
        """Return the runs that were bought with this account, the one that was seen last first."""

        def read(db: sqlite3.Connection) -> list[Entry]:
            rows = db.execute(
                "SELECT folder, name, run_id, receipts, purchases, sample, net FROM run WHERE api = ? AND account = ?"
                " ORDER BY seen DESC",
                (api, account),
            )
            return [
                Entry(
                    Path(folder),
                    name,
                    PurchaseHistory(run_id, receipts, purchases, tuple(json.loads(sample))),
                    Decimal(net),
                )
                for folder, name, run_id, receipts, purchases, sample, net in rows
            ]

        return self._with(read) or []

    def remember(self, journal: Journal) -> None:
        """Note how far a run folder has come; pretend money is forgotten. A run has one entry, wherever it is."""
        if self._path is None:
            return  # summing up what was bought takes longer than all else here
        facts, history, spend = journal.facts(), purchase_history(journal.db), journal.spend()
        if "api" not in facts:
            return
        folder = journal.path.parent.resolve()

        def write(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM run WHERE run_id = ?", (history.run_id,))
            if is_embedded(facts):
                return
            db.execute(
                "INSERT INTO run VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    history.run_id, str(folder), facts.get("run", folder.name), facts["api"], facts.get("account", ""),
                    history.receipts, history.purchases, format(spend.charged - spend.refunded, "f"),
                    json.dumps(history.sample), milliseconds(utc_now()),
                ),
            )  # fmt: skip
            db.execute(
                "DELETE FROM run WHERE run_id NOT IN (SELECT run_id FROM run ORDER BY seen DESC LIMIT ?)", (_MOST,)
            )

        self._with(write)

    def _with(self, work: Callable[[sqlite3.Connection], _T]) -> _T | None:
        """Do something with the database, in one transaction; what goes wrong ends in a line of the log."""
        if self._path is None:
            return None
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            with closing(sqlite3.connect(self._path, timeout=_PATIENCE)) as db, db:
                db.execute(_TABLE)
                return work(db)
        except (OSError, sqlite3.Error, ValueError, TypeError, ArithmeticError) as error:
            log.info("the register of runs %s could not be used: %s", self._path, error)
            return None


@contextmanager
def registered(register: Register, journal: Journal) -> Iterator[None]:
    """Note a run folder before anything more is bought in it, and again when the block ends, however it ends."""
    register.remember(journal)
    try:
        yield
    finally:
        with suppress(sqlite3.Error):  # the journal itself is at fault, and whoever met it first says so
            register.remember(journal)
