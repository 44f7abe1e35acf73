"""A plan item by item: as each would be sent, and what has changed since it was bought."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from batchgen.core.records import LIVE
from batchgen.core.text import dollars, printable, usd_or_null
from batchgen.journal.chains import with_references
from batchgen.journal.queries.comparison import ItemStanding

_LONGEST = 20_000


@dataclass(frozen=True, slots=True)
class Change:
    """A parameter that differs from what was bought before."""

    name: str
    before: Any
    """None: it was not set."""
    after: Any
    """None: it is not set any more."""
    by_source: bool = False
    """Whether the same output of the same item is needed, and that item has changed."""


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One item, as it would be sent."""

    id: str
    state: str
    """new, changed, renamed, waiting, again, in_flight, or a state as in the ledger."""
    model: str
    estimated_usd: Decimal | None
    """USD; None if it is unknown."""
    params: Mapping[str, Any]
    """Without model and prompt. `${items.ID.output.N}` stands for another item's output."""
    prompt: str
    buys: bool
    """Whether a run would buy it."""
    changed: tuple[Change, ...] = ()
    """How it differs from what was bought before under its id."""
    before: str | None = None
    """The id under which it was bought, if it was renamed."""


def plan_row(item: ItemStanding) -> PlanRow:
    """Return the row of an item."""
    body = json.loads(with_references(item.body, item.inputs))
    changed: tuple[Change, ...] = ()
    if item.bought_body is not None:
        before = json.loads(with_references(item.bought_body, item.bought_inputs or "[]"))
        changed = tuple(_changes(before, body, json.loads(item.bought_body), json.loads(item.body)))
    model, prompt = body.pop("model", item.model), body.pop("prompt", "")
    state = "in_flight" if item.standing in LIVE else item.standing
    return PlanRow(item.id, state, model, item.estimated, body, prompt, item.buys, changed, item.bought_as)


def _changes(
    before: Mapping[str, Any], after: Mapping[str, Any], digested_before: Mapping[str, Any], digested: Mapping[str, Any]
) -> Iterator[Change]:
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            yield Change(name, before.get(name), after.get(name))
        elif digested_before.get(name) != digested.get(name):
            yield Change(name, before.get(name), after.get(name), by_source=True)


def row_json(row: PlanRow) -> dict[str, Any]:
    """Return a row in the shape of `plan --items --json`."""
    return {
        "id": row.id,
        "state": row.state,
        "model": row.model,
        "estimated_usd": usd_or_null(row.estimated_usd),
        "params": row.params,
        "prompt": row.prompt,
        "buys": row.buys,
        "changed": [_change_json(change) for change in row.changed],
        **({} if row.before is None else {"before": row.before}),
    }


def _change_json(change: Change) -> dict[str, Any]:
    by_source = {"source_changed": True} if change.by_source else {}
    return {"name": change.name, "from": change.before, "to": change.after, **by_source}


def format_row(row: PlanRow) -> str:
    """Return a row for people: one line with state, id, model and price, then what has changed, and what is sent."""
    lines = [f"{row.state:<10} {row.id:<40} {row.model:<30} {dollars(row.estimated_usd):>9}".rstrip()]
    if row.before is not None:
        lines.append(f"bought as {row.before}")
    changed = {change.name: change for change in row.changed}
    before = changed.pop("prompt", None)
    lines += map(_format_change, changed.values())
    if unchanged := [f"{name}: {_shown(value)}" for name, value in row.params.items() if name not in changed]:
        lines.append(", ".join(unchanged))
    if before is not None:
        lines += _block("prompt before", before.before or "not set")
    lines += _block("prompt", row.prompt)
    return "\n           ".join(lines)


def _format_change(change: Change) -> str:
    if change.by_source:
        return f"{change.name}: {_shown(change.after)}, whose item has changed"
    return f"{change.name}: {_shown(change.before)} → {_shown(change.after)}"


def _block(name: str, text: str) -> list[str]:
    """Return a text as it is, over several lines where it has them."""
    first, *others = [printable(line, _LONGEST) for line in text.splitlines()] or [""]
    return [f"{name}: {first}", *(f"  {line}" for line in others)]


def _shown(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, str):
        return printable(value, _LONGEST)
    return printable(json.dumps(value, ensure_ascii=False), _LONGEST)
