"""Writes the ledger of a run: `ledger.csv`, whole each time, from the journal alone."""

import csv
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

from batchgen.core.cells import prompt_cell, text_cell
from batchgen.core.costs import Cost, CostSum, cost_of
from batchgen.core.digest import canonical_json
from batchgen.core.files import staged_text
from batchgen.core.text import stamp, usd
from batchgen.journal import FILE_NAME, is_simulated, moment, open_for_reading, sqlite_errors
from batchgen.journal.chains import with_references
from batchgen.journal.queries.report_rows import LedgerRow, facts_of, ledger_rows, tag_names
from batchgen.ledger.columns import COLUMNS, TAG_PREFIX, TRUE
from batchgen.ledger.flags import flags_of

LEDGER_NAME = "ledger.csv"
_SHORTEST_PAUSE = 10.0
_PAUSE_PER_WRITE = 20.0


@dataclass(slots=True)
class LedgerTotals(CostSum):
    """The sums of a ledger's rows, in USD."""

    drifted: int = 0
    """Rows whose charge differs, or differed at some time, from the catalogue price."""
    drift: Decimal = Decimal(0)
    """By how much in sum: charged less estimated, over these rows."""
    flagged: dict[str, int] = field(default_factory=dict)
    """How many rows have each flag."""
    by_model: dict[str, CostSum] = field(default_factory=dict)
    """The sums of each model's rows."""

    def as_json(self) -> dict[str, Any]:
        """Return the sums as JSON values, which `from_json` takes; amounts are exact."""
        return _as_json(self) | {
            "drifted": self.drifted,
            "drift": format(self.drift, "f"),
            "flagged": self.flagged,
            "by_model": {model: _as_json(sums) for model, sums in self.by_model.items()},
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the sums that `as_json` has returned."""
        return cls(
            *_sums_of(values),
            drifted=values["drifted"],
            drift=Decimal(values["drift"]),
            flagged=values["flagged"],
            by_model={model: CostSum(*_sums_of(sums)) for model, sums in values["by_model"].items()},
        )


_AMOUNTS = ("charged", "refunded", "in_doubt")


def _as_json(sums: CostSum) -> dict[str, Any]:
    return {"rows": sums.rows} | {name: format(getattr(sums, name), "f") for name in _AMOUNTS}


def _sums_of(values: Mapping[str, Any]) -> tuple[int, Decimal, Decimal, Decimal]:
    charged, refunded, in_doubt = (Decimal(values[name]) for name in _AMOUNTS)
    return values["rows"], charged, refunded, in_doubt


def write_ledger(run: str, folder: Path) -> LedgerTotals:
    """Replace the ledger in the run folder `folder` by one made from its journal, and return its sums.

    Reads one snapshot, so it may be called while a run writes the journal, from any thread. An intent whose answer
    is awaited has a row as `submitting`, with its expected price in doubt: it may have been charged. RFC 4180, UTF-8
    without a byte order mark. Raises RunFolderError, DiskError.
    """
    path = folder / FILE_NAME
    with closing(open_for_reading(path)) as db, sqlite_errors(path), staged_text(folder / LEDGER_NAME) as out:
        header, cells = _layout(db, run)
        writer = csv.writer(out)  # RFC 4180 is the module's default dialect, with its CRLF
        writer.writerow(header)
        totals = LedgerTotals()
        for row in ledger_rows(db):
            cost = _cost(row)
            writer.writerow(cells(row, cost))
            totals.add(cost)
            if row.model not in totals.by_model:
                totals.by_model[row.model] = CostSum()
            totals.by_model[row.model].add(cost)
            if row.charged is not None and (cost.charged != cost.estimated or Decimal(row.surplus)):
                totals.drifted += 1
                totals.drift += cost.charged - cost.estimated
            for flag in flags_of(row.error_type, row.flags, stale=bool(row.stale)):
                totals.flagged[flag] = totals.flagged.get(flag, 0) + 1
    return totals


def current_rows(db: sqlite3.Connection, run: str) -> tuple[list[str], Iterator[list[object]]]:
    """Return the header and the rows that `write_ledger` would write now; None is an empty cell."""
    header, cells = _layout(db, run)
    return header, (cells(row, _cost(row)) for row in ledger_rows(db))


def _layout(db: sqlite3.Connection, run: str) -> tuple[list[str], Callable[[LedgerRow, Cost], list[object]]]:
    names = tag_names(db)
    header = [*COLUMNS, *(text_cell(TAG_PREFIX + name) for name in names)]
    return header, _cells_of(run, names, simulated=is_simulated(facts_of(db)))


def _cost(row: LedgerRow) -> Cost:
    return cost_of(row.state, row.estimated, row.reserved, row.charged, row.refunded)


def next_write(last_duration: float, since: float) -> bool:
    """Return whether to write the ledger again, `since` seconds after a write that took `last_duration` seconds.

    Writing stays below 5 % of the time, and writes lie at least 10 s apart.
    """
    return since >= max(_SHORTEST_PAUSE, _PAUSE_PER_WRITE * last_duration)


@lru_cache(maxsize=4096)
def _money_cells(cost: Cost) -> tuple[str, ...]:
    net = cost.charged + cost.refunded
    return tuple(map(usd, (cost.estimated, cost.charged, cost.refunded, net, cost.in_doubt)))


@lru_cache(maxsize=4096)
def _stamp_of_second(second: int) -> str:
    return stamp(moment(second * 1000))


def _time(milliseconds: int | None) -> str:
    return "" if milliseconds is None else _stamp_of_second(milliseconds // 1000)


def _text(text: str | None) -> str:
    return text_cell(text) if text else ""


def _cells_of(run: str, tag_columns: list[str], *, simulated: bool) -> Callable[[LedgerRow, Cost], list[object]]:
    run_cell = text_cell(run)
    simulated_cell = TRUE if simulated else ""

    def cells(row: LedgerRow, cost: Cost) -> list[object]:
        body = json.loads(with_references(row.body, row.inputs))
        prompt = body.pop("prompt", "")
        tags = json.loads(row.tags)
        return [
            run_cell,
            text_cell(row.item_id),
            row.number,
            row.state,
            text_cell(row.model),
            prompt_cell(prompt),
            text_cell(canonical_json(body)),
            row.digest,
            *_money_cells(cost),
            _text(row.job_id),
            _text(row.account),
            _time(row.submitted_at),
            _time(row.accepted_at),
            _time(row.completed_at),
            _time(row.refunded_at),
            row.inference_ms,
            row.polls,
            _text(row.files),
            row.bytes,
            row.sha256,
            _text(row.error_type),
            _text(row.error_message),
            _time(row.expires_at),
            text_cell(row.source),
            _text(row.catalog_version),
            simulated_cell,
            ";".join(flags_of(row.error_type, row.flags, stale=bool(row.stale))),
            *(_text(tags.get(name)) for name in tag_columns),
        ]

    return cells
