"""Reconciles journal and receipts whenever a run folder is opened, so that neither is believed alone."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import Enum
from itertools import count
from pathlib import Path
from typing import TypeVar

from batchgen import receipts
from batchgen.core.errors import RunFolderError
from batchgen.core.files import disk_errors
from batchgen.core.records import COMPLETED, UNSUCCESSFUL, State, StoredFile
from batchgen.core.text import plural
from batchgen.journal.binding import bound_line
from batchgen.journal.recovery.aftermath import is_stored
from batchgen.journal.recovery.replay import Replay
from batchgen.receipts import Line, Receipts, Vouched

Evidence = Callable[[sqlite3.Connection], None]
"""Raises RunFolderError if something else in the run folder knows of purchases that this journal lacks."""


def no_evidence(_: sqlite3.Connection) -> None:
    """Accept the journal as it is."""


class Standing(Enum):
    """How the receipts compare with what the journal vouches for."""

    FITTING = "fitting"
    NEW = "new"
    """Neither existed before."""
    MISSING = "missing"
    SHORTER = "shorter"
    OTHER = "other"
    """Longer than the journal knows, or rewritten since: the journal is older, or its last commit was cut short."""


def vouched_of(db: sqlite3.Connection) -> Vouched:
    """Return what the journal says of its receipts."""
    return Vouched(*db.execute("SELECT run_id, generation, bytes, sha256 FROM vouched").fetchone())


def vouch(db: sqlite3.Connection, file: Receipts) -> None:
    """Note how far the receipts go, inside a transaction; all of them are synced."""
    db.execute("UPDATE vouched SET bytes = ?, sha256 = ?", file.size_and_digest())


def name_receipts(db: sqlite3.Connection, run_id: str, generation: int) -> None:
    """Note whose receipts the journal belongs to, and of which generation they are, inside a transaction."""
    db.execute("UPDATE vouched SET run_id = ?, generation = ?", (run_id, generation))


def reconcile(db: sqlite3.Connection, folder: Path, evidence: Evidence) -> tuple[Receipts, tuple[str, ...]]:
    """Open the receipts of a run folder and bring journal and receipts to the same knowledge.

    The journal takes over what only the receipts know: an acceptance under its job id, an intent without an answer as
    in doubt. Receipts that are missing, shorter or of another generation are rewritten from both, unless `evidence`
    objects. Returns the open file, and a sentence for the user about everything unusual.
    Raises RunFolderError, DiskError.
    """
    path, vouched = folder / receipts.FILE_NAME, vouched_of(db)
    with disk_errors(path):
        there = path.exists() and path.stat().st_size > 0
    if not there:
        standing = Standing.MISSING if vouched.generation else Standing.NEW
        return _in_transaction(db, lambda: _rebuilt(db, path, vouched.generation, evidence, _Found(standing)))
    file = Receipts(path)
    try:
        standing, head = _standing(file, vouched)
        if standing is Standing.FITTING and file.bytes == vouched.bytes:
            return file, ()
        result = _in_transaction(db, lambda: _caught_up(db, file, vouched, standing, head=head, evidence=evidence))
    except BaseException:
        file.close()
        raise
    if result[0] is not file:
        file.close()
    return result


_T = TypeVar("_T")


def _in_transaction(db: sqlite3.Connection, work: Callable[[], _T]) -> _T:
    db.execute("BEGIN IMMEDIATE")
    try:
        done = work()
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise
    return done


def _standing(file: Receipts, vouched: Vouched) -> tuple[Standing, Vouched]:
    """Return how the receipts compare, and their run id and generation (the journal's, where they do not say)."""
    sha256 = file.verify(vouched.bytes)
    _, kind, line = next(file.lines(), (0, "", {}))
    if kind == "receipts" and line["receipts"] > receipts.FORMAT_VERSION:
        raise RunFolderError(f"{file.path} was written by a newer batchgen; use that version")
    head = replace(vouched, run_id=line["run_id"], generation=line["generation"]) if kind == "receipts" else vouched
    if vouched.generation and head.run_id != vouched.run_id:
        raise RunFolderError(
            f"{file.path} belongs to another run folder than the journal beside it; put the matching pair in"
            " place, or move the foreign file away"
        )
    if kind == "receipts" and (head.generation, sha256) == (vouched.generation, vouched.sha256):
        return Standing.FITTING, head
    return Standing.SHORTER if file.bytes < vouched.bytes else Standing.OTHER, head


@dataclass(frozen=True, slots=True)
class _Found:
    """The result of reading receipts."""

    standing: Standing
    taken: Counter[str] = field(default_factory=Counter)
    """By state, the items about which they knew more than the journal."""
    damaged: int = 0
    """Lines that could not be read."""


def _caught_up(
    db: sqlite3.Connection, file: Receipts, vouched: Vouched, standing: Standing, *, head: Vouched, evidence: Evidence
) -> tuple[Receipts, tuple[str, ...]]:  # fmt: skip
    """Replay the lines that the journal does not vouch for; where that is not enough, rewrite the whole file."""
    fitting = standing is Standing.FITTING
    # A journal that knew no receipts is the older of the two, and takes over the run id that they have.
    db.execute("UPDATE vouched SET run_id = ?", (head.run_id,))
    replay, damaged = Replay(db, newer=fitting), 0
    for _, kind, line in file.lines(vouched.bytes if fitting else 0):
        damaged += not kind
        replay.take(kind, line)
    found = _Found(standing, replay.finish(is_stored(db, file.path.parent)), damaged)
    if not fitting or damaged:
        return _rebuilt(db, file.path, max(head.generation, vouched.generation), evidence, found, old=file)
    file.sync()
    vouch(db, file)
    return file, _notices_of(found)


def _rebuilt(
    db: sqlite3.Connection, path: Path, generation: int, evidence: Evidence, found: _Found,
    *, old: Receipts | None = None,
) -> tuple[Receipts, tuple[str, ...]]:  # fmt: skip
    """Rewrite the receipts from the journal, as the next generation; `old` is the file that is there now."""
    if found.standing in (Standing.MISSING, Standing.SHORTER):
        evidence(db)
    kept = _kept_aside(old) if old is not None and found.damaged else None
    receipts.replace_with(path, journal_as_receipts(db, vouched_of(db).run_id, generation + 1))
    file = Receipts(path)
    try:
        file.verify(0)
        db.execute("UPDATE vouched SET generation = ?", (generation + 1,))
        vouch(db, file)
    except BaseException:
        file.close()
        raise
    return file, _notices_of(found, kept)


def _kept_aside(file: Receipts) -> Path:
    """Copy a file with lines that cannot be read: it is evidence."""
    names = (file.path.with_name(f"{file.path.name}.damaged-{number}") for number in count(1))
    aside = next(path for path in names if not path.exists())
    file.copy_to(aside)
    return aside


def _notices_of(found: _Found, kept: Path | None = None) -> tuple[str, ...]:
    name, notices = receipts.FILE_NAME, []
    if found.taken:
        stand = ", ".join(f"{number:,} {state.replace('_', ' ')}" for state, number in sorted(found.taken.items()))
        notices.append(
            f"{name} knew more about {plural(found.taken.total(), 'item')} than the journal, which has taken it over"
            f" (now {stand}); nothing is bought again"
        )
    if kept is not None:
        notices.append(f"{plural(found.damaged, 'line')} of {name} could not be read; the file was kept as {kept.name}")
    if found.standing is Standing.MISSING:
        notices.append(f"{name} was missing; it was rewritten from the journal")
    elif found.standing is Standing.SHORTER:
        notices.append(f"{name} was shorter than the journal expects, perhaps an older copy; it was rewritten")
    return tuple(notices)


# ---- the journal as receipts --------------------------------------------------------------------------------------


def journal_as_receipts(db: sqlite3.Connection, run_id: str, generation: int) -> Iterator[Line]:
    """Yield what the journal knows as lines of receipts."""
    yield receipts.header(run_id, generation)
    facts = dict(db.execute("SELECT name, value FROM meta"))
    if "api" in facts:
        yield bound_line(facts)
    for row in db.execute(_ATTEMPTS):
        yield from _attempt_as_receipts(db, *row)


_ATTEMPTS = """
SELECT a.key, a.purchase, i.id, i.digest, a.number, i.model, a.estimated, a.reserved, a.account, a.catalog_version,
  a.submitted_at, a.state, a.job_id, a.charged, a.refunded, a.accepted_at, a.expires_at, a.completed_at
FROM attempt a JOIN item i ON i.key = a.item ORDER BY a.key
"""


def _attempt_as_receipts(  # noqa: PLR0917 - a row
    db: sqlite3.Connection, key: int, purchase: str, item: str, digest: str, number: int, model: str, estimated: str,
    reserved: str, account: str, catalog_version: str, submitted: int, state: str, job: str | None, charged: str | None,
    refunded: str | None, accepted: int | None, expires: int | None, completed: int | None,
) -> Iterator[Line]:  # fmt: skip
    def money(text: str | None) -> Decimal | None:
        return None if text is None else Decimal(text)

    yield receipts.intent(
        purchase, item=item, digest=digest, attempt=number, model=model, price=Decimal(estimated),
        reserved=Decimal(reserved), account=account, tables=catalog_version, at=submitted,
    )  # fmt: skip
    end = completed or accepted or submitted
    if job is None:
        if state == State.LOST:
            yield receipts.settled(purchase, "charged", end, charged=money(charged))
        elif state == State.REJECTED:
            yield receipts.ended(purchase, State.REJECTED, end)
        return
    yield receipts.accepted(
        purchase, item=item, attempt=number, job=job, charged=Decimal(charged or estimated), expires=expires,
        at=accepted or submitted,
    )  # fmt: skip
    if state in UNSUCCESSFUL:
        yield receipts.ended(purchase, State(state), end, charged=money(charged), refunded=money(refunded))
    elif state in COMPLETED:
        outputs = db.execute(
            "SELECT number, path, bytes, sha256 FROM output WHERE attempt = ? ORDER BY number", (key,)
        ).fetchall()
        yield receipts.ended(purchase, State.READY, end, charged=money(charged), outputs=len(outputs))
        for output in outputs:
            if output[1] is not None:
                yield receipts.stored(purchase, StoredFile(*output))
