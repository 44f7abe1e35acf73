"""Counts journals into the shared books: a run's own as it starts and ends, and those of runs that stand still."""

import logging
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

from batchgen.core.errors import BatchgenError, RunFolderError
from batchgen.core.text import dollars, plural, printable
from batchgen.journal import FILE_NAME, Journal, is_simulated, open_for_reading, sqlite_errors
from batchgen.journal.lock import owner
from batchgen.journal.merging.marks import merged_into, merged_runs
from batchgen.journal.queries.months import open_jobs, run_id, spent_between
from batchgen.journal.queries.report_rows import facts_of
from batchgen.policy.budget_port import Purchase
from batchgen.shared_limits import SharedLimits
from batchgen.shared_limits.amounts import amount_of, units
from batchgen.shared_limits.books import KnownRun, SharedBooks
from batchgen.shared_limits.months import Month, month_at
from batchgen.shared_limits.orders import Claim, Spent, Sums

log = logging.getLogger("batchgen")

_NAMED = 5


def count_others(
    books: SharedBooks, limits: SharedLimits, month: Month, own: Path | None, tell: Callable[[str], None]
) -> None:
    """Count the other runs of the output folder, as far as their records have changed since they were counted last.

    A run that goes on and takes part counts for itself.
    """
    for path in sorted(books.path.parent.glob(f"*/{FILE_NAME}")):
        if path.parent.resolve() != own:
            while not _counted(books, limits, month, path, tell):
                pass  # it was run meanwhile


def _counted(books: SharedBooks, limits: SharedLimits, month: Month, path: Path, tell: Callable[[str], None]) -> bool:
    """Count another run, and return True; False if what was read of it is out of date by now."""
    folder = path.parent.resolve()
    if _is_counted_with_another(folder):
        return True
    looks = _looks_of(folder, limits, month)
    before = books.run_in(str(folder))
    if _counts_for_itself(before, folder) or (before is not None and before.counted == looks):
        return True
    try:
        with closing(open_for_reading(path)) as db, sqlite_errors(path):
            facts = facts_of(db)
            known = KnownRun(_id_of(books, run_id(db), folder), facts.get("run", folder.name), str(folder), looks)
            months = (month.previous, month)
            spent = {} if is_simulated(facts) else _spent(db, limits, months)
    except RunFolderError as error:
        tell(f"{error}; it counts against the month's budget with what was known of it last")
        return True
    with books.transaction():
        # What it has bought since it was read must not be lost, whether it takes part by now or has ended again.
        if _counts_for_itself(books.run_in(str(folder)), folder):
            return True
        goes_on = owner(folder) is not None
        if not goes_on and _looks_of(folder, limits, month) != looks:
            return False
        _replace(books, known, months, spent, (), merged=merged_runs(facts))
    if goes_on and limits.has_budget and not is_simulated(facts):
        tell(
            f"{printable(known.name, 64)} is running and has no share in the month's budget yet: unless it has just"
            " started, what it buys from now on is counted only when it has ended"
        )
    return True


def _counts_for_itself(known: KnownRun | None, folder: Path) -> bool:
    return known is not None and known.takes_part and owner(folder) is not None


def count_run(
    books: SharedBooks, known: KnownRun, journal: Journal, limits: SharedLimits, month: Month
) -> tuple[Claim, ...]:
    """Count an open run's journal, and return the jobs that go on."""
    months = (month.previous, month)
    spent = _spent(journal.db, limits, months)
    claims = tuple(_claims(journal, limits))
    with books.transaction():
        _replace(books, known, months, spent, claims, merged=merged_runs(journal.facts()))
    return claims


def _replace(
    books: SharedBooks, known: KnownRun, months: tuple[Month, ...], spent: Spent, claims: Iterable[Claim],
    *, merged: Iterable[str],
) -> None:  # fmt: skip
    """Note what a run's journal says, in the place of what is noted of it and of the runs that were merged into it."""
    for run in merged:
        books.forget(run)
    books.replace(known, [each.name for each in months], spent, claims)


def _is_counted_with_another(folder: Path) -> bool:
    """Whether a run was merged into another one beside it, and so counts with that one."""
    try:
        into = merged_into(folder)
    except RunFolderError:
        return False  # twice is safer than never
    return into is not None and into.parent.resolve() == folder.parent and (into / FILE_NAME).exists()


def leave(books: SharedBooks, known: KnownRun, journal: Journal, limits: SharedLimits, month: Month) -> None:
    """Count a run's journal once more. A fault here must not hide an earlier one: the next start counts again."""
    try:
        with sqlite_errors(journal.path):
            if journal.intact():
                count_run(books, known, journal, limits, month)
        with books.transaction():
            books.leave(known.id)
    except BatchgenError as error:
        log.warning("the month's budget: %s; the next run counts this one anew", error)


def _spent(db: sqlite3.Connection, limits: SharedLimits, months: tuple[Month, ...]) -> Spent:
    spent: Spent = {}
    for month in months:
        for group in spent_between(db, month.start, month.end):
            for scope in limits.scopes_of(group.tags):
                spent.setdefault((month.name, scope), Sums()).add(
                    units(group.charged) * group.attempts, units(group.in_doubt) * group.attempts
                )
    return spent


def _claims(journal: Journal, limits: SharedLimits) -> Iterator[Claim]:
    for job in open_jobs(journal.db):
        month = month_at(job.submitted_at, limits.zone).name
        purchase = Purchase(job.item_id, job.attempt, tuple(job.tags.items()), job.submitted_at)
        yield Claim(job.item, purchase, month, limits.scopes_of(job.tags), 0, job.price_key)


def known_run(books: SharedBooks, journal: Journal, folder: Path) -> KnownRun:
    name = journal.facts().get("run", folder.name)
    return KnownRun(_id_of(books, run_id(journal.db), folder), name, str(folder), "", takes_part=True)


def _id_of(books: SharedBooks, found: str, folder: Path) -> str:
    """Return a run's name in the books: that of its folder, unless another folder, of which it is a copy, has that."""
    for run in books.runs():
        if run.id == found and run.folder != str(folder) and (Path(run.folder) / FILE_NAME).exists():
            return f"{found} {folder}"
    return found


def _looks_of(folder: Path, limits: SharedLimits, month: Month) -> str:
    """Return what tells whether a run's records, or what they are counted by, have changed."""
    marks = []
    for name in (FILE_NAME, f"{FILE_NAME}-wal"):
        try:
            found = (folder / name).stat()
        except OSError:
            continue
        if found.st_size:  # an empty log appears where somebody reads
            marks.append(f"{found.st_size} {found.st_mtime_ns}")
    return " / ".join([*marks, month.name, limits.zone_name, *sorted(limits.budgets())])


def without_folder(books: SharedBooks) -> list[KnownRun]:
    """Return the runs whose folder is gone, or another run's by now."""
    runs = books.runs()
    known = Counter(run.folder for run in runs)
    return [run for run in runs if _is_gone(run, several=known[run.folder] > 1)]


def _is_gone(run: KnownRun, *, several: bool) -> bool:
    path = Path(run.folder) / FILE_NAME
    if not path.exists():
        return True
    if not several:
        return False
    try:
        with closing(open_for_reading(path)) as db, sqlite_errors(path):
            return run.id.split(" ")[0] != run_id(db)
    except RunFolderError:
        return False  # whose it is cannot be told


def gone_runs(books: SharedBooks, month: Month) -> list[tuple[KnownRun, Sums]]:
    """Return the runs whose folder is gone, with what they have spent in the month; those without a charge left out."""
    found = ((run, books.spent_of(run.id, month.name)) for run in without_folder(books))
    return [(run, spent) for run, spent in found if spent.committed]


def tell_of_the_gone(books: SharedBooks, month: Month, tell: Callable[[str], None]) -> None:
    gone = gone_runs(books, month)
    if not gone:
        return
    names = ", ".join(
        f"{printable(run.name, 64)} ({dollars(amount_of(spent.committed))})" for run, spent in gone[:_NAMED]
    )
    more = f", and {len(gone) - _NAMED:,} more" if len(gone) > _NAMED else ""
    tell(
        f"{plural(len(gone), 'run')} whose {'folder is' if len(gone) == 1 else 'folders are'} gone still"
        f" {'counts' if len(gone) == 1 else 'count'} against the month's budget: {names}{more}; `batchgen ledger"
        " --forget RUN --yes` counts it no longer"
    )
