"""A match of books and bill as a table, as CSV, as JSON. Each yields text piece by piece: differences may be many."""

import csv
import io
import json
from collections.abc import Iterable, Iterator

from batchgen.core.cells import text_cell
from batchgen.core.text import plural, printable, stamp, usd, usd_or_null
from batchgen.ledger.matching.doubts import JudgedDoubt, Verdict
from batchgen.ledger.matching.exact import exact_sum
from batchgen.ledger.matching.match import Difference, Match

CSV_COLUMNS = (
    "finding", "job_id", "run", "item_id", "attempt", "books_usd", "bill_usd", "difference_usd", "at", "note",
)  # fmt: skip
_SHOWN = {
    Verdict.JOB: "is job {job}",
    Verdict.MAYBE_JOB: "may be job {job}",
    Verdict.MAYBE_NOT_CHARGED: "was probably not charged",
    Verdict.OPEN: "stays open",
}


def as_table(match: Match) -> Iterator[str]:
    """Yield lines: both sums, each difference, and what the bill says about items in doubt."""
    difference = exact_sum(match.bill.net, -match.books.net)
    amounts = [usd(match.bill.net), usd(match.books.net), usd(difference)]
    width = max(map(len, amounts))
    for name, amount, jobs in zip(
        ("bill", "books", "difference"), amounts, (match.bill.jobs, match.books.jobs, None), strict=True
    ):
        counted = "" if jobs is None else f"  {plural(jobs, 'job')}"
        yield f"{name:<10}  {amount:>{width}}{counted}\n"
    for title, differences in (
        ("only in the bill", match.only_in_bill()),
        ("only in the books", match.only_in_books()),
        ("amounts that differ", match.differing()),
    ):
        yield from _section(title, map(_line, differences))
    yield from _section("in doubt", map(_doubt_line, match.doubts))
    if match.left_out:
        yield f"\n{plural(match.left_out, 'purchase')} outside of the bill's period left out\n"


def as_csv(match: Match) -> Iterator[str]:
    """Yield RFC 4180: one row for each difference and each item in doubt; `finding` says what it is."""
    yield _csv_line(CSV_COLUMNS)
    for finding, differences in (
        ("only_in_bill", match.only_in_bill()),
        ("only_in_books", match.only_in_books()),
        ("differs", match.differing()),
    ):
        for found in differences:
            yield _csv_line(
                (
                    finding, text_cell(found.job_id), text_cell(found.run), found.item_id, found.attempt or "",
                    usd_or_null(found.books), usd_or_null(found.bill), usd(found.difference), found.accepted_at,
                    _several(found),
                )
            )  # fmt: skip
    for judged in match.doubts:
        doubt = judged.doubt
        yield _csv_line(
            (
                f"doubt_{judged.verdict}", text_cell(judged.job_id), text_cell(doubt.run), doubt.item_id,
                doubt.attempt, usd(doubt.price), "", "", stamp(doubt.submitted_at), text_cell(judged.reason),
            )
        )  # fmt: skip


def as_json(match: Match) -> Iterator[str]:
    """Yield `format_version, agrees, bill, books, difference_usd, left_out, only_in_bill, only_in_books, differing,
    doubts`. Money is written as strings."""
    head = {
        "format_version": 1,
        "agrees": match.agrees,
        "bill": {"jobs": match.bill.jobs, "net_usd": usd(match.bill.net)},
        "books": {"jobs": match.books.jobs, "net_usd": usd(match.books.net)},
        "difference_usd": usd(exact_sum(match.bill.net, -match.books.net)),
        "left_out": match.left_out,
    }
    yield "{\n" + ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in head.items())
    for name, objects in (
        ("only_in_bill", map(_object, match.only_in_bill())),
        ("only_in_books", map(_object, match.only_in_books())),
        ("differing", map(_object, match.differing())),
        ("doubts", map(_doubt_object, match.doubts)),
    ):
        yield f',\n  "{name}": ['
        between = "\n    "
        for entry in objects:
            yield between + json.dumps(entry, ensure_ascii=False)
            between = ",\n    "
        yield "]" if between == "\n    " else "\n  ]"
    yield "\n}\n"


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    empty = True
    for line in lines:
        if empty:
            yield f"\n{title}\n"
            empty = False
        yield f"  {line}\n"


def _line(found: Difference) -> str:
    job = printable(found.job_id, 100) or "no known job"
    if found.books is None:
        return f"{job}  {usd(found.bill or found.difference)}"
    where = f"{printable(found.run, 64)}: {found.item_id}, attempt {found.attempt}"
    if found.bill is None:
        return f"{job}  {usd(found.books)}  {where}, {found.accepted_at}{_several(found, ', ')}"
    amounts = f"books {usd(found.books)}, bill {usd(found.bill)}, difference {usd(found.difference)}"
    return f"{job}  {amounts}  {where}{_several(found, ', ')}"


def _several(found: Difference, before: str = "") -> str:
    return f"{before}{found.purchases:,} purchases name this job" if found.purchases > 1 else ""


def _doubt_line(judged: JudgedDoubt) -> str:
    doubt = judged.doubt
    verdict = _SHOWN[judged.verdict].format(job=printable(judged.job_id, 100))
    name = f"{printable(doubt.run, 64)}: {doubt.item_id}, attempt {doubt.attempt}, {usd(doubt.price)}"
    return f"{name}, {stamp(doubt.submitted_at)}  {verdict}: {printable(judged.reason)}"


def _object(found: Difference) -> dict[str, object]:
    ours = {"run": found.run, "item_id": found.item_id, "attempt": found.attempt, "accepted_at": found.accepted_at}
    return {
        "job_id": found.job_id or None,
        **(ours if found.books is not None else {}),
        "books_usd": usd_or_null(found.books),
        "bill_usd": usd_or_null(found.bill),
        "difference_usd": usd(found.difference),
        "purchases": found.purchases,
    }


def _doubt_object(judged: JudgedDoubt) -> dict[str, object]:
    doubt = judged.doubt
    return {
        "run": doubt.run,
        "item_id": doubt.item_id,
        "attempt": doubt.attempt,
        "in_doubt_usd": usd(doubt.price),
        "submitted_at": stamp(doubt.submitted_at),
        "verdict": judged.verdict,
        "job_id": judged.job_id or None,
        "reason": judged.reason,
    }


def _csv_line(cells: Iterable[object]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(list(cells))
    return out.getvalue()
