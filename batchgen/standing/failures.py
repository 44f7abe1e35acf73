"""What did not succeed in a run, grouped by cause, and the command that buys again what can be repaired."""

import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from batchgen.core.records import State
from batchgen.core.text import plural, printable, usd
from batchgen.journal.queries.failures import FailureRow, failure_rows, retry_cost
from batchgen.standing.commands import continuing

_SHOWN = 10
"""Causes that are listed one by one in a table."""
_MOST = 100
"""Causes that are kept apart; the rest is summed up."""
_PARAMETERS_SHOWN = 5
_LONGEST = 160
_PARAMETER = re.compile(r"\((\w{1,60})(?:[.\[/][\w.\[\]/]{0,40})?: ")
# What differs from item to item in messages of one cause: ids, numbers, what is quoted.
_OWN = re.compile(r"'[^']*'|\"[^\"]*\"|\b(?=\w*\d)[\w-]{8,}\b|\d+")


@dataclass(frozen=True, slots=True)
class Cause:
    """Items that did not succeed for the same reason."""

    state: State
    cause: str
    """The first message of its kind."""
    model: str
    parameter: str
    """What the API found wrong; empty if it named nothing."""
    items: int
    estimated: Decimal
    """What buying all of them again would cost, USD."""
    lost: Decimal
    """What they cost and did not bring, USD."""


@dataclass(frozen=True, slots=True)
class Repair:
    """What can be bought again, and for how much."""

    command: str
    items: int
    estimated: Decimal
    """USD."""


@dataclass(frozen=True, slots=True)
class Failures:
    """What did not succeed in a run."""

    causes: tuple[Cause, ...] = ()
    """The most items first."""
    more: int = 0
    """Items of further causes."""
    repair: Repair | None = None
    """For items that failed and were refunded. None: there are none."""
    lost: Repair | None = None
    """For items that were paid for and lost: buying them again means to pay twice. None: there are none."""


NO_FAILURES = Failures()


def failures_of(db: sqlite3.Connection, facts: Mapping[str, str], only: Sequence[str] = ()) -> Failures:
    """Return what did not succeed of the selected items, from a journal and its facts; any connection will do.

    `only` are the patterns by which they were selected, for the commands.
    """
    causes, more = group_causes(failure_rows(db))
    command = continuing(facts, only)

    def repair(state: State, *options: str) -> Repair | None:
        items, cost = retry_cost(db, {state}) if any(cause.state is state for cause in causes) else (0, Decimal(0))
        words = " ".join([command, "--retry", state.value, *options])
        return Repair(words, items, cost) if items else None

    return Failures(causes, more, repair(State.FAILED), repair(State.LOST, "--yes"))


def group_causes(rows: Iterable[FailureRow]) -> tuple[tuple[Cause, ...], int]:
    """Return the causes, the most items first, and how many items have further ones.

    Messages that differ only in ids, numbers and quoted words are one cause.
    """
    groups: dict[tuple[str, ...], Cause] = {}
    more = 0
    for row in rows:
        found = _PARAMETER.search(row.message)
        parameter = found[1] if found and row.state == State.REJECTED else ""
        key = (row.state, row.model, row.error_type, parameter, _OWN.sub("#", row.message))
        known = groups.get(key)
        if known is None and len(groups) >= _MOST:
            more += row.items
            continue
        if known is None:
            text = printable(row.message or row.error_type, _LONGEST)
            known = Cause(State(row.state), text, row.model, parameter, 0, Decimal(0), Decimal(0))
        groups[key] = replace(
            known,
            items=known.items + row.items,
            estimated=known.estimated + Decimal(row.estimated) * row.items,
            lost=known.lost + (Decimal(row.charged) * row.items if row.state == State.LOST else 0),
        )
    return tuple(sorted(groups.values(), key=lambda c: (-c.items, c.state, c.model, c.cause))), more


def failures_json(failures: Failures) -> dict[str, Any]:
    """Return the entries about failures of `summary.json`, `run --json` and `status --json`."""
    return {
        "failures": [
            {
                "state": cause.state.value,
                "cause": cause.cause,
                "model": cause.model,
                "parameter": cause.parameter or None,
                "items": cause.items,
                "estimated_usd": usd(cause.estimated),
                "lost_usd": usd(cause.lost),
            }
            for cause in failures.causes
        ],
        "other_failures": failures.more,
        "repair": _repair_json(failures.repair),
        "repair_lost": _repair_json(failures.lost),
    }


def _repair_json(repair: Repair | None) -> dict[str, Any] | None:
    if repair is None:
        return None
    return {"command": repair.command, "items": repair.items, "estimated_usd": usd(repair.estimated)}


def format_failures(failures: Failures) -> list[str]:
    """Return the causes for people, and what repairs them; no lines if there are none."""
    if not failures.causes:
        return []
    lines = [f"  {'':<10} {'items':>7} {'again':>10}  {'model':<30} cause"]
    for cause in failures.causes[:_SHOWN]:
        where = f"`{printable(cause.parameter, 60)}`: " if cause.parameter else ""
        price = f"${usd(cause.estimated)}"
        lines.append(f"  {cause.state:<10} {cause.items:>7,} {price:>10}  {cause.model:<30} {where}{cause.cause}")
    rest = sum(cause.items for cause in failures.causes[_SHOWN:]) + failures.more
    if rest:
        lines.append(f"  {'and':<10} {rest:>7,} of other causes: see the ledger")
    return lines + list(map("repair: {}".format, _repairs(failures)))


def _repairs(failures: Failures) -> Iterator[str]:
    """Yield what repairs failed, rejected and lost items, a sentence each."""
    if repair := failures.repair:
        yield f"`{repair.command}` buys {plural(repair.items, 'item')} again for ${usd(repair.estimated)}"
    rejected = [cause for cause in failures.causes if cause.state is State.REJECTED]
    if parameters := sorted({cause.parameter for cause in rejected if cause.parameter}):
        shown = ", ".join(f"`{printable(name, 60)}`" for name in parameters[:_PARAMETERS_SHOWN])
        more = ", …" if len(parameters) > _PARAMETERS_SHOWN else ""
        yield f"fix {shown}{more} of rejected items in the manifest; the next run buys what was edited"
    if any(not cause.parameter for cause in rejected):
        yield "rejected items were not charged; `--retry rejected` sends them again as they are"
    if lost := failures.lost:
        yield (
            "lost items were paid for; every `run` and `collect --lost` asks for them once more, at no cost."
            f" `{lost.command}` buys {plural(lost.items, 'lost item')} again for ${usd(lost.estimated)}: you pay twice"
        )
