"""A cost report as a table, as CSV, as JSON. Each returns text that ends with a line end."""

import csv
import io
import json

from batchgen.core.text import printable, usd
from batchgen.ledger.cells import TRUE, text_cell
from batchgen.ledger.costs import ROW_STATES, CostReport, Sums

_MONEY = ("charged_usd", "refunded_usd", "net_usd", "in_doubt_usd")
_WIDEST_GROUP = 60


def as_table(report: CostReport) -> str:
    """Return aligned columns with a total below; states that no row is in are left out.

    Simulated money gets a heading that says so.
    """
    states = [state for state in ROW_STATES if state in report.total.states]
    lines = [[report.by, "rows", "charged", "refunded", "net", "in doubt", *(s.replace("_", " ") for s in states)]]
    for name, sums in (*report.groups, ("total", report.total)):
        shown = "-" if name is None else printable(name, _WIDEST_GROUP)
        counts = (f"{sums.states.get(state, 0):,}" for state in states)
        lines.append([shown, f"{sums.rows:,}", *_amounts(sums), *counts])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    heading = "simulated: these rows are pretend money\n" if report.simulated else ""
    return heading + "".join(
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip() + "\n" for line in lines
    )


def as_csv(report: CostReport) -> str:
    """Return RFC 4180 with all states as columns, and without a total, which would be counted with the rest.

    A last column, `simulated`, is `true` for simulated money.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([text_cell(report.by), "rows", *_MONEY, *ROW_STATES, "simulated"])
    for name, sums in report.groups:
        counts = (sums.states.get(state, 0) for state in ROW_STATES)
        writer.writerow([text_cell(name or ""), sums.rows, *_amounts(sums), *counts, TRUE if report.simulated else ""])
    return out.getvalue()


def as_json(report: CostReport) -> str:
    """Return `format_version, by, simulated, groups, total, repeated, left_out`.

    Money is written as strings, and a group without a name as null.
    """
    groups = [{"group": name, **_object(sums)} for name, sums in report.groups]
    document = {
        "format_version": 1,
        "by": report.by,
        "simulated": report.simulated,
        "groups": groups,
        "total": _object(report.total),
        "repeated": report.repeated,
        "left_out": report.left_out,
    }
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _object(sums: Sums) -> dict[str, object]:
    return {
        "rows": sums.rows,
        **dict(zip(_MONEY, _amounts(sums), strict=True)),
        "states": {state: sums.states[state] for state in ROW_STATES if state in sums.states},
    }


def _amounts(sums: Sums) -> tuple[str, str, str, str]:
    return usd(sums.charged), usd(sums.refunded), usd(sums.net), usd(sums.in_doubt)
