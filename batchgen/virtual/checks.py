"""What must be true of a journal and the provider's books, always and at the end. Each check returns what is wrong."""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path

from batchgen.core.records import COMPLETED, LIVE, Item, State
from batchgen.download import check_file
from batchgen.journal import Journal
from batchgen.journal.queries.purchases import job_rows, sent_inputs, unanswered_by_digest
from batchgen.journal.queries.report_rows import file_rows
from batchgen.provider import Books
from batchgen.provider.pictures import foreign, picture
from batchgen.scheduler import Ending, RunState
from batchgen.store import LocalDisk
from batchgen.virtual.chain_checks import check_left, check_standing
from batchgen.virtual.observed import Observed, Told
from batchgen.virtual.provider import VirtualProvider
from batchgen.virtual.public_addresses import pictures_in

_ZERO = Decimal(0)


def check_books(journal: Journal, provider: VirtualProvider, consented: Mapping[str, int]) -> Iterator[str]:
    """Compare a journal with the books, at any time: also valid after a crash at any point.

    `consented` is how often each body (by digest) may be bought.
    """
    books = provider.books
    for digest, times in books.accepted.items():
        if times > consented.get(digest, 0):
            yield f"the body {digest[:8]} was accepted {times} times, and {consented.get(digest, 0)} were agreed to"
    for digest, jobs in forgotten(journal.db, books).items():
        if jobs > 0:
            yield f"{jobs} jobs for the body {digest[:8]} were accepted and are forgotten"
    yield from _charges(journal.db, provider)
    for job_id, inputs in sent_inputs(journal.db):
        recorded = {(place, job, output) for place, _, output, job, _ in json.loads(inputs)}
        job = provider.books.jobs.get(job_id)
        sent = {(p.place, p.job_id, p.output) for p in pictures_in(job.body)} if job is not None else recorded
        if recorded != sent:
            yield f"{job_id} was sent with {sent}, and the journal says {recorded}"


def forgotten(db: sqlite3.Connection, books: Books) -> Counter[str]:
    """Return how many accepted jobs of each body are in the journal neither by their id nor as an attempt in doubt."""
    known = {row.job_id for row in job_rows(db)}
    unknown = Counter(job.digest for job in books.jobs.values() if job.id not in known)
    doubtful = unanswered_by_digest(db)
    return Counter({digest: jobs - doubtful.get(digest, 0) for digest, jobs in unknown.items()})


def _charges(db: sqlite3.Connection, provider: VirtualProvider) -> Iterator[str]:
    """Check that journal and books agree on what was paid, job by job."""
    for job_id, account, state, charged, refunded in job_rows(db):
        job = provider.books.jobs.get(job_id)
        if job is None:
            yield f"the journal has {job_id}, which the provider never accepted"
            continue
        if job.account != account:
            yield f"{job_id} is booked under {account}, and {job.account} bought it"
        if charged is None or not _right(state, Decimal(charged), job.cost, provider.observed.jobs[job_id]):
            yield f"{job_id} cost {job.cost}, and the journal says {charged}, {state}"
        if (state == State.FAILED) != (refunded is not None):
            yield f"{job_id} is {state}, with the refund {refunded}"
        if refunded is not None and (not job.refund(provider.clock.seconds) or refunded != charged):
            yield f"{job_id} was never refunded {refunded}"


def _right(state: str, charged: Decimal, cost: Decimal, told: Told) -> bool:
    """Whether a charge is what the API said of a job last; before the end, the answer may have come to a dead run."""
    if told.named is None:
        return True  # it never arrived what it cost: the expected price stands
    if state in COMPLETED:
        return charged == told.named
    return charged in (cost, told.posted, told.named) or told.posted is None


def check_files(journal: Journal, folder: Path) -> Iterator[str]:
    """Check that every file in the journal is on disk, complete, and the right output."""
    places: Counter[str] = Counter()
    for row in file_rows(journal.db):
        places[row.file.path] += 1
        if fault := check_file(LocalDisk(folder), row.file, hash=True):
            yield f"{row.file.path} {fault}"
        elif (folder / row.file.path).read_bytes() not in (
            make(str(row.job_id), row.file.output) for make in (picture, foreign)
        ):
            yield f"{row.file.path} is not output {row.file.output} of {row.job_id}"
    yield from (f"{count} outputs share {path}" for path, count in places.items() if count > 1)


def check_end(run_state: RunState, journal: Journal, ending: Ending) -> Iterator[str]:
    """What a run that ended in order believes is what the journal says, and it left nothing undone without a reason."""
    counts = {state: count for state, count in run_state.counts.items() if count}
    if counts != journal.counts():
        yield f"the run counts {_words(counts)}, the journal {_words(journal.counts())}"
    life, spend = run_state.budget.life, journal.spend()
    believed = life.charged, life.refunded, life.in_doubt, life.surplus
    if believed != (spend.charged, spend.refunded, spend.in_doubt, spend.surplus):
        yield f"the run believes in {life}, the journal in {spend}"
    for money in (life, run_state.budget.invocation):
        if money.reserved:
            yield f"${money.reserved} are still reserved"
    if run_state.budget.unconfirmed and State.PROCESSING not in counts:
        yield f"prices are still to be confirmed: {run_state.budget.unconfirmed}"
    if not 0 <= run_state.in_flight <= counts.get(State.PROCESSING, 0):
        yield f"{run_state.in_flight} in flight at the end, with {_words(counts)}"
    if State.SUBMITTING in counts:
        yield f"a submission is open at the end: {_words(counts)}"
    startable = journal.startable() if run_state.policy.buying else 0
    if ending.stop is None and (LIVE & counts.keys() or startable):
        yield f"the run ended for no reason, with {_words(counts)}, of which {startable} could be bought"
    yield from check_standing(journal.db)
    if ending.stop is None and run_state.policy.buying:
        yield from check_left(journal.db)
        with journal.transaction():
            journal.settle_chains()
        if journal.counts() != (before := {state: count for state, count in counts.items() if count}):
            yield f"chains were left as {_words(before)} and should be {_words(journal.counts())}"
    if ending.stop is not None and ending.stop.finishes and not run_state.drained and State.PROCESSING in counts:
        yield f"paid work was left ({ending.stop.word}), with {_words(counts)}"


def surprise(run_state: RunState, observed: Observed, estimates: Mapping[str, Decimal]) -> Decimal:
    """Return by how much a cap may be passed (docs/reliability.md, "What a cap can be passed by"), USD.

    One open request, and each in doubt, may cost more than the tables say (`estimates`, by price key); and what is
    open under a confirmed price more than that, where the provider changes it. 0 where all cost what the tables say.
    """
    spread = {key: observed.spread[key] for key in estimates if key in observed.spread}
    dearer = max((most - estimates[key] for key, (_, most) in spread.items()), default=_ZERO)
    changed = max((most - least for least, most in spread.values()), default=_ZERO)
    return max(_ZERO, dearer) * (1 + run_state.counts[State.IN_DOUBT]) + changed * observed.most_open


def check_caps(run_state: RunState, net: Decimal, surprise: Decimal) -> Iterator[str]:
    """The caps hold at this moment, by the run's own figures and by the books (`net`, USD), but for the `surprise`."""
    budget, settings = run_state.budget, run_state.policy.settings
    for money, cap in ((budget.life, settings.max_cost), (budget.invocation, settings.budget)):
        if money.reserved < 0:
            yield f"${money.reserved} are reserved"
        # Added up here, and not taken from `Money.committed`, which is what is being checked.
        committed = money.charged + money.surplus + money.reserved + money.in_doubt - money.refunded
        if cap is not None and committed > cap + surprise:
            yield f"${committed} are committed, and the cap is {cap}, with {surprise} of surprise"
    if settings.max_cost is not None and net > settings.max_cost + surprise:
        yield f"${net} were paid, and the cap is {settings.max_cost}"
    if run_state.in_flight < 0:
        yield f"{run_state.in_flight} are in flight"


def consent_to(items: Iterable[Item]) -> Counter[str]:
    """Return how often each body may be bought: once for each item that asks for it."""
    return Counter(item.digest for item in items)


def _words(counts: Mapping[State, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
