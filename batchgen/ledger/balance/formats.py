"""What a check of the books has found, as a table, as CSV, as JSON. Each returns text that ends with a line end."""

import csv
import io
import json
from collections.abc import Sequence

from batchgen.core.cells import text_cell
from batchgen.core.text import plural, printable, usd
from batchgen.ledger.balance.books import Balance
from batchgen.ledger.balance.finding import Finding


def as_table(balances: Sequence[Balance]) -> str:
    """Return a line for each run, with what was found below it."""
    lines = []
    for balance in balances:
        run = printable(balance.run, 64)
        verdict = "the books balance" if balance.balances else f"{plural(_count(balance), 'fault')}"
        running = ", while it is running" if balance.running else ""
        net = usd(balance.spend.charged - balance.spend.refunded)
        doubt = f", {usd(balance.spend.in_doubt)} in doubt" if balance.spend.in_doubt else ""
        lines.append(f"{run}: {verdict}{running}; {plural(balance.purchases, 'attempt')}, net {net}{doubt}")
        lines += [f"  {_line(finding)}" for finding in (*balance.faults, *balance.notes)]
        if balance.more:
            lines.append(f"  … and {plural(balance.more, 'fault')} more")
    return "".join(f"{line}\n" for line in lines)


def as_csv(balances: Sequence[Balance]) -> str:
    """Return RFC 4180: one row for each thing that was found; `fault` is `true` where the books do not balance."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(("run", "place", "fault", "message"))
    for balance in balances:
        for finding in (*balance.faults, *balance.notes):
            fault = "true" if finding.is_fault else ""
            writer.writerow((text_cell(balance.run), finding.place, fault, text_cell(finding.message)))
    return out.getvalue()


def as_json(balances: Sequence[Balance]) -> str:
    """Return `format_version, balances, runs`. Money is written as strings."""
    document = {
        "format_version": 1,
        "balances": all(balance.balances for balance in balances),
        "runs": [_object(balance) for balance in balances],
    }
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _object(balance: Balance) -> dict[str, object]:
    return {
        "run": balance.run,
        "folder": str(balance.folder),
        "running": balance.running,
        "balances": balance.balances,
        "attempts": balance.purchases,
        "charged_usd": usd(balance.spend.charged),
        "refunded_usd": usd(-balance.spend.refunded),
        "net_usd": usd(balance.spend.charged - balance.spend.refunded),
        "in_doubt_usd": usd(balance.spend.in_doubt),
        "fault_count": _count(balance),
        "faults": [{"place": finding.place, "message": finding.message} for finding in balance.faults],
        "notes": [{"place": finding.place, "message": finding.message} for finding in balance.notes],
    }


def _count(balance: Balance) -> int:
    return len(balance.faults) + balance.more


def _line(finding: Finding) -> str:
    return f"{finding.place}: {finding.message}" if ":" in finding.place else f"{finding.place} {finding.message}"
