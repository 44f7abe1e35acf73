"""What is written once a run has ended: ledger and summary; or what is rescued where its folder is gone."""

import logging
from itertools import count

from batchgen.core.errors import DiskError, OutsideError
from batchgen.core.records import State
from batchgen.core.text import usd
from batchgen.journal import Journal, is_simulated
from batchgen.journal.queries.report_rows import present_files
from batchgen.ledger import cost_report, run_charges, write_ledger
from batchgen.policy.stopping import exit_code
from batchgen.receipts import FILE_NAME
from batchgen.scheduler import Ending
from batchgen.session.checks.evidence import note_ledger
from batchgen.session.summary import Summary, write_summary
from batchgen.store import LocalDisk

log = logging.getLogger("batchgen")


def conclude(name: str, journal: Journal, ending: Ending) -> Summary:
    """Write ledger and summary, and return the summary. Raises DiskError, and OutsideError as `rescue` does."""
    folder = journal.path.parent
    if not journal.intact():
        raise rescue(journal)
    counts: dict[State, int] = journal.counts()
    simulated = is_simulated(journal.facts())
    missing, fewer = _missing_files(journal), journal.fewer_outputs()
    totals = write_ledger(name, folder)
    with journal.transaction():
        note_ledger(journal, folder)
    summary = Summary(
        run=name,
        folder=folder,
        counts=counts,
        totals=totals,
        costs=cost_report("model", run_charges(folder), unique=True, simulated=simulated),
        simulated=simulated,
        stop=ending.stop,
        detail=ending.detail,
        failures=ending.failures,
        missing=missing,
        fewer=fewer,
        advice=ending.advice,
        clock=ending.clock,
        exit_code=exit_code(ending.stop, counts, failures=ending.failures, missing=missing + fewer),
    )
    write_summary(summary)
    log.info("finished with exit code %d", summary.exit_code)
    return summary


def rescue(journal: Journal) -> OutsideError:
    """Return what is known of a run whose folder is gone. The receipts are still open, and are written beside it."""
    folder = journal.path.parent
    counts, spend = journal.counts(), journal.spend()
    place = next(p for n in count(1) if not (p := folder.with_name(f"{folder.name}.rescued-{n}.jsonl")).exists())
    folder.parent.mkdir(parents=True, exist_ok=True)
    journal.receipts.copy_to(place)
    stand = ", ".join(f"{number:,} {state.replace('_', ' ')}" for state, number in sorted(counts.items()) if number)
    return OutsideError(
        f"{folder} was deleted or replaced during the run, so buying stopped. What is known: {stand};"
        f" ${usd(spend.charged)} charged, ${usd(spend.refunded)} refunded, ${usd(spend.in_doubt)} in doubt. The"
        f" receipts were saved as {place}: restore the folder, or put them as {FILE_NAME} into an empty {folder} and"
        f" run `batchgen recover {folder} MANIFEST` to get back what is paid for"
    )


def _missing_files(journal: Journal) -> int:
    """Return how many files that were bought are not there, or have another length; `verify` looks closer."""
    store = LocalDisk(journal.path.parent)

    def is_there(name: str, length: int) -> bool:
        try:
            return store.length(name) == length
        except DiskError:  # what cannot be looked at is missing to whoever wants to use it
            return False

    return sum(not is_there(name, length) for name, length in present_files(journal.db))
