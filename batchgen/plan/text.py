"""A plan as text and as JSON."""

from collections.abc import Iterable
from typing import Any

from batchgen.core.records import LIVE, UNSUCCESSFUL, State
from batchgen.core.text import dollars, plural, printable, usd_or_null
from batchgen.journal import money_mark
from batchgen.journal.requested.renames import Renames
from batchgen.plan.plan import Plan

FORMAT_VERSION = 1
_VALUES_SHOWN = 12
"""A tag with more values than this does not group costs in a useful way; it is left out of the text."""


def plan_json(plan: Plan) -> dict[str, Any]:
    """Return the plan in the shape of `plan --json`."""
    return {
        "format_version": FORMAT_VERSION,
        "name": plan.name,
        "items": plan.items,
        "new": plan.count(State.PENDING) - plan.changed - plan.renamed.items - plan.waiting,
        "changed": plan.changed,
        "renamed": plan.renamed.items,
        "waiting": plan.waiting,
        "done": plan.count(State.DONE),
        "in_flight": plan.count(*LIVE),
        "failed": plan.count(State.FAILED),
        "rejected": plan.count(State.REJECTED),
        "lost": plan.count(State.LOST),
        "in_doubt": plan.count(State.IN_DOUBT),
        "skipped": plan.count(State.SKIPPED),
        "stale": plan.stale,
        "estimated_usd": usd_or_null(plan.estimated),
        "by_model": [
            {"model": model, "items": count, "estimated_usd": usd_or_null(cost)}
            for model, (count, cost) in plan.buy.items()
        ],
        "by_tag": [
            {"tag": name, "value": value, "items": count, "estimated_usd": usd_or_null(cost)}
            for name, values in plan.by_tag.items()
            for value, (count, cost) in values.items()
        ],
        "simulated": plan.simulated,
    }


_WORDS = ("new", "changed", "renamed", "waiting", "done", "in_flight", *UNSUCCESSFUL.ordered, "in_doubt", "skipped")


def format_plan(
    plan: Plan, left_out: Iterable[tuple[str, str, int]] = (), unseeded: Iterable[tuple[str, int, bool]] = ()
) -> str:
    """Return the plan for people. `left_out` and `unseeded` as in `Manifest`."""
    shown = plan_json(plan)
    lines = [f"{plan.name}: {plural(plan.items, 'item')}{money_mark(simulated=plan.simulated)}"]
    lines += [f"  {word.replace('_', ' '):<10} {shown[word]:>10,}" for word in _WORDS if shown[word]]
    lines += ["", f"to buy: {plural(plan.to_buy, 'item')} for {dollars(plan.estimated)}"]
    lines += [f"  {model:<32} {count:>9,} {dollars(cost):>12}" for model, (count, cost) in plan.buy.items()]
    for name, values in plan.by_tag.items():
        if len(values) <= _VALUES_SHOWN:
            lines.append(f"by tag {printable(name)}:")
            lines += [
                f"  {printable(value):<32} {count:>9,} {dollars(cost):>12}" for value, (count, cost) in values.items()
            ]
    for decision in decisions(plan):
        lines += ["", decision]
    lines += [f"note: {note}" for note in plan_notes(plan, left_out, unseeded)]
    return "\n".join(lines)


def decisions(plan: Plan) -> list[str]:
    """Return, a sentence each, what somebody has to decide about this plan."""
    sentences = purchases_again(plan)
    if plan.renamed.items:
        sentences.append(
            f"{renames_text(plan.renamed)}: `run --renamed adopt` keeps the purchases, `--renamed buy` buys again"
        )
    if plan.waiting:
        sentences.append(
            f"{plural(plan.waiting, 'item')} {'waits' if plan.waiting == 1 else 'wait'} until outputs are picked"
            f" (`batchgen picks`), and would then cost {dollars(plan.waiting_usd)}"
        )
    return sentences


def purchases_again(plan: Plan) -> list[str]:
    """Return, a sentence each, what a run would buy though it was bought before."""
    sentences = []
    if plan.changed:
        sentences.append(
            f"{plural(plan.changed, 'item')} changed since purchase; buying again costs {dollars(plan.changed_usd)}"
        )
    if plan.lost_again:
        sentences.append(
            f"{plural(plan.lost_again, 'lost item')}, already paid for, will be bought again: you pay twice"
        )
    if plan.source_expired:
        sentences.append(
            f"{plural(plan.source_expired, 'finished item')}, whose files the provider no longer has, will be bought"
            " again: you pay twice"
        )
    if plan.again:
        sentences.append(f"{plural(plan.again, 'finished item')} will be bought again")
    return sentences


def plan_notes(
    plan: Plan, left_out: Iterable[tuple[str, str, int]] = (), unseeded: Iterable[tuple[str, int, bool]] = ()
) -> list[str]:
    """Return, a sentence each, what is worth knowing about this plan. `left_out` and `unseeded` as in `Manifest`."""
    notes = []
    if plan.sources:
        come = "item comes" if plan.sources == 1 else "items come"
        notes.append(f"{plan.sources:,} {come} along: selected items need their outputs")
    if plan.stale:
        notes.append(
            f"{plural(plan.stale, 'finished item')} {'was' if plan.stale == 1 else 'were'} made with an output that has"
            " been bought again since (stale); `run --again ID` buys an item again"
        )
    if plan.unlisted:
        notes.append(
            f"{plural(plan.unlisted, 'item')} bought before, but no longer in the manifest; an item without an id"
            " becomes a new item when its prompt or a default changes"
        )
    notes += [
        f"the default `{name}` was left out of {plural(count, 'item')}: {model} has no such parameter"
        for name, model, count in left_out
    ]
    notes += [_unseeded(*found) for found in unseeded]
    return notes


def _unseeded(model: str, count: int, takes_seed: bool) -> str:  # noqa: FBT001 - as in `Manifest`
    requests = f"{plural(count, 'request')} to {model}"
    if not takes_seed:
        return f"the results of {requests} cannot be reproduced, since it takes no seed"
    carry, their = ("carries", "its") if count == 1 else ("carry", "their")
    return f"{requests} {carry} no seed, so {their} results cannot be reproduced"


def renames_text(renames: Renames) -> str:
    """Return how many items were bought under other ids, the first of them, and what buying them again would cost."""
    pairs = [f"{old} as {new}" for old, new in renames.examples]
    shown = ", ".join([*pairs, *(["…"] if renames.items > len(pairs) else [])])
    were = "item was" if renames.items == 1 else "items were"
    return (
        f"{renames.items:,} {were} already bought under another id ({shown}) and would cost"
        f" {dollars(renames.cost)} again"
    )
