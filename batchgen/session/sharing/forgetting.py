"""Letting go of a run whose folder is gone: what it has spent counts against the month's budget no longer."""

from pathlib import Path

from batchgen.core.clock import utc_now
from batchgen.core.errors import ConsentNeeded, UsageError
from batchgen.core.text import dollars, printable
from batchgen.session.sharing.counting import without_folder
from batchgen.shared_limits import read_limits
from batchgen.shared_limits.amounts import amount_of
from batchgen.shared_limits.books import DATABASE_NAME, KnownRun, SharedBooks, open_books
from batchgen.shared_limits.months import month_at


def forget_run(output: Path, wanted: str, *, agreed: bool) -> str:
    """Let go of a run by its name or by the folder that it had; return one sentence that says what it had spent.

    Raises UsageError where no such run is known or its folder is still there, ConsentNeeded unless `agreed`.
    """
    if not (output / DATABASE_NAME).exists():
        raise UsageError(f"the runs in {output} share no budget: there is nothing to forget")
    limits = read_limits(output)
    with open_books(output) as books:
        run = _chosen(books, wanted, output)
        spent = books.spent_of(run.id, month_at(utc_now(), limits.zone).name)
        count = dollars(amount_of(spent.committed))
        doubts = f", {dollars(amount_of(spent.in_doubt + spent.reserved))} of it in doubt" * bool(
            spent.in_doubt + spent.reserved
        )
        if not agreed:
            raise ConsentNeeded(
                f"{printable(run.name, 64)} counts with {count} against this month's budget{doubts}; if that is not"
                " to count any longer, add --yes"
            )
        with books.transaction():
            books.forget(run.id)
    return f"{printable(run.name, 64)} is forgotten: {count} of this month counts no longer{doubts}"


def _chosen(books: SharedBooks, wanted: str, output: Path) -> KnownRun:
    fitting = [
        run for run in books.runs() if wanted in (run.name, run.folder) or run.folder == str(Path(wanted).absolute())
    ]
    gone = [run for run in without_folder(books) if run in fitting]
    if not fitting:
        raise UsageError(f"no run {printable(wanted, 200)} is known in {output}")
    if not gone:
        raise UsageError(
            f"the run folder {fitting[0].folder} is still there, so it counts against the month's budget; only runs"
            " whose folder is gone can be forgotten"
        )
    if len(gone) > 1:
        folders = ", ".join(run.folder for run in gone)
        raise UsageError(f"several runs {printable(wanted, 200)} are gone: name one by its folder: {folders}")
    return gone[0]
