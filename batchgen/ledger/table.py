"""A cost report as a table for people: only the columns that have something to say, within the width of a terminal."""

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal

from batchgen.core.text import printable, usd
from batchgen.ledger.costs import ROW_STATES, CostReport, Sums
from batchgen.ledger.period import Period

_WIDTH = 100
_WIDEST_GROUPS = {1: 60, 2: 26}
"""By the number of columns of groups."""
_GAP = "  "
_BY_TIME = ("day", "month")

Column = tuple[str, ...]
"""A heading, a cell for each group, and one for the total."""
_COLUMNS: tuple[tuple[str, Callable[[Sums], str], Callable[[Sums], object]], ...] = (
    ("rows", lambda sums: f"{sums.rows:,}", lambda _: True),
    ("attempts", lambda sums: f"{sums.attempts:,}", lambda total: total.attempts != total.rows),
    ("charged", lambda sums: usd(sums.charged), lambda _: True),
    ("refunded", lambda sums: usd(sums.refunded), lambda total: total.refunded),
    ("net", lambda sums: usd(sums.net), lambda _: True),
    ("in doubt", lambda sums: usd(sums.in_doubt), lambda total: total.in_doubt),
    ("lost $", lambda sums: usd(sums.lost), lambda total: total.lost),
    ("drift", lambda sums: usd(sums.drift), lambda total: total.drifted),
    ("outputs", lambda sums: f"{sums.outputs:,}", lambda total: total.outputs),
    ("$/output", lambda sums: _price(sums.per_output), lambda total: total.outputs),
    ("kept", lambda sums: _count(sums.outputs_kept), lambda total: total.any_picked),
    ("keep rate", lambda sums: _share(sums.keep_rate), lambda total: total.any_picked),
    ("$/kept", lambda sums: _price(sums.per_kept), lambda total: total.any_picked),
)
"""Heading, cell, and whether the column has something to say where this is the total."""


def as_table(report: CostReport) -> str:
    """Return aligned columns with a total below; columns without anything in them are left out.

    What does not fit beside each other follows below, for the same groups. Simulated money, and a period, get a heading
    that says so; the heading of days and months names their time zone.
    """
    groups = list(_group_columns(report))
    lines = [*_headings(report)]
    for number, block in enumerate(_blocks(groups, list(_columns(report)))):
        lines += [""] * (number > 0) + _aligned(groups, block)
    return "\n".join(lines) + "\n"


def _headings(report: CostReport) -> Iterator[str]:
    if report.simulated:
        yield "simulated: these rows are pretend money"
    if report.period.bounded:
        yield _period_text(report.period)


def _period_text(period: Period) -> str:
    def shown(bound: str, at: object) -> str:
        return f"{bound} {at}" if at else ""

    since, until = (
        at and at.astimezone(period.zone).strftime("%Y-%m-%d %H:%M:%S") for at in (period.since, period.until)
    )
    return " ".join(filter(None, (shown("from", since), shown("until before", until), f"({period.zone})")))


def _group_columns(report: CostReport) -> Iterator[Column]:
    for number, by in enumerate(report.by):
        head = f"{by} ({report.period.zone})" if by in _BY_TIME else by
        cells = ("-" if names[number] is None else str(names[number]) for names, _ in report.groups)
        widest = _WIDEST_GROUPS[len(report.by)]
        yield tuple(printable(cell, widest) for cell in (head, *cells, "" if number else "total"))


def _columns(report: CostReport) -> Iterator[Column]:
    rows = [*(sums for _, sums in report.groups), report.total]
    for head, cell, says_something in _COLUMNS:
        if says_something(report.total):
            yield (head, *map(cell, rows))
    for state in ROW_STATES:
        if state in report.total.states:
            yield (state.replace("_", " "), *(f"{sums.states.get(state, 0):,}" for sums in rows))


def _blocks(groups: Sequence[Column], columns: Sequence[Column]) -> Iterator[list[Column]]:
    """Yield the columns in as many blocks as it takes to stay within the width."""
    room = _WIDTH - sum(_width(column) + len(_GAP) for column in groups)
    block: list[Column] = []
    left = room
    for column in columns:
        needed = _width(column) + len(_GAP) * bool(block)
        if block and needed > left:
            yield block
            block, left, needed = [], room, _width(column)
        block.append(column)
        left -= needed
    yield block


def _aligned(groups: Sequence[Column], block: Sequence[Column]) -> list[str]:
    padded = [[cell.ljust(_width(column)) for cell in column] for column in groups]
    padded += [[cell.rjust(_width(column)) for cell in column] for column in block]
    return [_GAP.join(cells).rstrip() for cells in zip(*padded, strict=True)]


def _width(column: Column) -> int:
    return max(map(len, column))


def _price(amount: Decimal | None) -> str:
    return "" if amount is None else usd(amount.quantize(Decimal("0.0001")))


def _count(count: int | None) -> str:
    return "" if count is None else f"{count:,}"


def _share(share: Decimal | None) -> str:
    return "" if share is None else f"{share:.1%}"
