"""Writes the ledger of a run: `ledger.csv`, whole each time, from the journal alone."""

import csv
import json
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

from batchgen.core.digest import canonical_json
from batchgen.core.files import staged_text
from batchgen.core.records import State
from batchgen.core.text import stamp, usd
from batchgen.journal import FILE_NAME, is_simulated, moment, open_for_reading, sqlite_errors
from batchgen.journal.queries.report_rows import LedgerRow, facts_of, ledger_rows, tag_names
from batchgen.ledger.cells import COLUMNS, TAG_PREFIX, TRUE, prompt_cell, text_cell

LEDGER_NAME = "ledger.csv"
_ZERO = Decimal(0)
_IN_DOUBT = frozenset({State.SUBMITTING, State.IN_DOUBT})
_FLAGS = frozenset({"unknown_format"})
"""Error types of attempts that ended well: what was found about their files."""
_SHORTEST_PAUSE = 10.0
_PAUSE_PER_WRITE = 20.0


@dataclass(frozen=True, slots=True)
class LedgerTotals:
    """The sums of a ledger's rows, in USD."""

    rows: int = 0
    charged: Decimal = _ZERO
    refunded: Decimal = _ZERO
    """Negative or 0, as in the file."""
    in_doubt: Decimal = _ZERO
    drifted: int = 0
    """Rows whose charge is not, or was not at every time, the price of the parameter tables."""
    drift: Decimal = _ZERO
    """By how much in sum: charged less estimated, over these rows."""
    flagged: Mapping[str, int] = field(default_factory=dict)
    """How many rows have each flag."""

    @property
    def net(self) -> Decimal:
        """What the account paid."""
        return self.charged + self.refunded


def write_ledger(run: str, folder: Path) -> LedgerTotals:
    """Replace the ledger in the run folder `folder` by one made from its journal, and return its sums.

    Reads one snapshot, so it may be called while a run writes the journal, from any thread. An intent whose answer
    is awaited stands as `submitting`, with its expected price in doubt: that money may have gone. RFC 4180, UTF-8
    without a byte order mark. Raises RunFolderError, DiskError.
    """
    path = folder / FILE_NAME
    with closing(open_for_reading(path)) as db, sqlite_errors(path), staged_text(folder / LEDGER_NAME) as out:
        names = tag_names(db)
        writer = csv.writer(out)  # RFC 4180 is the module's default dialect, with its CRLF
        writer.writerow([*COLUMNS, *(text_cell(TAG_PREFIX + name) for name in names)])
        cells = _cells_of(run, names, simulated=is_simulated(facts_of(db)))
        rows = drifted = 0
        flagged: Counter[str] = Counter()
        charged = refunded = in_doubt = drift = _ZERO
        for row in ledger_rows(db):
            amounts = amounts_of(row.state, row.estimated, row.reserved, row.charged, row.refunded)
            writer.writerow(cells(row, amounts))
            rows += 1
            charged += amounts.charged
            refunded += amounts.refunded
            in_doubt += amounts.in_doubt
            if row.charged is not None and (amounts.charged != amounts.estimated or Decimal(row.surplus)):
                drifted += 1
                drift += amounts.charged - amounts.estimated
            if row.error_type in _FLAGS:
                flagged[row.error_type] += 1
    return LedgerTotals(rows, charged, refunded, in_doubt, drifted, drift, flagged)


def next_write(last_duration: float, since: float) -> bool:
    """Return whether to write the ledger again, `since` seconds after a write that took `last_duration` seconds.

    Writing stays below 5 % of the time, and writes lie at least 10 s apart.
    """
    return since >= max(_SHORTEST_PAUSE, _PAUSE_PER_WRITE * last_duration)


@dataclass(frozen=True, slots=True)
class Amounts:
    """The money of one row, USD, with the signs of the ledger."""

    estimated: Decimal
    charged: Decimal
    refunded: Decimal
    in_doubt: Decimal


@lru_cache(maxsize=4096)  # prices are few
def amounts_of(state: str, estimated: str, reserved: str, charged: str | None, refunded: str | None) -> Amounts:
    """Return the money of one row of the journal; nothing known counts as 0, so that columns can be summed."""
    return Amounts(
        estimated=Decimal(estimated),
        charged=Decimal(charged) if charged is not None else _ZERO,
        refunded=-Decimal(refunded) if refunded is not None else _ZERO,
        in_doubt=Decimal(reserved) if state in _IN_DOUBT else _ZERO,
    )


@lru_cache(maxsize=4096)
def _money_cells(amounts: Amounts) -> tuple[str, ...]:
    net = amounts.charged + amounts.refunded
    return tuple(map(usd, (amounts.estimated, amounts.charged, amounts.refunded, net, amounts.in_doubt)))


@lru_cache(maxsize=4096)
def _stamp_of_second(second: int) -> str:
    return stamp(moment(second * 1000))


def _time(milliseconds: int | None) -> str:
    return "" if milliseconds is None else _stamp_of_second(milliseconds // 1000)


def _text(text: str | None) -> str:
    return text_cell(text) if text else ""


def _cells_of(run: str, tag_columns: list[str], *, simulated: bool) -> Callable[[LedgerRow, Amounts], list[object]]:
    run_cell = text_cell(run)
    simulated_cell = TRUE if simulated else ""

    def cells(row: LedgerRow, amounts: Amounts) -> list[object]:
        body = json.loads(row.body)
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
            *_money_cells(amounts),
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
            _text(row.tables),
            simulated_cell,
            row.error_type if row.error_type in _FLAGS else "",
            *(_text(tags.get(name)) for name in tag_columns),
        ]

    return cells
