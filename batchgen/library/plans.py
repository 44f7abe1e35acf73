"""What a run would buy, as Python sees it: the counts and the money of `plan --json`, and its rows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from batchgen.core.text import dollars, plural
from batchgen.library.html import table
from batchgen.library.plan_report import plan_report
from batchgen.library.preparing import prepared_run
from batchgen.plan import PlanRow, plan_json
from batchgen.session.prepare import PreparedRun


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """What would be bought of one model."""

    model: str
    items: int
    estimated_usd: Decimal | None
    """None: the price is unknown."""


@dataclass(frozen=True, slots=True)
class TagPlan:
    """What would be bought of the items with one value of a tag."""

    tag: str
    value: str
    items: int
    estimated_usd: Decimal | None
    """None: the price is unknown."""


@dataclass(frozen=True, slots=True)
class ManifestPlan:
    """How a manifest compares with its run folder, and what is left to buy. Money is USD."""

    name: str
    folder: Path
    """The run folder, which need not exist."""
    items: int
    new: int
    changed: int
    renamed: int
    waiting: int
    done: int
    in_flight: int
    failed: int
    rejected: int
    lost: int
    in_doubt: int
    skipped: int
    stale: int
    to_buy: int
    estimated_usd: Decimal | None
    """What a run would spend; None: a price is unknown."""
    by_model: tuple[ModelPlan, ...]
    by_tag: tuple[TagPlan, ...]
    simulated: bool
    expected_bytes: int | None
    """What the outputs will take, as far as earlier ones of the same models tell; None: unknown."""
    free_bytes: int
    notes: tuple[str, ...]
    warnings: tuple[tuple[str, str], ...]
    """Likely mistakes in the manifest: the place as `FILE:LINE:COLUMN`, and the message."""
    text: str
    """What `batchgen plan` prints."""
    _manifest: Path = field(repr=False)
    _options: Mapping[str, Any] = field(repr=False, compare=False)
    _kept: object = field(repr=False, compare=False)
    """What keeps the manifest's file in place for `rows`."""

    @property
    def rows(self) -> Iterator[PlanRow]:
        """Each item as it would be sent, in the order of the manifest.

        The manifest is read again, so that a million of them need no memory; close the iterator to stop early.
        """
        with prepared_run(self._manifest, self._options) as prepared:
            yield from prepared.rows()

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        rows = [(m.model, f"{m.items:,}", dollars(m.estimated_usd)) for m in self.by_model]
        title = f"{self.name}: to buy {plural(self.to_buy, 'item')} for {dollars(self.estimated_usd)}"
        return table(title, rows)


def plan_of(prepared: PreparedRun, options: Mapping[str, Any], kept: object) -> ManifestPlan:
    """Return the plan of a prepared manifest for Python, whose file is there as long as `kept` is."""
    report = plan_report(prepared)
    plan, shown = report.plan, plan_json(report.plan)
    counts = (
        "items", "new", "changed", "renamed", "waiting", "done", "in_flight", "failed", "rejected", "lost", "in_doubt",
        "skipped", "stale",
    )  # fmt: skip
    return ManifestPlan(
        name=plan.name,
        folder=prepared.folder,
        **{name: shown[name] for name in counts},
        to_buy=plan.to_buy,
        estimated_usd=plan.estimated,
        by_model=tuple(ModelPlan(model, count, cost) for model, (count, cost) in plan.buy.items()),
        simulated=plan.simulated,
        by_tag=tuple(
            TagPlan(name, value, count, cost)
            for name, values in plan.by_tag.items()
            for value, (count, cost) in values.items()
        ),
        expected_bytes=report.space.expected,
        free_bytes=report.space.free,
        notes=report.notes,
        warnings=report.warnings,
        text=report.text,
        _manifest=prepared.manifest.source,
        _options=dict(options),
        _kept=kept,
    )
