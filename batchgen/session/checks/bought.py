"""Leaves out of an item table what was bought elsewhere, as other run folders, ledgers and lists show it."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

from batchgen.core.errors import UsageError
from batchgen.item_table import bought_elsewhere
from batchgen.journal import FILE_NAME
from batchgen.ledger import LEDGER_NAME
from batchgen.ledger.bought import bought_in, purchases
from batchgen.ledger.charges import run_charges
from batchgen.session.locate import is_run


def skip_bought(table: Path, given: Sequence[Path], listed: Sequence[Path] = (), *, simulated: bool) -> int:
    """Leave items out of an item table that other books show as bought, or as perhaps bought; return how many.

    `given` are the books of `--skip-bought`, `listed` those of the manifest's `run.bought`; `simulated` counts
    pretend money too. A folder of lists is a team's, and grows from manifest to manifest; a single book that fits
    nothing is more likely the wrong one. Raises UsageError, then too, and RunFolderError.
    """
    if not given and not listed:
        return 0
    lists = {folder: sorted(folder.glob("*.csv")) for folder in given if folder.is_dir() and not is_run(folder)}
    with bought_elsewhere(table) as bought:
        for books in given:
            if not lists.get(books) and not bought.add(_pairs(books, simulated=simulated)):
                raise UsageError(f"--skip-bought {books}: none of its purchases are in this manifest")
        for books in itertools.chain(listed, *lists.values()):
            bought.add(_pairs(books, simulated=simulated))
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
