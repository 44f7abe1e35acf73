"""What was sent and answered, as the books of a run folder must know it, and what a journal has otherwise."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import NamedTuple

from batchgen.core.records import State

OPEN = (State.SUBMITTING, State.PROCESSING, State.READY, State.IN_DOUBT)

Intent = tuple[str, int]
"""A request that was sent, by digest and time (ms): what stays under whatever id, number and name it stands."""


@dataclass
class Known:
    """What the books must know of what was sent."""

    intents: set[Intent] = field(default_factory=set)
    jobs: dict[str, str] = field(default_factory=dict)
    """Digests of the requests that jobs were bought with."""

    def copy(self) -> "Known":
        return Known(set(self.intents), dict(self.jobs))

    def join(self, other: "Known") -> None:
        self.intents |= other.intents
        self.jobs |= other.jobs


class Row(NamedTuple):
    """An attempt in the journal, with its item."""

    item_id: str
    digest: str
    item_state: str
    item_attempts: int
    number: int
    state: str
    job: str | None
    submitted_at: int

    @property
    def name(self) -> str:
        return f"{self.item_id} #{self.number}"


def request_of(digest: str) -> str:
    """Return the digest of the request itself, where an item has another one beside a second that is on its way."""
    return digest.partition("~")[0]


def faults_in(db: sqlite3.Connection, known: Known, answered: AbstractSet[Intent]) -> list[str]:
    """Return everything that a journal has otherwise than it was; what was `answered` need not be doubted any more."""
    columns = "i.id, i.digest, i.state, i.attempts, a.number, a.state, a.job_id, a.submitted_at"
    rows = [Row(*row) for row in db.execute(f"SELECT {columns} FROM attempt a JOIN item i ON i.key = a.item")]
    faults = [*_about_jobs(rows, known), *_about_doubts(rows, known.intents - answered), *_about_items(rows)]
    if db.execute("PRAGMA foreign_key_check").fetchall():
        faults.append("rows hang on rows that are not there")
    return faults


def _about_jobs(rows: list[Row], known: Known) -> Iterator[str]:
    held = Counter(row.job for row in rows if row.job)
    yield from (f"{job} is held {times} times" for job, times in held.items() if times > 1)
    requests = {row.job: request_of(row.digest) for row in rows}
    for job, request in known.jobs.items():
        if job not in held:
            yield f"{job} is forgotten"
        elif requests[job] != request:
            yield f"{job} was bought with {request}, and is with {requests[job]}"


def _about_doubts(rows: list[Row], doubted: AbstractSet[Intent]) -> Iterator[str]:
    held: dict[Intent, list[str]] = {}
    for row in rows:
        held.setdefault((request_of(row.digest), row.submitted_at), []).append(row.state)
    yield from (f"{intent} stands {len(states)} times" for intent, states in held.items() if len(states) > 1)
    for intent in doubted:
        states = held.get(intent, [])
        if not set(states) & {State.SUBMITTING, State.IN_DOUBT}:
            yield f"the doubt about {intent} is dropped: {states}"


def _about_items(rows: list[Row]) -> Iterator[str]:
    names = Counter(row.name for row in rows)
    yield from (f"{name} names {times} purchases" for name, times in names.items() if times > 1)
    for row in rows:
        if row.item_attempts < row.number:
            yield f"{row.name}: the next purchase may have the same number, after {row.item_attempts}"
        if row.state in OPEN and row.item_state != row.state:
            yield f"{row.name} is {row.state} and nobody collects it: its item is {row.item_state}"
