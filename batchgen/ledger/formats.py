"""A cost report as CSV, as JSON. Each returns text that ends with a line end. `batchgen.ledger.table` is for people."""

import csv
import io
import json
from decimal import Decimal

from batchgen.core.cells import text_cell
from batchgen.core.text import stamp, usd
from batchgen.ledger.columns import TRUE
from batchgen.ledger.costs import ROW_STATES, CostReport, Sums


def as_csv(report: CostReport) -> str:
    """Return RFC 4180 with all states as columns, and without a total, which would be counted with the rest.

    The column `simulated` is `true` for simulated money; what is not known is empty; `tz` is the zone of days and
    months.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    facts = _facts(Sums())
    head = [*map(text_cell, report.by), "rows", *_amounts(Sums()), *ROW_STATES, "simulated", *facts, "tz"]
    writer.writerow(head)
    for names, sums in report.groups:
        counts = (sums.states.get(state, 0) for state in ROW_STATES)
        kind = TRUE if report.simulated else ""
        group = [text_cell(name or "") for name in names]
        cells = [sums.rows, *_amounts(sums).values(), *counts, kind, *_facts(sums).values(), str(report.period.zone)]
        writer.writerow([*group, *cells])
    return out.getvalue()


def as_json(report: CostReport) -> str:
    """Return `format_version, by, tz, since, until, simulated, groups, total, repeated, left_out`.

    Money is written as strings; what is not known is null, and so is the name of a group without one. Given twice, `by`
    and `group` are lists.
    """
    period = report.period
    groups = [{"group": _one_or_list(names), **_object(sums)} for names, sums in report.groups]
    document = {
        "format_version": 1,
        "by": _one_or_list(report.by),
        "tz": str(period.zone),
        "since": period.since and stamp(period.since),
        "until": period.until and stamp(period.until),
        "simulated": report.simulated,
        "groups": groups,
        "total": _object(report.total),
        "repeated": report.repeated,
        "left_out": report.left_out,
    }
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _one_or_list(names: tuple[str | None, ...]) -> str | list[str | None] | None:
    return names[0] if len(names) == 1 else list(names)


def _object(sums: Sums) -> dict[str, object]:
    return {
        "rows": sums.rows,
        **_amounts(sums),
        "states": {state: sums.states[state] for state in ROW_STATES if state in sums.states},
        **_facts(sums),
    }


def _amounts(sums: Sums) -> dict[str, str]:
    return {
        "charged_usd": usd(sums.charged),
        "refunded_usd": usd(sums.refunded),
        "net_usd": usd(sums.net),
        "in_doubt_usd": usd(sums.in_doubt),
    }


def _facts(sums: Sums) -> dict[str, object]:
    return {
        "attempts": sums.attempts,
        "refunds": sums.refunds,
        "drifted": sums.drifted,
        "drift_usd": usd(sums.drift),
        "lost_usd": usd(sums.lost),
        "outputs": sums.outputs,
        "usd_per_output": _digits(sums.per_output),
        "outputs_kept": sums.outputs_kept,
        "outputs_rejected": None if sums.outputs_kept is None else sums.outputs_rejected,
        "keep_rate": _digits(sums.keep_rate),
        "usd_per_kept": _digits(sums.per_kept),
    }


def _digits(amount: Decimal | None) -> str | None:
    return None if amount is None else usd(amount)
