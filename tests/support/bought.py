"""Builds journals for tests by the steps that a run takes."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from batchgen.api import Job, JobStatus
from batchgen.core.digest import canonical_json, digest_of
from batchgen.core.records import Item, State, StoredFile
from batchgen.item_table import index_items, write_items
from batchgen.journal import Attempt, Journal, Work

START = datetime(2026, 1, 31, 23, 59, 58, 999000, tzinfo=UTC)
MODEL = "hera-1.0-text-to-image"


def item(
    id_: str,
    prompt: str = "A mug",
    *,
    price: str = "0.056",
    tags: dict[str, str] | None = None,
    source: str = "m.yaml:3",
    model: str = MODEL,
    **parameters: Any,
) -> Item:
    body = canonical_json({"model": model, "prompt": prompt, **parameters})
    return Item(
        id=id_,
        model=model,
        body=body,
        digest=digest_of(body),
        tags=tuple(sorted((tags or {}).items())),
        path=id_,
        source=source,
        estimated=Decimal(price),
    )


@contextmanager
def staged(journal: Journal, items: Iterable[Item]) -> Iterator[Path]:
    """What the manifest asks for now, as `Journal.list_items` and `Journal.adopt` take it."""
    table = journal.path.parent / "items.sqlite3"
    write_items(table, items)
    index_items(table)
    try:
        yield table
    finally:
        table.unlink()


def list_items(journal: Journal, items: Iterable[Item]) -> None:
    with staged(journal, items) as table:
        journal.list_items(table)


@contextmanager
def journal_of(folder: Path, items: Iterable[Item], run: str = "spring") -> Iterator[Journal]:
    """A journal in `folder` with these items listed; what the block does is committed at its end."""
    folder.mkdir(parents=True, exist_ok=True)
    journal = Journal(folder, create=True)
    try:
        with journal.transaction():
            journal.note(run=run, api="https://api18.dev", account="f00d")
        list_items(journal, items)
        with journal.transaction():
            yield journal
    finally:
        journal.close()


class Buyer:
    """Takes the listed items of a journal through a purchase, one second for each step."""

    def __init__(self, journal: Journal, start: datetime = START) -> None:
        self.journal = journal
        self.now = start
        self.works = {work.item.id: work for _, work in journal.pending(0, 10**9)}

    def tick(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    def work(self, id_: str) -> Work:
        return self.works[id_]

    def intend(self, id_: str) -> Attempt:
        return self.journal.record_intent(self.work(id_), "f00d", "1", self.tick())

    def accept(self, id_: str, cost: str | None = None) -> Attempt:
        attempt = self.intend(id_)
        job = Job(
            f"job-{id_}-{attempt.number}",
            JobStatus.PROCESSING,
            cost=Decimal(cost) if cost else None,
            expires_at=datetime(2026, 2, 7, tzinfo=UTC),
        )
        return self.journal.accept(attempt, job, b"{}", self.tick())

    def fail(self, id_: str, error: str | None, cost: str | None = None) -> None:
        attempt = self.accept(id_, cost)
        job = Job(str(attempt.job_id), JobStatus.FAILED, error=error)
        self.journal.fail(attempt, job, 3, 1000, self.tick())

    def ready(self, id_: str, outputs: int = 1, cost: str | None = None) -> Attempt:
        attempt = self.accept(id_, cost)
        urls = tuple(f"https://api18.dev/v1/files/{attempt.job_id}?n={n}" for n in range(1, outputs + 1))
        job = Job(str(attempt.job_id), JobStatus.COMPLETED, inference_ms=1234, outputs=urls)
        self.journal.complete(attempt, job, 4, 2000, self.tick())
        return attempt

    def done(self, id_: str, outputs: int = 1, cost: str | None = None) -> Attempt:
        attempt = self.ready(id_, outputs, cost)
        for number in range(1, outputs + 1):
            suffix = f"@{number}" if outputs > 1 else ""
            file = StoredFile(number, f"files/{id_}{suffix}.png", 100 + number, f"{number:064x}")
            self.journal.record_file(attempt, file)
        return attempt

    def reject(self, id_: str, message: str) -> None:
        self.journal.reject(self.intend(id_), "invalid_request", message, self.tick())

    def doubt(self, id_: str, reason: str) -> None:
        self.journal.doubt(self.intend(id_), reason)

    def lose(self, id_: str, reason: str) -> None:
        self.journal.lose(self.accept(id_), reason, self.tick(), polls=9)

    def skip(self, id_: str) -> None:
        self.journal._move(self.work(id_).key, State.PENDING, State.SKIPPED)
