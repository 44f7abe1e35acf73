"""The journal: every step of every purchase, in SQLite. Its methods are the transitions between the states.

Each transition names the state that it leads from, so that a wrong one is an error and never a silent overwrite. The
methods do not commit: `transaction()` does, and a `Recorder` wraps it around them.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from batchgen.api import Job
from batchgen.journal.schema import FILE_NAME, milliseconds, moment, open_database, sqlite_errors
from batchgen.records import Input, Item, State, StoredFile

LARGEST_ANSWER = 64 * 1024
"""Bytes of an answer that are kept."""


class TransitionError(Exception):
    """A step that the states do not allow: a bug, and the journal is as it was before."""


@dataclass(frozen=True, slots=True)
class Work:
    """An item with its place in the journal."""

    key: int
    item: Item
    attempts: int
    listed: bool = True


@dataclass(frozen=True, slots=True)
class Attempt:
    """One purchase under way or past: what polling and fetching need to know."""

    key: int
    work: Work
    state: State
    number: int
    estimated: Decimal
    charged: Decimal | None
    job_id: str | None
    account: str
    accepted_at: datetime | None
    expires_at: datetime | None
    polls: int


@dataclass(frozen=True, slots=True)
class PendingOutput:
    """An output that is not on disk yet."""

    number: int
    url: str


@dataclass(frozen=True, slots=True)
class Spend:
    """USD over the life of the run folder."""

    charged: Decimal = Decimal(0)
    refunded: Decimal = Decimal(0)
    in_doubt: Decimal = Decimal(0)


_WORK = "i.key, i.id, i.model, i.body, i.digest, i.tags, i.path, i.source, i.estimated, i.inputs, i.attempts, i.listed"
_ATTEMPT = (
    "a.key, a.state, a.number, a.estimated, a.charged, a.job_id, a.account, a.accepted_at, a.expires_at, a.polls, "
    + _WORK
)


class Journal:
    """An open journal; the caller owns the run folder. Not for two threads at the same time."""

    def __init__(self, folder: Path, *, create: bool = False) -> None:
        self.path = folder / FILE_NAME
        self.db = open_database(self.path, create=create)
        self.select(lambda *_: True)

    def close(self) -> None:
        """Close it; SQLite folds the log back into the file."""
        with sqlite_errors(self.path):
            self.db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what the block does, durably, or nothing of it. Raises DiskError when the commit fails."""
        with sqlite_errors(self.path):
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.db.execute("COMMIT")
            except BaseException:
                # SQLite itself has rolled back already after some errors, such as a full disk.
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")
                raise

    # ---- facts about the folder ----

    def facts(self) -> dict[str, str]:
        """Return what the folder is bound to: `api`, `account`, `run`, …"""
        return dict(self.db.execute("SELECT name, value FROM meta"))

    def note(self, **facts: str) -> None:
        """Write or replace facts about the folder."""
        self.db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", facts.items())

    # ---- listing ----

    def list_items(self, stage: Path) -> None:
        """Make the items staged in another database the listed ones; not inside a transaction, it makes its own.

        What is there already keeps its state. What was never bought and is listed no longer is forgotten. A run that
        asks for the same items again writes nothing.
        """
        with sqlite_errors(self.path):
            self.db.execute("ATTACH ? AS stage", (str(stage),))
            try:
                with self.transaction():
                    self.db.execute("CREATE UNIQUE INDEX IF NOT EXISTS stage.item_identity ON item (id, digest)")
                    self.db.execute(_UNLIST)
                    self.db.execute(_LIST)
                    self.db.execute(_FORGET)
            finally:
                self.db.execute("DETACH stage")

    def live(self) -> int:
        """Return how many items are at the provider, on their way there, or in doubt."""
        (count,) = self.db.execute(
            "SELECT COUNT(*) FROM item WHERE state IN ('submitting', 'processing', 'ready', 'in_doubt')"
        ).fetchone()
        return int(count)

    def select(self, wanted: Callable[[str, str], bool]) -> None:
        """Narrow what `pending`, `reopen` and `counts` see to the items for which `wanted(id, tags as JSON)` holds."""
        self.db.create_function("wanted", 2, wanted, deterministic=True)

    def pending(self, after: int, count: int) -> list[tuple[int, Work]]:
        """Return up to `count` listed pending items behind position `after`, each with its position."""
        rows = self.db.execute(
            f"SELECT i.listed, {_WORK} FROM item i WHERE i.state = 'pending' AND i.listed > ? AND wanted(i.id, i.tags)"
            " ORDER BY i.listed LIMIT ?",
            (after, count),
        )
        return [(row[0], _work(row[1:])) for row in rows]

    def reopen(self, states: Sequence[State], matches: Callable[[str], bool]) -> int:
        """Make listed items in these states pending again, so that they are bought anew; return how many."""
        self.db.create_function("matches", 1, matches, deterministic=True)
        marks = ", ".join("?" * len(states))
        return self.db.execute(
            f"UPDATE item SET state = 'pending' WHERE state IN ({marks}) AND listed IS NOT NULL"
            " AND wanted(id, tags) AND matches(id)",
            states,
        ).rowcount

    # ---- the steps of a purchase ----

    def begin(self, work: Work, account: str, tables: str, now: datetime) -> Attempt:
        """Record the intent to buy: after the commit, and not before, the POST may leave."""
        self._move(work.key, State.PENDING, State.SUBMITTING)
        (number,) = self.db.execute(
            # Numbers run on under an id, whatever was edited: (id, number) names one purchase in the ledger.
            "UPDATE item SET attempts = 1 + (SELECT MAX(o.attempts) FROM item o WHERE o.id = item.id)"
            " WHERE key = ? RETURNING attempts",
            (work.key,),
        ).fetchone()
        key = self.db.execute(
            "INSERT INTO attempt (item, number, estimated, account, tables, submitted_at) VALUES (?, ?, ?, ?, ?, ?)",
            (work.key, number, str(work.item.estimated), account, tables, milliseconds(now)),
        ).lastrowid
        assert key is not None  # noqa: S101 - for the type checker: an INSERT has a row id
        return Attempt(key, work, State.SUBMITTING, number, work.item.estimated, None, None, account, None, None, 0)

    def release(self, attempt: Attempt) -> None:
        """Certainly not charged, and worth another try: back to pending. The number stays used."""
        self._move(attempt.work.key, State.SUBMITTING, State.PENDING)
        self.db.execute("DELETE FROM attempt WHERE key = ? AND state = 'submitting'", (attempt.key,))

    def accept(self, attempt: Attempt, job: Job, raw: bytes, now: datetime) -> Attempt:
        """The API accepted and charged it: id, cost and expiry, with the answer's bytes."""
        charged = attempt.estimated if job.cost is None else job.cost
        self._step(
            attempt,
            State.PROCESSING,
            job_id=job.id,
            charged=_plain(charged),
            accepted_at=milliseconds(now),
            expires_at=milliseconds(job.expires_at) if job.expires_at else None,
            answer=raw[:LARGEST_ANSWER],
        )
        return Attempt(
            attempt.key, attempt.work, State.PROCESSING, attempt.number, attempt.estimated, charged, job.id,
            attempt.account, now, job.expires_at, 0,
        )  # fmt: skip

    def reject(self, attempt: Attempt, error_type: str, message: str, now: datetime) -> None:
        """Refused for good, not charged."""
        self._step(
            attempt,
            State.REJECTED,
            completed_at=milliseconds(now),
            error_type=error_type,
            error_message=message,
        )

    def doubt(self, attempt: Attempt, reason: str, raw: bytes = b"") -> None:
        """May have been charged: never sent again by itself."""
        self._step(attempt, State.IN_DOUBT, error_type="in_doubt", error_message=reason, answer=raw[:LARGEST_ANSWER])

    def doubt_interrupted(self) -> int:
        """After a crash: every intent without an answer may have been charged. Return how many there are."""
        self.db.execute(
            "UPDATE attempt SET state = 'in_doubt', error_type = 'in_doubt', error_message ="
            " 'the program ended while the request was on its way' WHERE state = 'submitting' AND item IN"
            " (SELECT key FROM item WHERE state = 'submitting')"
        )
        return self.db.execute("UPDATE item SET state = 'in_doubt' WHERE state = 'submitting'").rowcount

    def complete(self, attempt: Attempt, job: Job, polls: int, took_ms: int, now: datetime) -> None:
        """Done at the provider: the outputs to fetch are known."""
        self._step(attempt, State.READY, polls=polls, **_ending(job, took_ms, now))
        self.db.executemany(
            "INSERT INTO output (attempt, number, url) VALUES (?, ?, ?)",
            [(attempt.key, number, url) for number, url in enumerate(job.outputs, 1)],
        )

    def fail(self, attempt: Attempt, job: Job, polls: int, took_ms: int, now: datetime) -> None:
        """Failed at the provider, which refunds what it charged (API reference, section 4)."""
        charged = attempt.charged if attempt.charged is not None else Decimal(0)
        self._step(
            attempt, State.FAILED, polls=polls, refunded=_plain(charged), refunded_at=milliseconds(now),
            error_type="generation_failed", error_message=job.error or "the provider gave no reason",
            **_ending(job, took_ms, now),
        )  # fmt: skip

    def lose(self, attempt: Attempt, reason: str, now: datetime, *, polls: int | None = None) -> None:
        """Charged, and nothing to show for it."""
        self._step(
            attempt,
            State.LOST,
            completed_at=milliseconds(now),
            error_type="lost",
            error_message=reason,
            **({} if polls is None else {"polls": polls}),
        )

    def outputs_left(self, attempt: Attempt) -> list[PendingOutput]:
        """Return the outputs of a ready attempt that are not on disk yet."""
        rows = self.db.execute(
            "SELECT number, url FROM output WHERE attempt = ? AND path IS NULL ORDER BY number",
            (attempt.key,),
        )
        return [PendingOutput(number, url) for number, url in rows]

    def outputs_of(self, attempt: Attempt) -> int:
        """Return how many outputs the job has."""
        (count,) = self.db.execute("SELECT COUNT(*) FROM output WHERE attempt = ?", (attempt.key,)).fetchone()
        return int(count)

    def keep(self, attempt: Attempt, file: StoredFile) -> bool:
        """A file is on disk; return whether it was the last one, which makes the item done."""
        self.db.execute(
            "UPDATE output SET path = ?, bytes = ?, sha256 = ? WHERE attempt = ? AND number = ?",
            (file.path, file.bytes, file.sha256, attempt.key, file.output),
        )
        if self.outputs_left(attempt):
            return False
        self._step(attempt, State.DONE)
        return True

    # ---- superseded files ----

    def owner_of(self, path: str) -> tuple[int, int] | None:
        """Return attempt key and output number of the file that the journal has at `path`."""
        row = self.db.execute("SELECT attempt, number FROM output WHERE path = ?", (path,)).fetchone()
        return (row[0], row[1]) if row else None

    def move_file(self, old: str, new: str) -> None:
        """A file of an earlier purchase goes to another place, relative to the run folder."""
        self.db.execute("UPDATE output SET path = ? WHERE path = ?", (new, old))

    # ---- what a resume starts from ----

    def unsettled(self, state: State) -> Iterator[Attempt]:
        """Yield the attempts in `state` of items in the same state, oldest first."""
        for row in self.db.execute(
            f"SELECT {_ATTEMPT} FROM item i JOIN attempt a ON a.item = i.key AND a.state = i.state"
            " WHERE i.state = ? ORDER BY a.key",
            (state,),
        ):
            yield _attempt(row)

    def counts(self) -> dict[State, int]:
        """Return how many asked-for items are in each state, with those that are listed no longer but not settled."""
        rows = self.db.execute(
            "SELECT state, COUNT(*) FROM item WHERE (listed IS NOT NULL AND wanted(id, tags))"
            " OR state IN ('submitting', 'processing', 'ready', 'in_doubt') GROUP BY state"
        )
        return {State(state): count for state, count in rows}

    def spend(self) -> Spend:
        """Return what was charged, refunded and is in doubt over the life of the folder."""
        return spend_of(self.db)

    def durations(self, most: int = 500) -> dict[str, list[float]]:
        """Return the seconds that the latest jobs of each model took, at most `most` jobs in all, oldest first."""
        learned: dict[str, list[float]] = {}
        rows = self.db.execute(
            "SELECT i.model, a.took_ms FROM attempt a JOIN item i ON i.key = a.item WHERE a.took_ms IS NOT NULL"
            " AND a.state IN ('ready', 'done') ORDER BY a.key DESC LIMIT ?",
            (most,),
        ).fetchall()
        for model, took in reversed(rows):
            learned.setdefault(model, []).append(took / 1000)
        return learned

    # ---- inside ----

    def _move(self, item: int, before: State, after: State) -> None:
        moved = self.db.execute("UPDATE item SET state = ? WHERE key = ? AND state = ?", (after, item, before))
        if moved.rowcount != 1:
            raise TransitionError(f"item {item} is not {before} and cannot become {after}")

    def _step(self, attempt: Attempt, after: State, **columns: object) -> None:
        before = _BEFORE[after]
        settled = self.db.execute(
            f"UPDATE attempt SET state = ?{''.join(f', {name} = ?' for name in columns)}"
            f" WHERE key = ? AND state IN ({', '.join('?' * len(before))}) RETURNING item",
            (after, *columns.values(), attempt.key, *before),
        ).fetchone()
        if settled is None:
            raise TransitionError(f"attempt {attempt.key} cannot become {after}")
        moved = self.db.execute(
            f"UPDATE item SET state = ? WHERE key = ? AND state IN ({', '.join('?' * len(before))})",
            (after, settled[0], *before),
        )
        if moved.rowcount != 1:
            raise TransitionError(f"item {settled[0]} cannot become {after}")


_BEFORE: dict[State, tuple[State, ...]] = {
    State.PROCESSING: (State.SUBMITTING, State.IN_DOUBT),
    State.REJECTED: (State.SUBMITTING,),
    State.IN_DOUBT: (State.SUBMITTING,),
    State.READY: (State.PROCESSING,),
    State.FAILED: (State.PROCESSING,),
    State.LOST: (State.PROCESSING, State.READY, State.IN_DOUBT),
    State.DONE: (State.READY,),
}
"""From which states each step may lead."""

_UNLIST = """
UPDATE item SET listed = NULL WHERE listed IS NOT NULL AND NOT EXISTS
  (SELECT 1 FROM stage.item s WHERE s.id = item.id AND s.digest = item.digest)
"""
_LIST = """
INSERT INTO item (id, digest, model, body, tags, path, source, estimated, inputs, listed)
SELECT s.id, s.digest, s.model, s.body, s.tags, s.path, s.source, s.estimated, s.inputs, s.position
FROM stage.item s WHERE true ORDER BY s.position
ON CONFLICT (id, digest) DO UPDATE SET
  listed = excluded.listed, tags = excluded.tags, path = excluded.path, source = excluded.source,
  estimated = excluded.estimated
WHERE (listed, tags, path, source, estimated)
  IS NOT (excluded.listed, excluded.tags, excluded.path, excluded.source, excluded.estimated)
"""
_FORGET = """
DELETE FROM item WHERE listed IS NULL AND state = 'pending' AND NOT EXISTS
  (SELECT 1 FROM attempt a WHERE a.item = item.key)
"""


def spend_of(db: sqlite3.Connection) -> Spend:
    """Return the sums of a journal. Prices are few, so sums are taken over distinct prices, exactly."""

    def total(column: str, where: str = "true") -> Decimal:
        rows = db.execute(f"SELECT {column}, COUNT(*) FROM attempt WHERE {column} IS NOT NULL AND {where} GROUP BY 1")
        return sum((Decimal(price) * count for price, count in rows), Decimal(0))

    return Spend(total("charged"), total("refunded"), total("estimated", "state IN ('in_doubt', 'submitting')"))


def _ending(job: Job, took_ms: int, now: datetime) -> dict[str, object]:
    columns: dict[str, object] = {
        "completed_at": milliseconds(job.completed_at or now),
        "took_ms": took_ms,
        "inference_ms": job.inference_ms,
    }
    if job.expires_at:
        columns["expires_at"] = milliseconds(job.expires_at)
    return columns


def _plain(amount: Decimal) -> str:
    return format(amount, "f")


def _work(row: Sequence[object]) -> Work:
    key, id_, model, body, digest, tags, path, source, estimated, inputs, attempts, listed = row
    item = Item(
        id=str(id_), model=str(model), body=str(body), digest=str(digest),
        tags=tuple(json.loads(str(tags)).items()), path=str(path), source=str(source),
        estimated=Decimal(str(estimated)), inputs=tuple(Input(*i) for i in json.loads(str(inputs))),
    )  # fmt: skip
    return Work(int(str(key)), item, int(str(attempts)), listed is not None)


def _attempt(row: Sequence[object]) -> Attempt:
    key, state, number, estimated, charged, job_id, account, accepted_at, expires_at, polls = row[:10]

    def at(value: object) -> datetime | None:
        return moment(int(str(value))) if value is not None else None

    return Attempt(
        int(str(key)), _work(row[10:]), State(str(state)), int(str(number)), Decimal(str(estimated)),
        Decimal(str(charged)) if charged is not None else None, None if job_id is None else str(job_id),
        str(account), at(accepted_at), at(expires_at), int(str(polls)),
    )  # fmt: skip
