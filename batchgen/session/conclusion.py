"""What is written once a run has ended: ledger and summary; or what is rescued where its folder is gone."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from itertools import count

from batchgen.core.clock import utc_now
from batchgen.core.errors import DiskError, OutsideError
from batchgen.core.records import State
from batchgen.core.text import usd
from batchgen.journal import Journal, is_simulated
from batchgen.journal.queries.judged import flagged_of
from batchgen.journal.queries.report_rows import present_files
from batchgen.journal.queries.run_status import waiting_items
from batchgen.policy.stopping import exit_code
from batchgen.receipts import FILE_NAME
from batchgen.scheduler import Ending
from batchgen.session.checks.evidence import note_ledger
from batchgen.session.checks.unchanged import write_ledger_if_changed
from batchgen.session.summary import Summary, write_summary
from batchgen.standing.commands import continuing, reaching
from batchgen.standing.failures import failures_of
from batchgen.standing.last_run import last_run_fact, last_run_of
from batchgen.standing.next_steps import Situation, next_steps
from batchgen.store import address_of, store_of

log = logging.getLogger("batchgen")


def conclude(name: str, journal: Journal, ending: Ending, only: Sequence[str] = ()) -> Summary:
    """Write ledger and summary, and return the summary. `only` are the patterns that select its items.

    Raises DiskError, and OutsideError as `rescue` does.
    """
    folder = journal.path.parent
    if not journal.intact():
        raise rescue(journal)
    counts: dict[State, int] = journal.counts()
    simulated = is_simulated(journal.facts())
    missing, fewer = _missing_files(journal), journal.fewer_outputs()
    totals = write_ledger_if_changed(name, journal)
    code = exit_code(ending.stop, counts, failures=ending.failures, missing=missing + fewer + ending.source_expired)
    with journal.transaction():
        note_ledger(journal, folder)
        _note_end(journal, ending, code)
    flagged, waiting = flagged_of(journal.db), waiting_items(journal.db)
    facts, stopped_because = journal.facts(), None if ending.stop is None else ending.stop.word
    situation = Situation(
        folder=folder,
        command=continuing(facts, only, stopped_because),
        reach=reaching(facts),
        counts=counts,
        stopped_because=stopped_because,
        waiting=waiting.for_pick,
        kept_until=waiting.kept_until,
        source_expired=ending.source_expired,
        missing=missing,
        fewer=fewer,
        unjudged=flagged.unjudged,
        failures=ending.failures,
    )
    summary = Summary(
        run=name,
        folder=folder,
        counts=counts,
        totals=totals,
        simulated=simulated,
        stop=ending.stop,
        detail=ending.detail,
        failures=ending.failures,
        flagged=flagged,
        failures_by_cause=failures_of(journal.db, facts, only),
        missing=missing,
        fewer=fewer,
        advice=ending.advice,
        clock=ending.clock,
        steps=next_steps(situation),
        source_expired=ending.source_expired,
        exit_code=code,
        outputs=address_of(facts),
    )
    write_summary(summary)
    log.info("finished with exit code %d", summary.exit_code)
    return summary


def _note_end(journal: Journal, ending: Ending, code: int) -> None:
    ended = replace(
        last_run_of(journal.facts()),
        ended_at=utc_now(),
        stopped_because=None if ending.stop is None else ending.stop.word,
        detail=ending.detail,
        exit_code=code,
    )
    journal.note(**last_run_fact(ended))


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
    store = store_of(journal.path.parent, journal.facts())
    if store.remote:
        return 0  # the store has confirmed each; a question about every one would cost more than it tells

    def is_there(name: str, length: int) -> bool:
        try:
            return store.length(name) == length
        except DiskError:  # what cannot be looked at is missing to whoever wants to use it
            return False

    return sum(not is_there(name, length) for name, length in present_files(journal.db))
