"""When money moved: a charge on the day of its acceptance, its refund on the day on which it was given."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from batchgen.core.errors import UsageError
from batchgen.ledger.charges import Charge
from batchgen.ledger.period import Period


class Posting(NamedTuple):
    """A charge, or its refund, at its time. Everything that is counted of an attempt is counted with its charge."""

    charge: Charge
    at: datetime | None
    """None: nothing was ever sent."""
    is_refund: bool


Group = tuple[str | None, ...]
"""A name for each `--by`; None where there is none (no such tag, never sent)."""
GroupKey = Callable[[Posting], Group]
TAG = "tag:"


def postings(charge: Charge) -> Iterator[Posting]:
    """Yield what an attempt moved: its charge (where it is in doubt, when it was submitted), then its refund."""
    yield Posting(charge, charge.charged_at, is_refund=False)
    if charge.refunded:
        yield Posting(charge, charge.refunded_at or charge.completed_at or charge.charged_at, is_refund=True)


def group_key(by: Sequence[str], period: Period) -> GroupKey:
    """Return the rule behind one or two `--by`: model, day, month, state, run or tag:NAME. Raises UsageError."""
    if len(by) > _MOST or len(set(by)) < len(by):
        raise UsageError(f"--by {' --by '.join(by)}: give it once, or twice for groups within groups")
    keys = [_key(name, period) for name in by]
    if len(keys) == 1:
        (only,) = keys
        return lambda posting: (only(posting),)
    return lambda posting: tuple(key(posting) for key in keys)


_MOST = 2


def _key(by: str, period: Period) -> Callable[[Posting], str | None]:
    if by.startswith(TAG) and by != TAG:
        tag = by.removeprefix(TAG)
        return lambda posting: posting.charge.tags.get(tag)
    keys: dict[str, Callable[[Posting], str | None]] = {
        "model": lambda posting: posting.charge.model,
        "day": lambda posting: period.day(posting.at),
        "month": lambda posting: period.month(posting.at),
        "state": lambda posting: posting.charge.state,
        "run": lambda posting: posting.charge.run,
    }
    if by not in keys:
        raise UsageError(f"--by {by}: choose {', '.join(keys)} or {TAG}NAME")
    return keys[by]
