"""The receipts beside the journal: each purchase in both, with the same job and the same price.

The receipts are read after the snapshot of the journal was taken, and are written before each of its commits. So they
know all that it knows, and may know more only behind the bytes that it vouches for.
"""

import sqlite3
from collections.abc import Iterator
from decimal import Decimal

from batchgen.core.records import PAID, State
from batchgen.core.text import printable, usd
from batchgen.journal.queries.balance_rows import Purchase, ReceiptsBeside
from batchgen.journal.recovery.reconcile import vouched_of
from batchgen.ledger.balance.finding import Finding
from batchgen.receipts import FILE_NAME
from batchgen.receipts.reading import ReceiptsReader

_JOURNAL = "journal.sqlite3"


def compare_receipts(db: sqlite3.Connection, reader: ReceiptsReader | None, *, running: bool) -> Iterator[Finding]:
    """Yield where the receipts differ from the journal `db`, whose snapshot was taken before they are read.

    While a run goes on, what they know beyond the journal is no fault.
    """
    vouched = vouched_of(db)
    if reader is None:
        yield Finding(FILE_NAME, "is missing; the next `batchgen run` or `collect` rewrites it from the journal")
        return
    head = next(reader.lines(), None)
    if head is None or head.kind != "receipts":
        yield Finding(f"{FILE_NAME}:1", "is not the header of receipts")
    elif (head.content["run_id"], head.content["generation"]) != (vouched.run_id, vouched.generation):
        yield Finding(f"{FILE_NAME}:1", "is of another run folder, or of another time, than the journal")
    elif reader.sha256(vouched.bytes) != vouched.sha256:
        yield Finding(FILE_NAME, f"its first {vouched.bytes:,} bytes are not those that the journal vouches for")
    beside = ReceiptsBeside(db, vouched.bytes)
    for line in reader.lines():
        if not line.kind:
            yield Finding(f"{FILE_NAME}:{line.number}", "cannot be read")
        beside.take(line)
    yield from _compare(beside, running=running)


def _compare(beside: ReceiptsBeside, *, running: bool) -> Iterator[Finding]:
    for lacking in beside.only_receipts():
        if not (running and lacking.fresh):
            name = _name(lacking.item_id, lacking.number, lacking.job_id)
            why = "; the next `batchgen run` or `collect` takes it over" if lacking.fresh else ""
            yield Finding(f"{FILE_NAME}:{lacking.line}", f"{name} is not in the journal{why}")
    for row in beside.only_journal():
        if not (running and row.fresh):
            where = "is cancelled in" if row.cancelled else "is not in"
            yield Finding(_JOURNAL, f"{_name(row.item_id, row.number, row.job_id)} {where} the receipts")
    for both in beside.differing():
        if not (running and both.fresh):
            name = _name(both.journal.item_id, both.journal.number, both.journal.job_id)
            for difference in _differences(both.journal, both.receipts):
                yield Finding(f"{FILE_NAME}:{both.line}", f"{name}: {difference}")


_ENDS = {State.READY: PAID}
"""By what the receipts say, the states that it can be in; a journal that was restored from them polls again."""


def _differences(ours: Purchase, theirs: Purchase) -> Iterator[str]:
    """Yield what two descriptions of one purchase do not agree on; what one of them does not say is no difference."""
    if ours.item_id != theirs.item_id:
        yield _told("item", ours.item_id, theirs.item_id)
    if ours.number != theirs.number:
        yield _told("attempt", ours.number, theirs.number)
    if ours.model and theirs.model is not None and ours.model != theirs.model:
        yield _told("model", ours.model, theirs.model)
    if theirs.price is not None and Decimal(ours.price or 0) != Decimal(theirs.price):
        yield _told("listed price", ours.price, theirs.price)
    # An acceptance is synced before anything else happens with its job; other lines need not have survived.
    if ours.job_id != theirs.job_id:
        yield _told("job", ours.job_id, theirs.job_id)
    if theirs.state is None:
        return  # its end was recorded in the journal alone, when the system lost what was not synced
    if ours.state not in _ENDS.get(State(theirs.state), frozenset({theirs.state})):
        yield f"it is {ours.state}, in the receipts {theirs.state}"
    elif ours.state != State.PROCESSING:  # a poll may have named another price, which is written when the job ends
        for name, mine, other in (
            ("charge", ours.charged, theirs.charged),
            ("refund", ours.refunded, theirs.refunded),
        ):
            if other is not None and Decimal(mine or 0) != Decimal(other):
                yield _told(name, usd(Decimal(mine or 0)), usd(Decimal(other)))


def _name(item: str, attempt: int, job: str | None) -> str:
    return f"{printable(item, 120)}, attempt {attempt}" + (f", job {printable(job, 100)}" if job else "")


def _told(name: str, ours: object, theirs: object) -> str:
    mine, other = ("unknown" if value is None else printable(str(value), 120) for value in (ours, theirs))
    return f"the {name} is {mine}, in the receipts {other}"
