"""What `batchgen ledger` does with --match and --check: the books beside a bill, and beside each other."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchgen.cli.output import read_file

if TYPE_CHECKING:
    from batchgen.journal.queries.run_status import Doubt
    from batchgen.ledger.charges import Charge
    from batchgen.ledger.matching import Match
    from batchgen.session.repair.resolution import Proposal

_OPTIONS = (
    click.option(
        "--match",
        "bill",
        type=click.Path(dir_okay=False, exists=True, path_type=Path, allow_dash=True),
        metavar="BILL",
        help="Compare with the provider's bill: a CSV file with a job id and an amount (USD) in each row. Rows of one "
        "job are added up; - for standard input. Exit code 1 where anything differs.",
    ),
    click.option("--job-column", metavar="NAME", help="The bill's column of job ids (default job_id)."),
    click.option("--amount-column", metavar="NAME", help="The bill's column of amounts (default amount)."),
    click.option(
        "--settle",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="With --match, for one run: write its items in doubt, filled in where the bill settles them, for "
        "`resolve --import`.",
    ),
    click.option(
        "--check",
        is_flag=True,
        help="Check that the journal, the receipts and the ledger of each run agree; exit code 1 where they do not.",
    ),
)
_WITH_MATCH = ("job_column", "amount_column", "settle")
_NOT_WITH_MATCH = ("by", "only", "check", "as_bought")
_NOT_WITH_CHECK = ("bill", "by", "only", "since", "until", "tz", "simulated", "as_bought", *_WITH_MATCH)


def reconciling_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of --match and --check."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def refuse_strays(context: click.Context) -> None:
    """Raise UsageError for an option of --match that was given without it."""
    refuse(context, _WITH_MATCH, "belongs to --match")


def refuse(context: click.Context, names: Iterable[str], why: str) -> None:
    """Raise UsageError for an option of these that was given on the command line."""
    for name in names:
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            option = "match" if name == "bill" else name.replace("_", "-")
            raise click.UsageError(f"--{option} {why}")


# ---- the bill -----------------------------------------------------------------------------------------------------


def match(context: click.Context, folders: Sequence[Path], files: Sequence[Path], options: dict[str, Any]) -> int:
    """Print how a bill compares with the books, write what it settles, and return the exit code. Raises UsageError."""
    from batchgen.core.clock import utc_now
    from batchgen.core.errors import UsageError
    from batchgen.core.text import plural
    from batchgen.ledger.charges import charges_of
    from batchgen.ledger.distinct import Distinct
    from batchgen.ledger.matching import bill_rows, matched
    from batchgen.ledger.matching.bill import AMOUNT_COLUMN, JOB_COLUMN
    from batchgen.ledger.matching.formats import as_csv, as_json, as_table
    from batchgen.ledger.period import read_period
    from batchgen.ledger.reported import OneKind

    refuse(context, _NOT_WITH_MATCH, "does not go with --match")
    formats = {"table": as_table, "csv": as_csv, "json": as_json}
    settle: Path | None = options["settle"]
    if options["form"] not in formats:
        raise UsageError(f"--match is printed as {', '.join(formats)}")
    if settle is not None and (len(folders) != 1 or files):
        raise UsageError("--settle writes the items in doubt of one run: name that run alone")
    if settle == Path("-"):
        raise UsageError("--settle needs a file: the comparison goes to standard output")
    columns = options["job_column"] or JOB_COLUMN, options["amount_column"] or AMOUNT_COLUMN
    charges = OneKind(charges_of(folders, files), simulated=options["simulated"])
    period = read_period(options["since"], options["until"], options["tz"])
    named = _named_jobs(folders)
    with (
        read_file(options["bill"]) as (bill, name),
        matched(
            Distinct(charges), bill_rows(bill, *columns, name), utc_now(), period=period, named_jobs=named
        ) as found,
    ):
        for piece in formats[options["form"]](found):
            click.echo(piece, nl=False)
        if charges.left_out and not charges.simulated:
            click.echo(f"{plural(charges.left_out, 'simulated row')} left out; --simulated matches them", err=True)
        if settle is not None:
            _write_settlements(folders[0], settle, found)
        return 0 if found.agrees else 1


def _named_jobs(folders: Iterable[Path]) -> "Callable[[Charge], str]":
    """Return what gives the job that the answer to a charge in doubt named: only a journal knows the answers."""
    from batchgen.journal import FILE_NAME, open_for_reading, sqlite_errors
    from batchgen.journal.queries.report_rows import facts_of
    from batchgen.journal.queries.run_status import doubts

    named: dict[tuple[str, str, int, str], str] = {}
    for folder in folders:
        path = folder / FILE_NAME
        with closing(open_for_reading(path)) as db, sqlite_errors(path):
            run = facts_of(db).get("run", folder.name)
            named |= {(run, d.item_id, d.number, d.digest): d.job_id for d in doubts(db) if d.job_id}
    return lambda charge: named.get((charge.run, charge.item_id, charge.attempt, charge.digest), "")


def _write_settlements(folder: Path, path: Path, found: "Match") -> None:
    """Write the doubts of a run, filled in where the bill settles them. Raises UsageError where the file exists."""
    from batchgen.core.text import plural
    from batchgen.journal import FILE_NAME, open_for_reading, sqlite_errors
    from batchgen.ledger.matching import Verdict
    from batchgen.session.repair.resolution import How, Proposal, export_doubts

    judged = {(j.doubt.item_id, j.doubt.attempt, j.doubt.digest): j for j in found.doubts}
    settled = 0

    def propose(doubt: "Doubt") -> "Proposal":
        nonlocal settled
        judgement = judged.get((doubt.item_id, doubt.number, doubt.digest))
        if judgement is None:
            return Proposal()
        if judgement.verdict is Verdict.JOB:
            settled += 1
            return Proposal(How.JOB, judgement.job_id, judgement.reason)
        # Not filled in: an amount that fits proves nothing, and only the user knows whether the bill is complete.
        maybe = {Verdict.MAYBE_JOB: f"job {judgement.job_id}? ", Verdict.MAYBE_NOT_CHARGED: "not-charged? "}
        return Proposal(note=maybe.get(judgement.verdict, "") + judgement.reason)

    journal = folder / FILE_NAME
    with closing(open_for_reading(journal)) as db, sqlite_errors(journal):
        count = export_doubts(db, path, propose)
    click.echo(
        f"{plural(count, 'item')} in doubt written to {path}, {settled:,} of them settled by the bill; read it, then"
        f" run `batchgen resolve {folder} --import {path}`",
        err=True,
    )


# ---- the books alone ----------------------------------------------------------------------------------------------


def check(context: click.Context, folders: Sequence[Path], files: Sequence[Path], options: dict[str, Any]) -> int:
    """Print whether the books of each run agree, and return the exit code. Raises UsageError."""
    from batchgen.core.errors import UsageError
    from batchgen.ledger.balance import check_books
    from batchgen.ledger.balance.formats import as_csv, as_json, as_table

    refuse(context, _NOT_WITH_CHECK, "does not go with --check")
    formats = {"table": as_table, "csv": as_csv, "json": as_json}
    if options["form"] not in formats:
        raise UsageError(f"--check is printed as {', '.join(formats)}")
    if files:
        raise UsageError(f"{files[0]} is a ledger alone: --check compares it with the journal of its run; name the run")
    balances = [check_books(folder) for folder in folders]
    click.echo(formats[options["form"]](balances), nl=False)
    return 0 if all(balance.balances for balance in balances) else 1
