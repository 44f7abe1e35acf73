"""The values that the journal returns, and how they are read from its rows."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from batchgen.core.records import Input, Item, State
from batchgen.journal.schema import moment
from batchgen.policy.absence import NEVER, Absence
from batchgen.policy.budget import Charge
from batchgen.policy.budget_port import Grant


@dataclass(frozen=True, slots=True)
class Work:
    """An item with its place in the journal."""

    key: int
    item: Item
    attempts: int
    requested: bool = True


@dataclass(frozen=True, slots=True)
class Attempt:
    """One purchase, current or past: what polling and downloading need to know."""

    key: int
    work: Work
    state: State
    number: int
    estimated: Decimal
    """USD, from the parameter tables."""
    reserved: Decimal
    """USD that it was expected to cost when it was sent; counts until its charge is known."""
    charged: Decimal | None
    job_id: str | None
    account: str
    accepted_at: datetime | None
    expires_at: datetime | None
    polls: int
    purchase: str = ""
    """Its name in the receipts."""
    price_key: str = ""
    """What its price depends on (`batchgen.policy.budget.Prices`); empty if an older version bought it."""
    named_price: Decimal | None = None
    """The price that the API named last, USD."""
    surplus: Decimal = Decimal(0)
    """By how much it named a higher price before, USD."""
    absence: Absence = NEVER
    """The answers so far that said that its job is unknown."""
    scale: str | None = None
    """The size that a simulator draws in, as a part of what was ordered; None: no simulator says so."""

    @property
    def grant(self) -> Grant:
        """The money that it may spend, while it is on its way."""
        return Grant(self.work.key, self.price_key, self.reserved)

    @property
    def charge(self) -> Charge:
        """What an accepted attempt cost."""
        return Charge(self.charged or Decimal(0), self.surplus)


@dataclass(frozen=True, slots=True)
class PurchaseName:
    """What a purchase is called in a journal; None where that journal is to find a name of its own."""

    key: int | None = None
    """Of the attempt."""
    purchase: str | None = None
    """In the receipts."""
    number: int | None = None
    """Of the attempt, among those of its item's id."""


UNNAMED = PurchaseName()


@dataclass(frozen=True, slots=True)
class PendingOutput:
    """An output that is not on disk yet."""

    number: int
    url: str


@dataclass(frozen=True, slots=True)
class Superseded:
    """A file that was moved aside."""

    path: str
    """Where it is, relative to the run folder."""
    item_path: str
    """Where its item's files belong, as in `Item.path`."""
    output: int
    outputs: int
    """How many its job has."""


@dataclass(frozen=True, slots=True)
class ItemResult:
    """How an item has ended."""

    id: str
    state: State
    model: str
    files: tuple[Path, ...]
    """On disk, in the order of the outputs."""
    job_id: str | None
    charged_usd: Decimal
    """What its last attempt was charged."""
    refunded_usd: Decimal
    """Negative or 0."""
    in_doubt_usd: Decimal
    """What may have been charged."""
    error: str | None
    """Why it did not succeed, or what was found about its files. May hold what others wrote: show it as `printable`."""


@dataclass(frozen=True, slots=True)
class Spend:
    """What the run folder has cost since it began, in USD."""

    charged: Decimal = Decimal(0)
    refunded: Decimal = Decimal(0)
    in_doubt: Decimal = Decimal(0)
    """What these requests were expected to cost."""
    surplus: Decimal = Decimal(0)
    """What counts beyond the charges: by how much the API named higher prices before the ones that stand."""


UNKNOWN_BODY = "{}"
"""The body of an item that is known from the receipts alone, until a manifest that asks for it brings the real one."""
UNKNOWN_DIGEST = ""
"""The digest of an item of which not even that is known, until a manifest that has its id brings it."""

WORK_COLUMNS = (
    "i.key, i.id, i.model, i.body, i.digest, i.tags, i.path, i.source, i.estimated, i.inputs, i.expect,"
    " i.attempts, i.position"
)
ATTEMPT_COLUMNS = (
    "a.key, a.state, a.number, a.estimated, a.reserved, a.charged, a.job_id, a.account, a.accepted_at, a.expires_at,"
    " a.polls, a.purchase, a.price_key, a.named_price, a.surplus, a.misses, a.missed_ms, a.scale, " + WORK_COLUMNS
)


def is_last(attempt: str, item: str) -> str:
    """Return the SQL for whether an attempt is the last one of its item.

    Not `item.attempts`: the number of a request that was taken back, since it was certainly not charged, stays used.
    """
    return f"{attempt}.number = (SELECT MAX(z.number) FROM attempt z WHERE z.item = {item}.key)"


def read_work(row: Sequence[object]) -> Work:
    """Return the work in a row of `WORK_COLUMNS`."""
    key, id_, model, body, digest, tags, path, source, estimated, inputs, expect, attempts, position = row
    item = Item(
        id=str(id_), model=str(model), body=str(body), digest=str(digest),
        tags=tuple(json.loads(str(tags)).items()), path=str(path), source=str(source),
        estimated=Decimal(str(estimated)), inputs=tuple(Input(*i) for i in json.loads(str(inputs))),
        expect=None if expect is None else str(expect),
    )  # fmt: skip
    return Work(int(str(key)), item, int(str(attempts)), position is not None)


def read_attempt(row: Sequence[object]) -> Attempt:
    """Return the attempt in a row of `ATTEMPT_COLUMNS`."""
    key, state, number, estimated, reserved, charged, job_id, account, accepted_at, expires_at = row[:10]
    polls, purchase, price_key, named_price, surplus, misses, missed_ms, scale = row[10:18]

    def at(value: object) -> datetime | None:
        return moment(int(str(value))) if value is not None else None

    def amount(value: object) -> Decimal | None:
        return Decimal(str(value)) if value is not None else None

    return Attempt(
        int(str(key)), read_work(row[18:]), State(str(state)), int(str(number)), Decimal(str(estimated)),
        Decimal(str(reserved)), amount(charged),
        None if job_id is None else str(job_id), str(account), at(accepted_at), at(expires_at), int(str(polls)),
        str(purchase), str(price_key), amount(named_price), Decimal(str(surplus)),
        Absence(int(str(misses)), int(str(missed_ms)) / 1000), None if scale is None else str(scale),
    )  # fmt: skip
