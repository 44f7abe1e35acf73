"""The table that `make bench` prints."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement beside its alternative."""

    what: str
    measured: str
    """The value for batchgen, with its unit."""
    against: str
    """The alternative and its value."""
    ratio: float | None = None
    """The ratio of batchgen to the alternative; None if there is none."""
    most: float | None = None
    """The goal: the ratio is at most this."""
    least: float | None = None
    """The goal: the ratio is at least this."""
    why: str = ""
    """Why a goal is missed, if known."""

    @property
    def goal(self) -> str:
        """Return the goal as text."""
        if self.most is not None:
            return f"≤ {self.most:g}"
        return f"≥ {self.least:g}" if self.least is not None else ""

    @property
    def verdict(self) -> str:
        """Return whether the goal is met, or by how much it is missed."""
        if self.ratio is None or (self.most is None and self.least is None):
            return ""
        if self.most is not None and self.ratio > self.most:
            return (f"missed by {self.ratio / self.most - 1:.0%}" if self.most else "missed") + self._because
        if self.least is not None and self.ratio < self.least:
            return f"missed by {1 - self.ratio / self.least:.0%}{self._because}"
        return "met"

    @property
    def _because(self) -> str:
        return f": {self.why}" if self.why else ""


_HEADS = ("what", "goal", "ratio", "", "measured", "against")


def as_table(rows: Iterable[Row]) -> str:
    """Return the rows as a table in Markdown."""
    lines = [_HEADS, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADS))]
    shown = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    shown.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(shown)


def _cells(row: Row) -> tuple[str, ...]:
    ratio = "" if row.ratio is None else f"{row.ratio:.4g}"
    return row.what, row.goal, ratio, row.verdict, row.measured, row.against
