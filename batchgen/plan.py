"""What a run would buy: pure sums over how a manifest's items stand."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any

from batchgen.core.errors import UsageError
from batchgen.core.records import LIVE, State
from batchgen.core.text import plural, usd
from batchgen.journal import money_mark
from batchgen.journal.queries.comparison import Group, TagGroup
from batchgen.journal.renames import NOTHING_RENAMED, Renames

FORMAT_VERSION = 1
_VALUES_SHOWN = 12
"""A tag with more values than this does not group costs in a useful way; it is left out of the text."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which items a command is about: all, or those that an `--only` pattern matches."""

    globs: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, patterns: Iterable[str]) -> "Selection":
        """Return the selection of `GLOB` and `tag:NAME=VALUE` patterns; raises UsageError."""
        globs, tags = [], []
        for pattern in patterns:
            if not pattern.startswith("tag:"):
                globs.append(pattern)
                continue
            name, equals, value = pattern.removeprefix("tag:").partition("=")
            if not equals:
                raise UsageError(f"--only {pattern}: select a tag with tag:NAME=VALUE")
            tags.append((name, value))
        return cls(tuple(globs), tuple(tags))

    def wanted(self, item_id: str, tags: str) -> bool:
        """Whether an item, with its tags as JSON, is selected."""
        if not self.globs and not self.tags:
            return True
        if any(fnmatchcase(item_id, glob) for glob in self.globs):
            return True
        return bool(self.tags) and any(item in self.tags for item in json.loads(tags).items())


@dataclass(frozen=True, slots=True)
class Plan:
    """How a manifest compares with its run folder, and what is left to buy."""

    name: str
    states: Mapping[State, int]
    """Requested items by state; `pending` are new and changed ones together."""
    changed: int
    """Items that were bought before with another request."""
    changed_usd: Decimal
    buy: Mapping[str, tuple[int, Decimal]]
    """By model: items to buy, and their exact cost in USD."""
    again: int = 0
    """Items on disk that are to be bought again."""
    unlisted: int = 0
    """Items that were bought and are no longer in the manifest."""
    renamed: Renames = NOTHING_RENAMED
    """Pending items that were already bought under another id; whether to buy them again is to be decided."""
    by_tag: Mapping[str, Mapping[str, tuple[int, Decimal]]] = field(default_factory=dict)
    simulated: bool = False
    """Whether the run folder's money is simulated."""

    @property
    def items(self) -> int:
        """All requested items."""
        return sum(self.states.values())

    @property
    def to_buy(self) -> int:
        """Items that a run would buy."""
        return sum(count for count, _ in self.buy.values())

    @property
    def estimated(self) -> Decimal:
        """What a run would spend, USD."""
        return sum((cost for _, cost in self.buy.values()), Decimal(0))

    def count(self, *states: State) -> int:
        """Return how many items are in these states."""
        return sum(self.states.get(state, 0) for state in states)


def make_plan(
    name: str,
    groups: Iterable[Group],
    tags: Iterable[TagGroup] = (),
    retry: frozenset[State] = frozenset(),
    *,
    unlisted: int = 0,
    renamed: Renames = NOTHING_RENAMED,
    simulated: bool = False,
) -> Plan:
    """Return the plan; items in a `retry` state count as to be bought, besides their state."""
    states: dict[State, int] = defaultdict(int)
    buy: dict[str, tuple[int, Decimal]] = {}
    changed, changed_usd, again = 0, Decimal(0), 0
    for group in groups:
        states[group.state] += group.items
        cost = group.estimated * group.items
        if group.edited:
            changed, changed_usd = changed + group.items, changed_usd + cost
        again += group.items if group.again else 0
        if (group.state is State.PENDING and not group.renamed) or group.state in retry or group.again:
            count, total = buy.get(group.model, (0, Decimal(0)))
            buy[group.model] = (count + group.items, total + cost)
    by_tag: dict[str, dict[str, tuple[int, Decimal]]] = defaultdict(dict)
    for tag in tags:
        count, total = by_tag[tag.name].get(tag.value, (0, Decimal(0)))
        by_tag[tag.name][tag.value] = (count + tag.items, total + tag.estimated * tag.items)
    return Plan(
        name=name,
        states=dict(states),
        changed=changed,
        changed_usd=changed_usd,
        buy=dict(sorted(buy.items())),
        again=again,
        unlisted=unlisted,
        renamed=renamed,
        simulated=simulated,
        by_tag=dict(sorted(by_tag.items())),
    )


def plan_json(plan: Plan) -> dict[str, Any]:
    """Return the plan in the shape of `plan --json`."""
    return {
        "format_version": FORMAT_VERSION,
        "name": plan.name,
        "items": plan.items,
        "new": plan.count(State.PENDING) - plan.changed - plan.renamed.items,
        "changed": plan.changed,
        "renamed": plan.renamed.items,
        "done": plan.count(State.DONE),
        "in_flight": plan.count(*LIVE),
        "failed": plan.count(State.FAILED),
        "rejected": plan.count(State.REJECTED),
        "lost": plan.count(State.LOST),
        "in_doubt": plan.count(State.IN_DOUBT),
        "skipped": plan.count(State.SKIPPED),
        "estimated_usd": usd(plan.estimated),
        "by_model": [
            {"model": model, "items": count, "estimated_usd": usd(cost)} for model, (count, cost) in plan.buy.items()
        ],
        "simulated": plan.simulated,
    }


def format_plan(
    plan: Plan, left_out: Iterable[tuple[str, str, int]] = (), unseeded: Iterable[tuple[str, int]] = ()
) -> str:
    """Return the plan for people. `left_out` and `unseeded` as in `Manifest`."""
    shown = plan_json(plan)
    words = ("new", "changed", "renamed", "done", "in_flight", "failed", "rejected", "lost", "in_doubt", "skipped")
    lines = [f"{plan.name}: {plural(plan.items, 'item')}{money_mark(simulated=plan.simulated)}"]
    lines += [f"  {word.replace('_', ' '):<10} {shown[word]:>10,}" for word in words if shown[word]]
    lines += ["", f"to buy: {plural(plan.to_buy, 'item')} for ${usd(plan.estimated)}"]
    lines += [f"  {model:<32} {count:>9,} {'$' + usd(cost):>12}" for model, (count, cost) in plan.buy.items()]
    for name, values in plan.by_tag.items():
        if len(values) <= _VALUES_SHOWN:
            lines.append(f"by tag {name}:")
            lines += [f"  {value:<32} {count:>9,} {'$' + usd(cost):>12}" for value, (count, cost) in values.items()]
    if plan.changed:
        lines += [
            "",
            f"{plural(plan.changed, 'item')} changed since purchase; buying again costs ${usd(plan.changed_usd)}",
        ]
    if plan.renamed.items:
        lines += [
            "",
            f"{renames_text(plan.renamed)}: `run --renamed adopt` keeps the purchases, `--renamed buy` buys again",
        ]
    if plan.unlisted:
        lines.append(
            f"note: {plural(plan.unlisted, 'item')} bought before, but no longer in the manifest; an item without an"
            " id becomes a new item when its prompt or a default changes"
        )
    lines += [
        f"note: the default `{name}` was left out of {plural(count, 'item')}: {model} has no such parameter"
        for name, model, count in left_out
    ]
    lines += [
        f"note: {plural(count, 'request')} to {model} {'carries' if count == 1 else 'carry'} no seed,"
        f" so {'its' if count == 1 else 'their'} results cannot be reproduced"
        for model, count in unseeded
    ]
    return "\n".join(lines)


def renames_text(renames: Renames) -> str:
    """Return how many items were bought under other ids, the first of them, and what buying them again would cost."""
    pairs = [f"{old} as {new}" for old, new in renames.examples]
    shown = ", ".join([*pairs, *(["…"] if renames.items > len(pairs) else [])])
    were = "item was" if renames.items == 1 else "items were"
    return (
        f"{renames.items:,} {were} already bought under another id ({shown}) and would cost ${usd(renames.cost)} again"
    )
