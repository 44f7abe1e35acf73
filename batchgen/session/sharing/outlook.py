"""What is left of the month's budget, for plans; nothing is counted or changed."""

import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path

from batchgen.core.clock import utc_now
from batchgen.core.text import dollars
from batchgen.shared_limits import FILE_NAME, read_limits


def month_outlook(output: Path, estimated: Decimal | None) -> str | None:
    """Return one sentence on the month's budget of an output folder, beside what a run would buy (USD).

    None if there is no budget. Raises UsageError for a `batchgen.toml` that is wrong, DiskError, RunFolderError.
    """
    limits = read_limits(output)
    if limits.month is None:
        return None
    from batchgen.shared_limits.months import month_at

    month = month_at(utc_now(), limits.zone).name
    spent = _spent(output, month)
    sentence = (
        f"the month's budget is {dollars(limits.month)} ({month}, {limits.zone_name}); {dollars(spent)} of it is spent,"
        " reserved or in doubt"
    )
    left = limits.month - spent
    fits = estimated is None or estimated <= left
    return sentence if fits else f"{sentence}, so buying would stop after {dollars(max(Decimal(0), left))}"


def unused_limits(output: Path, manifest: Path) -> str | None:
    """Return a warning of limits beside a manifest that are not those of its output folder; None without such ones."""
    used, beside = output.absolute().with_name(FILE_NAME), manifest.absolute().with_name(FILE_NAME)
    if not beside.is_file() or (used.is_file() and used.samefile(beside)):
        return None
    return f"{beside} is not used: it belongs beside the output folder, {output.absolute()}"


def _spent(output: Path, month: str) -> Decimal:
    from batchgen.shared_limits.amounts import amount_of
    from batchgen.shared_limits.books import DATABASE_NAME, SharedBooks, book_errors

    path = output / DATABASE_NAME
    if not path.exists():
        return Decimal(0)
    with book_errors(path), closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        return amount_of(SharedBooks(db, path).committed(month, ""))
