"""A run folder as Python sees it: its ledger and its files."""

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from os import PathLike
from pathlib import Path
from typing import Any

from batchgen.core.costs import cost_of
from batchgen.core.errors import RunFolderError
from batchgen.journal import FILE_NAME, is_simulated, moment, open_for_reading, sqlite_errors
from batchgen.journal.chains import with_references
from batchgen.journal.queries.report_rows import LedgerRow, facts_of, file_rows, ledger_rows
from batchgen.ledger.flags import flags_of
from batchgen.store import address_of


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One row of the ledger: an attempt, or (attempt 0) an item that is skipped. Money is USD, times are UTC."""

    run: str
    item_id: str
    attempt: int
    state: str
    model: str
    prompt: str
    params: Mapping[str, Any]
    """Without model and prompt."""
    request_digest: str
    estimated_usd: Decimal
    charged_usd: Decimal
    refunded_usd: Decimal
    """Negative or 0."""
    net_usd: Decimal
    in_doubt_usd: Decimal
    job_id: str | None
    account: str | None
    """Identifies the key, and does not reveal it."""
    submitted_at: datetime | None
    accepted_at: datetime | None
    completed_at: datetime | None
    refunded_at: datetime | None
    inference_ms: int | None
    polls: int | None
    files: tuple[Path, ...]
    """In the order of the outputs."""
    bytes: int | None
    """Of all files."""
    sha256: tuple[str, ...]
    """Of the files, in their order."""
    error_type: str | None
    error_message: str | None
    """May hold what others wrote."""
    expires_at: datetime | None
    source: str
    catalog_version: str | None
    simulated: bool
    flags: tuple[str, ...]
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RunFile:
    """A file on disk, as the journal has it."""

    path: Path
    item_id: str
    output: int
    """Counts from 1."""
    model: str
    job_id: str | None
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Run:
    """A run folder, read while nothing or a run writes it."""

    folder: Path

    @property
    def outputs(self) -> str:
        """Where the files are: the folder's path, or the address of a place in an object store.

        The paths of files below the folder are the names of objects below that place. Raises RunFolderError.
        """
        path = self.folder / FILE_NAME
        with closing(open_for_reading(path)) as db, sqlite_errors(path):
            return str(address_of(facts_of(db)) or self.folder)

    def ledger(self) -> Iterator[LedgerEntry]:
        """Yield the rows of the ledger, by item id and attempt, in bounded memory. Raises RunFolderError."""
        path = self.folder / FILE_NAME
        with closing(open_for_reading(path)) as db, sqlite_errors(path):
            facts = facts_of(db)
            run, simulated = facts.get("run", self.folder.name), is_simulated(facts)
            for row in ledger_rows(db):
                yield _entry(row, run, self.folder, simulated=simulated)

    def files(self) -> Iterator[RunFile]:
        """Yield the files on disk, by path, also those that later purchases replaced. Raises RunFolderError."""
        path = self.folder / FILE_NAME
        with closing(open_for_reading(path)) as db, sqlite_errors(path):
            for row in file_rows(db):
                stored = row.file
                yield RunFile(
                    self.folder / stored.path, row.item_id, stored.output, row.model, row.job_id, stored.bytes,
                    stored.sha256,
                )  # fmt: skip


def open_run(folder: str | PathLike[str]) -> Run:
    """Return a run folder for reading. Raises RunFolderError if it is none."""
    path = Path(folder)
    if not (path / FILE_NAME).is_file():
        raise RunFolderError(f"{path} is not a run folder: it has no {FILE_NAME}")
    return Run(path)


def _entry(row: LedgerRow, run: str, folder: Path, *, simulated: bool) -> LedgerEntry:
    body = json.loads(with_references(row.body, row.inputs))
    body.pop("model", None)
    prompt = body.pop("prompt", "")
    cost = cost_of(row.state, row.estimated, row.reserved, row.charged, row.refunded)
    return LedgerEntry(
        run=run, item_id=row.item_id, attempt=row.number, state=row.state, model=row.model, prompt=prompt, params=body,
        request_digest=row.digest, estimated_usd=cost.estimated, charged_usd=cost.charged,
        refunded_usd=cost.refunded, net_usd=cost.charged + cost.refunded, in_doubt_usd=cost.in_doubt,
        job_id=row.job_id, account=row.account, submitted_at=_at(row.submitted_at), accepted_at=_at(row.accepted_at),
        completed_at=_at(row.completed_at), refunded_at=_at(row.refunded_at), inference_ms=row.inference_ms,
        polls=row.polls, files=tuple(folder / path for path in _parts(row.files)), bytes=row.bytes,
        sha256=_parts(row.sha256), error_type=row.error_type, error_message=row.error_message,
        expires_at=_at(row.expires_at), source=row.source, catalog_version=row.catalog_version, simulated=simulated,
        flags=flags_of(row.error_type, row.flags, stale=bool(row.stale)), tags=json.loads(row.tags),
    )  # fmt: skip


def _parts(cell: str | None) -> tuple[str, ...]:
    return tuple(cell.split(";")) if cell else ()


def _at(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else moment(milliseconds)
