"""Leaves out of an item table what was bought elsewhere, as other run folders, ledgers and lists show it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from batchgen.core.errors import UsageError
from batchgen.item_table import bought_elsewhere
from batchgen.journal import FILE_NAME
from batchgen.ledger import LEDGER_NAME, run_charges
from batchgen.ledger.bought import bought_in, purchases


def skip_bought(table: Path, given: Sequence[Path], listed: Sequence[Path] = (), *, simulated: bool) -> int:
    """Leave items out of an item table that other books show as bought, or as perhaps bought; return how many.

    `given` are the books of `--skip-bought`, `listed` those of the manifest's `run.bought`; `simulated` counts
    pretend money too. Raises UsageError, also where what was given fits nothing, and RunFolderError.
    """
    if not given and not listed:
        return 0
    with bought_elsewhere(table) as bought:
        for books in (*given, *listed):
            if not bought.add(_pairs(books, simulated=simulated)) and books in given:
                raise UsageError(f"--skip-bought {books}: none of its purchases are in this manifest")
        return bought.leave_out()


def _pairs(books: Path, *, simulated: bool) -> Iterator[tuple[str, str]]:
    """Yield id and digest of the purchases in a run folder, a ledger or a list. Raises RunFolderError, UsageError."""
    if books.is_dir():
        yield from _of_folder(books, simulated=simulated)
        return
    file = books.resolve()
    journal = file.with_name(FILE_NAME)
    # The ledger is behind while a run goes on, and after one that was killed; the journal beside it never is. One
    # without a byte knows nothing: its making was cut short.
    if journal.is_file() and journal.stat().st_size:
        yield from _of_folder(file.parent, simulated=simulated)
        if file.name == LEDGER_NAME:
            return
    yield from bought_in(file, simulated=simulated)


def _of_folder(folder: Path, *, simulated: bool) -> Iterator[tuple[str, str]]:
    for charge in purchases(run_charges(folder), simulated=simulated):
        yield charge.item_id, charge.digest
