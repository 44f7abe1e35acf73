"""Settling items in doubt: by a job id that the API confirms, or by what the user found in the provider's billing.

Everything is checked before anything is written, so that a list of settlements is taken as a whole or not at all.
"""

import csv
import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from batchgen.api import Api, Found, Job, Unauthorized, Unknown
from batchgen.core.cells import text_cell, unguarded
from batchgen.core.errors import OutsideError, UsageError
from batchgen.core.files import staged_text
from batchgen.core.records import State
from batchgen.core.text import printable, stamp, usd
from batchgen.item_table.pictures import with_stand_ins
from batchgen.journal import Attempt, Journal
from batchgen.journal.queries.run_status import Doubt, doubts
from batchgen.session.connection.account import Access, call_api
from batchgen.session.run_folder import bind_account


class How(StrEnum):
    """How a doubt is settled."""

    JOB = "job"
    """It became this job: adopt it, poll it, fetch its files."""
    NOT_CHARGED = "not_charged"
    """It never was: the item is pending again."""
    CHARGED = "charged"
    """It was paid for, and nothing can be found: lost money."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """One decision about one item in doubt."""

    item_id: str
    how: How
    job_id: str = ""
    digest: str = ""
    """Tells an edited item's attempts apart; empty where there is one only."""
    where: str = ""
    """`FILE:LINE: ` of an import, for messages."""


COLUMNS = (
    "item_id", "attempt", "request_digest", "model", "submitted_at", "in_doubt_usd", "reason", "how", "job_id", "note",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Proposal:
    """What is filled in for a doubt: nothing where it is empty."""

    how: How | None = None
    job_id: str = ""
    note: str = ""
    """For the person who reads the list; not read again."""


def export_doubts(
    db: sqlite3.Connection, path: Path, propose: Callable[[Doubt], Proposal] = lambda _: Proposal()
) -> int:
    """Write what is in doubt to a CSV file whose columns `how` and `job_id` are to be filled in; return the rows.

    `db` is a journal, open for reading. Raises UsageError where the file exists: it may be filled in already.
    """
    if os.path.lexists(path):
        raise UsageError(f"{path} exists already, and may be filled in; move it away, or export to another file")
    rows = 0
    with staged_text(path) as out:
        writer = csv.writer(out)
        writer.writerow(COLUMNS)
        for doubt in doubts(db):
            rows += 1
            proposal = propose(doubt)
            when, price = stamp(doubt.submitted_at), usd(doubt.reserved)
            cells = (doubt.item_id, doubt.number, doubt.digest, doubt.model, when, price, text_cell(doubt.reason))
            filled = (proposal.how or "", text_cell(proposal.job_id), text_cell(proposal.note))
            writer.writerow((*cells, *filled))
    return rows


def import_settlements(path: Path, name: str | None = None) -> list[Settlement]:
    """Read a file as written by `export_doubts`; rows whose `how` is empty are left as they are.

    `name` is what messages call the file; None: its path. Raises UsageError.
    """
    name = name or str(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            return list(_settlements(name, csv.DictReader(lines)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"cannot read {name}: {getattr(error, 'strerror', None) or error}") from error


def _settlements(name: str, reader: "csv.DictReader[str]") -> Iterator[Settlement]:
    missing = {"item_id", "request_digest", "how", "job_id"} - set(reader.fieldnames or ())
    if missing:
        raise UsageError(f"{name} lacks the columns {', '.join(sorted(missing))}; `--export` writes such a file")
    for row in reader:
        where = f"{name}:{reader.line_num}: "
        word = (row["how"] or "").strip().replace("-", "_")  # as the flags are spelled
        if not word:
            continue
        if word not in tuple(How):
            raise UsageError(f"{where}how must be {', '.join(How)} or empty, not {printable(word, 40)!r}")
        job_id = unguarded((row["job_id"] or "").strip())
        if (word == How.JOB) != bool(job_id):
            raise UsageError(f"{where}job_id must be given where how is job, and empty elsewhere")
        yield Settlement(
            (row["item_id"] or "").strip(), How(word), job_id, (row["request_digest"] or "").strip(), where
        )


def match(journal: Journal, settlements: Iterable[Settlement]) -> list[tuple[Settlement, Attempt]]:
    """Return each settlement with its attempt.

    Raises UsageError for one that fits none, or several, and for a job that two of them name.
    """
    by_id: dict[str, list[Attempt]] = {}
    for attempt in journal.unsettled(State.IN_DOUBT):
        by_id.setdefault(attempt.work.item.id, []).append(attempt)
    matched: list[tuple[Settlement, Attempt]] = []
    taken: set[int] = set()
    adopted: dict[str, str] = {}
    for settlement in settlements:
        fitting = [a for a in by_id.get(settlement.item_id, ()) if settlement.digest in ("", a.work.item.digest)]
        name = f"{settlement.where}{printable(settlement.item_id, 120)}"
        if not fitting:
            raise UsageError(f"{name} is not in doubt; `batchgen status` lists the items in doubt")
        if len(fitting) > 1:
            raise UsageError(f"{name} has several requests in doubt; settle them with --export and --import")
        if fitting[0].key in taken:
            raise UsageError(f"{name} is settled twice")
        taken.add(fitting[0].key)
        if settlement.job_id in adopted:
            job, other = printable(settlement.job_id, 100), printable(adopted[settlement.job_id], 120)
            raise UsageError(f"{name}: job {job} is already adopted by {other} in this list; a job belongs to one item")
        if settlement.job_id:
            adopted[settlement.job_id] = settlement.item_id
        matched.append((settlement, fitting[0]))
    return matched


Decided = tuple[Settlement, Attempt, Job | None]
"""A settlement, its attempt, and the job that it adopts."""


def decide(
    journal: Journal, matched: Sequence[tuple[Settlement, Attempt]], access: Access, tell: Callable[[str], None]
) -> list[Decided]:
    """Add to each settlement the job that it adopts, once the API confirms it. Nothing is written yet.

    `tell` is called with what a person should know. Not in a thread whose event loop is running. Raises UsageError,
    RunFolderError, OutsideError.
    """
    if not any(settlement.how is How.JOB for settlement, _ in matched):
        return [(settlement, attempt, None) for settlement, attempt in matched]
    facts = journal.facts()
    account = access.account_of(facts)
    bind_account(journal, facts.get("run", ""), account.binding, rotated_key=access.rotated_key)

    async def work(api: Api) -> list[Decided]:
        return [
            (
                settlement,
                attempt,
                await confirm(api, journal, settlement, attempt) if settlement.how is How.JOB else None,
            )
            for settlement, attempt in matched
        ]

    return call_api(account, access.route_to(account, tell), journal, work)


async def confirm(api: Api, journal: Journal, settlement: Settlement, attempt: Attempt) -> Job:
    """Return the job that `settlement` names, once the API says that it is this item's.

    Raises UsageError where it is another's, OutsideError where the API gives no answer.
    """
    name = f"{settlement.where}{attempt.work.item.id}"
    if journal.knows_job(settlement.job_id):
        raise UsageError(f"{name}: job {printable(settlement.job_id, 100)} already belongs to another item")
    answer = await api.poll(settlement.job_id)
    if isinstance(answer, Found):
        if fault := mismatch(attempt, answer.job):
            raise UsageError(f"{name}: job {answer.job.id} does not belong to this item: {fault}")
        return answer.job
    if isinstance(answer, Unknown):
        raise UsageError(f"{name}: the API does not know job {printable(settlement.job_id, 100)} under this key")
    if isinstance(answer, Unauthorized):
        raise OutsideError(f"the API refuses the key ({printable(answer.error_type)}): check API18_KEY")
    raise OutsideError(f"{name}: the API did not answer: {printable(answer.reason)}")


def mismatch(attempt: Attempt, job: Job) -> str | None:
    """Return why `job` cannot be what `attempt` bought, or None. The echo may hold more than was sent: its defaults."""
    item = attempt.work.item
    if job.model != item.model:
        return f"its model is {printable(job.model or 'unknown', 100)}, not {item.model}"
    if job.input is None:
        return "the API does not show its input"
    for name, value in json.loads(item.body).items():
        if name == "model" and name not in job.input:
            continue
        echoed = job.input.get(name)
        if type(echoed) is not type(value) or with_stand_ins(echoed, value) != value:
            return f"its {name} differs"
    return None


def settle(journal: Journal, decided: Sequence[Decided], now: datetime) -> None:
    """Write all settlements, in one transaction."""
    with journal.transaction():
        for settlement, attempt, job in decided:
            if job is not None:
                journal.accept(attempt, job, b"", job.created_at or now)
            elif settlement.how is How.CHARGED:
                journal.settle_as_charged(attempt, now)
            else:
                journal.settle_as_not_charged(attempt, now)
