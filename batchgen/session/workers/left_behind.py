"""What workers have left on this machine: their journals and receipts, in `workers/START` of the run folder.

A start owns its folder for as long as it can send anything. So whoever gets hold of it knows that the start is over,
and that its receipts say which requests have left: those with an intent, and no others. Receipts that are damaged, or
gone since the folder was removed by half, prove nothing of what they do not name.
"""

import shutil
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from batchgen import receipts
from batchgen.api import Job, JobStatus
from batchgen.core.clock import utc_now
from batchgen.core.errors import RunFolderError
from batchgen.core.records import UNANSWERED, State
from batchgen.journal import Attempt, Journal, moment, own
from batchgen.receipts.reading import open_receipts

WORKERS = "workers"
"""The folder of all starts in a run folder."""
_WAIT = 60.0
"""Seconds to wait for starts that have lost their coordinator: they try to tell what they did for 40 s, and end."""
_LOOK_EVERY = 0.25
_UNANSWERED = "the worker ended while the request was on its way"


@dataclass(frozen=True, slots=True)
class Accepted:
    """A request was answered with a job."""

    job: Job
    at: datetime


Outcome = Accepted | Literal["unanswered", "unsent"]
"""What became of a request: `unanswered` may have been charged; `unsent` was not, whether it left or was refused."""


def outcomes(
    run_folder: Path, start: str, purchases: Collection[str], perhaps: Collection[str] = ()
) -> Mapping[str, Outcome] | None:
    """Return what became of each of these purchases of a start, by what it has left behind.

    Of those that are `perhaps` its own, only what it has written of them. None where it has left nothing on this
    machine, may still be at work, or its receipts cannot be read.
    """
    folder = run_folder / WORKERS / start
    if not folder.is_dir():
        return None
    try:
        with own(folder, utc_now()):
            return outcomes_in(folder, purchases, perhaps)
    except RunFolderError:
        return None


def outcomes_in(folder: Path, purchases: Collection[str], perhaps: Collection[str] = ()) -> Mapping[str, Outcome]:
    """As `outcomes`, for the folder of a start that is certainly over. Raises RunFolderError."""
    wanted, found, kinds = {*purchases, *perhaps}, dict[str, Outcome](), set[str]()
    with open_receipts(folder / receipts.FILE_NAME) as file:
        for line in file.lines() if file is not None else ():
            kinds.add(line.kind)
            purchase = line.content.get(line.kind)
            if purchase not in wanted or isinstance(found.get(purchase), Accepted):
                continue
            match line.kind:
                case "intent":
                    found[purchase] = "unanswered"
                case "void":
                    found[purchase] = "unsent"
                case "ended" if line.content["state"] == State.REJECTED:
                    found[purchase] = "unsent"
                case "accepted":
                    found[purchase] = _accepted(line.content)
    whole = "receipts" in kinds and "" not in kinds
    return dict.fromkeys(purchases, "unsent" if whole else "unanswered") | found


def _accepted(line: dict[str, Any]) -> Accepted:
    expires = line.get("expires")
    job = Job(
        line["job"], JobStatus.PROCESSING, cost=Decimal(line["charged"]),
        expires_at=None if expires is None else moment(expires),
    )  # fmt: skip
    return Accepted(job, moment(line["at"]))


def remove(run_folder: Path, start: str) -> None:
    """Remove what a start has left behind, unless it may still be at work: the next run looks at it then."""
    folder = run_folder / WORKERS / start
    if folder.is_dir():
        with suppress(RunFolderError), own(folder, utc_now()):
            shutil.rmtree(folder, ignore_errors=True)


def take_in(
    journal: Journal, run_folder: Path, tell: Callable[[str], None], *, wait: float = _WAIT,
    stopped: Callable[[], bool] = lambda: False,
) -> None:  # fmt: skip
    """Take over what the workers of earlier invocations have left on this machine, before anything is bought.

    Those that are still at work are waited for, which is told, for `wait` seconds at most; what they leave in doubt
    then is taken over by a later invocation. Nobody is waited for once it is `stopped`. Raises DiskError.
    """
    starts = starts_in(run_folder)
    if not starts:
        return
    deadline, told = time.monotonic() + wait, False
    unanswered = {one.purchase: one for state in UNANSWERED.ordered for one in journal.unsettled(state)}
    lent = journal.lent_out()
    # A journal that was rebuilt from the receipts does not know who was granted what.
    perhaps = unanswered.keys() - {purchase for purchase, _ in lent}
    for start in starts:
        purchases = [purchase for purchase, holder in lent if holder == start]
        while (found := outcomes(run_folder, start, purchases, perhaps)) is None:
            if stopped() or time.monotonic() >= deadline:
                break
            if not told:
                told = True
                tell(f"workers of an earlier run are still at work: waiting for them, {wait:.0f} s at most")
            time.sleep(_LOOK_EVERY)
        if found is not None:
            with journal.transaction():
                for purchase, outcome in found.items():
                    _take(journal, unanswered[purchase], outcome)
            remove(run_folder, start)


def starts_in(run_folder: Path) -> list[str]:
    """Return the starts that have left something in a run folder, or are still at work there."""
    folder = run_folder / WORKERS
    return sorted(path.name for path in folder.iterdir() if is_start(path.name)) if folder.is_dir() else []


def is_start(name: str) -> bool:
    """Return whether a folder in `WORKERS` is that of a start."""
    return len(name) == 16 and set(name) <= set("0123456789abcdef")


def _take(journal: Journal, attempt: Attempt, outcome: Outcome) -> None:
    submitting = attempt.state is State.SUBMITTING
    match outcome:
        case Accepted(job, at):
            if submitting or not journal.knows_job(job.id):
                journal.accept_or_doubt(attempt, job, b"", at)
        case "unsent" if submitting:
            journal.cancel_intent(attempt)
        case "unsent":  # it was given up while it lived, and has taken its request back since
            journal.settle_as_not_charged(attempt, utc_now())
        case "unanswered" if submitting:
            journal.doubt(attempt, _UNANSWERED)
