"""A comparison as text, JSON and Markdown. What manifests hold is hostile text here: it is bounded and escaped."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from batchgen.core.text import plural, printable, usd
from batchgen.diff.compare import Changed, Comparison, Money, change_of
from batchgen.item_table import Difference, Kind

FORMAT_VERSION = 1
_SHOWN = 100
"""Differences that are listed one by one, except in JSON."""
_LONGEST = 300
_TICKS = re.compile("`+")
_MARK = {Kind.ADDED: "+", Kind.GONE: "-", Kind.CHANGED: "~", Kind.RENAMED: ">", Kind.RELABELLED: "="}


def as_text(comparison: Comparison, old: str, new: str) -> str:
    """Return the comparison for a terminal."""
    lines = [f"{printable(old)} → {printable(new)}"]
    lines += [f"  {kind:<10} {count:>9,}" for kind, count in comparison.counts.items() if count]
    if not any(comparison.counts.values()):
        lines.append("  no differences")
    lines += [_line(difference) for difference in _first(comparison)]
    lines += _more(comparison)
    lines += ["", f"{'':<32} {'before':>14} {'after':>14} {'difference':>14}"]
    rows = [(model.model, model.before, model.after) for model in comparison.by_model]
    lines += [
        f"{name:<32} {_dollars(before):>14} {_dollars(after):>14} {_difference(before, after):>14}"
        for name, before, after in [*rows, ("total", comparison.before, comparison.after)]
    ]
    return "\n".join([*lines, *_notes(comparison)])


def as_markdown(comparison: Comparison, old: str, new: str) -> str:
    """Return the comparison for a comment on a pull request: bounded, and with nothing of it taken for Markdown.

    The first line is a hidden marker with the manifest's name, by which a program finds its comment of before.
    """
    counted = [f"{count:,} {kind}" for kind, count in comparison.counts.items() if count]
    lines = [
        f"<!-- batchgen diff {comparison.name} -->",
        f"**{_code(old)} → {_code(new)}**: {', '.join(counted) or 'no differences'}",
        "",
        "| model | items | before | after | difference |",
        "|---|---:|---:|---:|---:|",
    ]
    rows = [(_code(model.model), model.before, model.after) for model in comparison.by_model]
    lines += [
        f"| {name} | {before.items:,} → {after.items:,} | {_dollars(before)} | {_dollars(after)}"
        f" | {_difference(before, after)} |"
        for name, before, after in [*rows, ("**total**", comparison.before, comparison.after)]
    ]
    if any(comparison.counts.values()):
        block = [*map(_line, _first(comparison)), *_more(comparison)]
        # Nothing counts as markup in a block of code, and no line of it is as many backticks as its fence.
        fence = "`" * max(3, 1 + max((len(run) for line in block for run in _TICKS.findall(line)), default=0))
        lines += ["", "<details><summary>Items</summary>", "", fence, *block, fence, "", "</details>"]
    return "\n".join([*lines, *_notes(comparison)])


def json_lines(comparison: Comparison, old: str, new: str) -> Iterator[str]:
    """Yield the comparison as JSON, with a line for each item, so that a million of them need no memory."""
    head = {
        "format_version": FORMAT_VERSION,
        "old": old,
        "new": new,
        **{str(kind): count for kind, count in comparison.counts.items()},
        "by_model": [{"model": model.model, **_money_json(model.before, model.after)} for model in comparison.by_model],
        "total": _money_json(comparison.before, comparison.after),
    }
    begun = f'{json.dumps(head, indent=2).removesuffix("}").rstrip()},\n  "differences": ['
    for difference in comparison:
        yield begun
        begun = f"    {json.dumps(_difference_json(difference), ensure_ascii=False)},"
    yield begun.removesuffix(",")
    yield "  ]\n}"


def _money_json(before: Money, after: Money) -> dict[str, Any]:
    return {
        "items_before": before.items,
        "items_after": after.items,
        "before_usd": None if before.unknown else usd(before.known),
        "after_usd": None if after.unknown else usd(after.known),
        "difference_usd": None if before.unknown or after.unknown else usd(after.known - before.known),
    }


def _difference_json(difference: Difference) -> dict[str, Any]:
    before, after = difference.before, difference.after
    present = after or before
    assert present is not None  # noqa: S101 - for mypy: each difference has a side
    return {
        "difference": str(difference.kind),
        "id": present.id,
        **({"before": before.id} if before is not None and difference.kind is Kind.RENAMED else {}),
        "model": present.model,
        "before_usd": None if before is None or before.estimated is None else usd(Decimal(before.estimated)),
        "after_usd": None if after is None or after.estimated is None else usd(Decimal(after.estimated)),
        "changed": [
            {
                "name": change.name, "from": change.before, "to": change.after,
                **({"source_changed": True} if change.by_source else {}),
            }
            for change in change_of(difference)
        ],
    }  # fmt: skip


def _first(comparison: Comparison) -> Iterator[Difference]:
    for number, difference in enumerate(comparison):
        if number == _SHOWN:
            return
        yield difference


def _more(comparison: Comparison) -> list[str]:
    rest = sum(comparison.counts.values()) - _SHOWN
    return [f"and {rest:,} more: `--json` lists all"] if rest > 0 else []


def _line(difference: Difference) -> str:
    before, after = difference.before, difference.after
    present = after or before
    assert present is not None  # noqa: S101 - for mypy: each difference has a side
    name = f"{before.id} → {present.id}" if before is not None and before.id != present.id else present.id
    parts = [
        f"{_MARK[difference.kind]} {name}",
        present.model,
        _prices(difference),
        *map(_shown, change_of(difference)),
    ]
    return printable("  ".join(part for part in parts if part), _LONGEST)


def _prices(difference: Difference) -> str:
    sides = [
        "unknown" if side.estimated is None else f"${usd(Decimal(side.estimated))}"
        for side in (difference.before, difference.after)
        if side is not None
    ]
    return sides[0] if len(set(sides)) == 1 else " → ".join(sides)


def _shown(change: Changed) -> str:
    if change.by_source:
        return f"{change.name}: its source {_value(change.after)} has changed"
    return f"{change.name}: {_value(change.before)} → {_value(change.after)}"


def _value(value: Any) -> str:
    text = "not set" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return printable(text, 80)


def _dollars(money: Money) -> str:
    if not money.unknown:
        return f"${usd(money.known)}"
    return "unknown" if money.unknown == money.items else f"${usd(money.known)} + unknown"


def _difference(before: Money, after: Money) -> str:
    if before.unknown or after.unknown:
        return "unknown"
    amount = after.known - before.known
    return f"{'-' if amount < 0 else '+'}${usd(abs(amount))}" if amount else "$0.00"


def _notes(comparison: Comparison) -> list[str]:
    unknown = max(comparison.before.unknown, comparison.after.unknown)
    return ["", f"note: the price of {plural(unknown, 'item')} is unknown and in no sum"] if unknown else []


def _code(text: str) -> str:
    """Return text as Markdown that shows it as it is: references to characters never count as markup."""
    shown = "".join(c if c.isalnum() or c == " " else f"&#{ord(c)};" for c in printable(text, _LONGEST))
    return f"<code>{shown}</code>"
