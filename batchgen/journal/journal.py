"""The journal: every step of every purchase, in SQLite, and written to the receipts before each commit.

Its methods do not commit: `transaction()` does, and a `Recorder` wraps it around them.
"""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

from batchgen import receipts
from batchgen.core.errors import BatchgenError, RunFolderError
from batchgen.core.records import COMPLETED, ENDED, UNSETTLED, State, StoredFile
from batchgen.item_table import attached
from batchgen.journal.attempts import (
    ATTEMPT_COLUMNS,
    Attempt,
    Spend,
    Superseded,
    Work,
    is_last,
    read_attempt,
)
from batchgen.journal.binding import bound_line
from batchgen.journal.chains import ChainStates
from batchgen.journal.database import JournalLockedError, open_database, sqlite_errors
from batchgen.journal.delivered import Findings
from batchgen.journal.outputs import Listing
from batchgen.journal.queries.report_rows import replace_file
from batchgen.journal.queries.run_status import fewer_outputs_of
from batchgen.journal.recovery.reconcile import Evidence, no_evidence, reconcile, vouch
from batchgen.journal.requested.listing import list_requested
from batchgen.journal.requested.pending import PendingRows
from batchgen.journal.requested.renames import apply_next_renames, find_renames
from batchgen.journal.requested.requeueing import BuyAgain, continues, put_back_others, remember_words
from batchgen.journal.schema import FILE_NAME
from batchgen.journal.spending import prices_of, spend_of
from batchgen.journal.transitions import TransitionError, Transitions
from batchgen.journal.written import watch
from batchgen.policy.budget import BudgetTracker, Money
from batchgen.policy.local_budget import LocalBudget
from batchgen.store import OUTPUTS

log = logging.getLogger("batchgen")


class Journal(Transitions, ChainStates, PendingRows):
    """An open journal with its receipts. The caller owns the run folder, and one thread uses it at a time."""

    def __init__(self, folder: Path, *, create: bool = False, evidence: Evidence = no_evidence) -> None:
        """Open both and reconcile them, see `batchgen.journal.recovery.reconcile`. Raises RunFolderError, DiskError."""
        self.path = folder / FILE_NAME
        self.lines = []
        self.db = open_database(self.path, create=create)
        try:
            with sqlite_errors(self.path):
                self.receipts, self.notices = reconcile(self.db, folder, evidence)
        except JournalLockedError as error:
            self.db.close()
            raise RunFolderError(str(error)) from error  # nothing was bought yet
        except BaseException:
            self.db.close()
            raise
        self._opened = self.path.stat()
        self._noted = True  # perhaps: the first commit looks
        self.select(lambda *_: True)

    def close(self) -> None:
        """Close both; SQLite folds the log back into the file."""
        try:
            self.roll_back()
            if self.receipts.sync():
                with self.transaction():
                    vouch(self.db, self.receipts)
        except BatchgenError as error:
            # Whoever opens them next reads what the journal could not vouch for.
            log.warning("the journal could not record how far its receipts go: %s", error)
        finally:
            self.receipts.close()
            with sqlite_errors(self.path):
                self.db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what the block does, durably, or nothing of it. Raises DiskError when the commit fails."""
        self.begin_transaction()
        try:
            with sqlite_errors(self.path):
                yield
            self.commit()
        except BaseException:
            self.roll_back()
            raise

    def wait_for_locks(self, seconds: float) -> None:
        """Set how many seconds to wait for another program that writes; five at first."""
        self.db.execute(f"PRAGMA busy_timeout = {round(seconds * 1000)}")

    def begin_transaction(self) -> None:
        """Begin what `commit` or `roll_back` ends. Raises DiskError."""
        with sqlite_errors(self.path):
            self.db.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Make all since `begin_transaction` durable, the receipts first: what the journal knows, they know.

        Raises DiskError; the caller then rolls back.
        """
        lines, self.lines = self.lines, []
        synced = any(line.synced for line in lines)
        with sqlite_errors(self.path):
            try:
                if lines:
                    self.receipts.append(lines, sync=synced)
                if synced:
                    vouch(self.db, self.receipts)
                if self._noted:
                    self._noted = watch(self.db)
                self.db.execute("COMMIT")
            except BaseException:
                self._void(lines)
                raise

    def _void(self, lines: Sequence[receipts.Line]) -> None:
        """Cancel intents whose commit has failed: nothing is sent for them."""
        voids = [receipts.void(line.intent) for line in lines if line.intent]
        if not voids:
            return
        try:
            self.receipts.append(voids, sync=False)
        except BatchgenError as error:
            log.warning("%d intents remain in the receipts although nothing was sent: %s", len(voids), error)

    def roll_back(self) -> None:
        """Undo all since `begin_transaction`. SQLite itself has done so after some errors, such as a full disk."""
        self.lines = []
        if self.db.in_transaction:
            with sqlite_errors(self.path):
                self.db.execute("ROLLBACK")

    def write_receipt(self, line: receipts.Line) -> None:
        """Write a line to the receipts at once, and sync it, so that it is not lost if the journal cannot be written.

        Raises DiskError.
        """
        self.receipts.append([line], sync=True)

    def intact(self) -> bool:
        """Whether journal and receipts at their paths are still the files that were opened."""
        try:
            there = self.path.stat()
        except OSError:
            return False  # deleted, or out of reach
        return os.path.samestat(there, self._opened) and self.receipts.intact()

    # ---- facts about the folder ----

    def facts(self) -> dict[str, str]:
        """Return what the folder is bound to: `api`, `account`, `run`, …"""
        return dict(self.db.execute("SELECT name, value FROM meta"))

    def note(self, **facts: str) -> None:
        """Write or replace facts about the folder."""
        self.db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", facts.items())
        if "api" in facts or OUTPUTS in facts:
            self.lines.append(bound_line(self.facts()))

    def note_written(self, **notes: str) -> None:
        """Note what was written from this journal, until it changes; see `batchgen.journal.written`."""
        self.note(**notes)
        self._noted = True

    # ---- listing ----

    def list_items(self, table: Path) -> None:
        """Make the items of an item table the requested ones; outside of a transaction, since it makes its own.

        Known items keep their state. Items that were never bought and are no longer requested are deleted. A run that
        requests the same items again writes nothing.
        """
        with self._attached(table), self.transaction():
            list_requested(self.db)
            self.link_chains()
        with sqlite_errors(self.path):
            # Into the file itself, so that a copy of the file without its log knows the items.
            self.db.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def apply_renames(self, table: Path) -> int:
        """Give purchases to the items that request them under another id; return how many items these are.

        To be called before `list_items`, outside of a transaction. If it ends early, the next call does the rest. It
        only records where files move to, see `batchgen.journal.requested.renames`.
        """
        count = 0
        with self._attached(table):
            find_renames(self.db, real=True)
            while True:
                with self.transaction():
                    given = apply_next_renames(self.db, self.lines)
                if not given:
                    return count
                count += given

    @contextmanager
    def _attached(self, table: Path) -> Iterator[None]:
        with sqlite_errors(self.path), attached(self.db, table):
            yield

    def purchase_count(self) -> int:
        """Return how many purchases were charged, or may have been; also those that were refunded since."""
        (count,) = self.db.execute("SELECT COUNT(*) FROM attempt WHERE state <> ?", (State.REJECTED,)).fetchone()
        return int(count)

    def select(self, wanted: Callable[[str, str], bool]) -> None:
        """Let `pending`, `requeue` and `counts` see only the items for which `wanted(id, tags as JSON)` is true."""
        self.db.create_function("wanted", 2, wanted, deterministic=True)

    def requeue(self, states: Sequence[State], matches: Callable[[str], bool]) -> int:
        """Make requested items in these states pending again, so that they are bought once more; return how many.

        Raises TransitionError for a state in which an item has not come to an end.
        """
        if not ENDED.issuperset(states):
            raise TransitionError(f"only finished items can be requeued, not {', '.join(states)}")
        self.db.create_function("matches", 1, matches, deterministic=True)
        marks = ", ".join("?" * len(states))
        return self.db.execute(
            f"UPDATE item SET state = 'pending' WHERE state IN ({marks}) AND position IS NOT NULL"
            " AND wanted(id, tags) AND matches(id)",
            states,
        ).rowcount

    def requeue_for(self, retry: Sequence[State], again: BuyAgain, *, expired_sources: bool = False) -> None:
        """Requeue the items that have ended in a `retry` state and the finished ones that `again` means, and no others.

        With `expired_sources`, also finished items with files that others need and the provider no longer has.

        See `batchgen.journal.requested.requeueing`; inside a transaction.
        """
        continuing = continues(self.db, again)
        put_back_others(self.db, retry, again, expired_sources=expired_sources)
        if retry:
            self.requeue(retry, lambda _: True)
        if again.globs and not continuing:
            self.requeue([State.DONE], again.wanted)
            remember_words(self.db, again)
        if expired_sources:
            self.requeue_expired_sources()
        self.settle_chains()

    # ---- superseded files ----

    def owner_of(self, path: str) -> tuple[int, int] | None:
        """Return attempt key and output number of the file that the journal has at `path`."""
        row = self.db.execute("SELECT attempt, number FROM output WHERE path = ?", (path,)).fetchone()
        return (row[0], row[1]) if row else None

    def earlier_files(self, attempt: Attempt) -> list[str]:
        """Return the files below `files/` of earlier attempts under the same id."""
        rows = self.db.execute(
            "SELECT o.path FROM item i JOIN attempt a ON a.item = i.key JOIN output o ON o.attempt = a.key"
            " WHERE i.id = ? AND a.number < ? AND o.path >= 'files/' AND o.path < 'files0' ORDER BY o.path",
            (attempt.work.item.id, attempt.number),
        )
        return [path for (path,) in rows]

    def files_to_restore(self) -> list[Superseded]:
        """Return the files below `superseded/` that belong to a requested item as it was bought last."""
        rows = self.db.execute(
            "SELECT o.path, i.path, o.number, (SELECT MAX(x.number) FROM output x WHERE x.attempt = a.key)"
            " FROM output o JOIN attempt a ON a.key = o.attempt JOIN item i ON i.key = a.item"
            " WHERE o.path >= 'superseded/' AND o.path < 'superseded0' AND i.position IS NOT NULL AND i.state = 'done'"
            " AND a.number = (SELECT MAX(b.number) FROM attempt b WHERE b.item = i.key AND b.state = 'done')"
        )
        return [Superseded(*row) for row in rows]

    def has_successor(self, work: Work) -> bool:
        """Return whether the manifest has another request under the same id."""
        row = self.db.execute(
            "SELECT 1 FROM item WHERE id = ? AND key <> ? AND position IS NOT NULL", (work.item.id, work.key)
        ).fetchone()
        return row is not None

    def move_file(self, old: str, new: str) -> None:
        """Record that a file of an earlier purchase was moved; both paths are relative to the run folder."""
        moved = self.db.execute(
            "UPDATE output SET path = ? WHERE path = ? RETURNING attempt, number, path, bytes, sha256", (new, old)
        ).fetchall()
        for attempt, *file in moved:
            self._write_stored(attempt, StoredFile(*file))

    def replace_file(self, attempt: int, file: StoredFile, findings: Findings | None = None) -> None:
        """Record that an output was downloaded after its purchase had ended, see `queries.report_rows`."""
        replace_file(self.db, attempt, file)
        if findings is not None:
            self.renew_findings(attempt, file, findings)
        self._write_stored(attempt, file)

    def _write_stored(self, attempt: int, file: StoredFile) -> None:
        (purchase,) = self.db.execute("SELECT purchase FROM attempt WHERE key = ?", (attempt,)).fetchone()
        self.lines.append(receipts.stored(purchase, file))

    def knows_job(self, job_id: str) -> bool:
        """Return whether a job already belongs to an attempt."""
        return self.db.execute("SELECT 1 FROM attempt WHERE job_id = ? LIMIT 1", (job_id,)).fetchone() is not None

    # ---- where an invocation starts ----

    def unsettled(self, state: State) -> Iterator[Attempt]:
        """Yield the attempts in `state` of items in the same state, oldest first."""
        for row in self.db.execute(
            f"SELECT {ATTEMPT_COLUMNS} FROM item i JOIN attempt a ON a.item = i.key AND a.state = i.state"
            " WHERE i.state = ? ORDER BY a.key",
            (state,),
        ):
            yield read_attempt(row)

    def lost_jobs(self) -> Iterator[Attempt]:
        """Yield the last attempts of lost items whose jobs the provider may know after all, oldest first."""
        for row in self.db.execute(
            f"SELECT {ATTEMPT_COLUMNS} FROM attempt a JOIN item i ON i.key = a.item AND {is_last('a', 'i')}"
            " WHERE a.state = 'lost' AND i.state = 'lost' AND a.job_id IS NOT NULL"
            " AND (i.position IS NULL OR wanted(i.id, i.tags)) ORDER BY a.key"
        ):
            yield read_attempt(row)

    def ready(self) -> Iterator[tuple[Attempt, Listing]]:
        """Yield ready attempts, oldest first, each with its outputs."""
        for attempt in list(self.unsettled(State.READY)):
            yield attempt, self.listing(attempt)

    def fewer_outputs(self) -> int:
        """Return how many requested items are done with fewer outputs than were ordered."""
        return fewer_outputs_of(self.db, "wanted(i.id, i.tags)")

    def counts(self) -> dict[State, int]:
        """Return how many items are in each state: the requested ones, and unsettled ones that no longer are."""
        rows = self.db.execute(
            "SELECT state, COUNT(*) FROM item WHERE (position IS NOT NULL AND wanted(id, tags))"
            f" OR state IN {UNSETTLED.sql} GROUP BY state"
        )
        return {State(state): count for state, count in rows}

    def spend(self) -> Spend:
        """Return what was charged, refunded and is in doubt over the life of the folder."""
        return spend_of(self.db)

    def budget_tracker(
        self, max_cost: Decimal | None, budget: Decimal | None, *, shared: bool = False
    ) -> BudgetTracker:
        """Return the money that an invocation starts with, below these caps (USD; None: no cap).

        `shared`: there is another cap, which other runs share.
        """
        spend = self.spend()
        life = Money(spend.charged, spend.refunded, in_doubt=spend.in_doubt, surplus=spend.surplus)
        return BudgetTracker(life, max_cost, budget, prices=prices_of(self.db), shared=shared)

    def budget(self, max_cost: Decimal | None, budget: Decimal | None) -> LocalBudget:
        """Return the budget of a run that buys alone; see `budget_tracker`."""
        return LocalBudget(self.budget_tracker(max_cost, budget))

    def durations(self, most: int = 1000) -> list[tuple[str, str, float]]:
        """Return model, price key and seconds of the latest jobs that completed, at most `most`, oldest first."""
        rows = self.db.execute(
            "SELECT i.model, a.price_key, a.took_ms FROM attempt a JOIN item i ON i.key = a.item"
            f" WHERE a.took_ms IS NOT NULL AND a.state IN {COMPLETED.sql} ORDER BY a.key DESC LIMIT ?",
            (most,),
        ).fetchall()
        return [(model, price_key, took / 1000) for model, price_key, took in reversed(rows)]
