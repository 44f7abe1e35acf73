"""Downloads files again that `verify` found missing or damaged. It polls jobs and fetches outputs; it buys nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import PurePosixPath
from random import Random

from batchgen.api import (
    Api,
    Found,
    JobStatus,
    OutputError,
    OutputMissing,
    OutputRefused,
    PollAnswer,
    Unauthorized,
    Unavailable,
    Unknown,
)
from batchgen.core.errors import DescriptorsError, OutsideError
from batchgen.core.text import printable
from batchgen.download import Memory, Offload, OutputUnfamiliar, fetch
from batchgen.journal import InlineRecorder, Journal
from batchgen.journal.delivered import Findings
from batchgen.journal.queries.report_rows import FileRow
from batchgen.policy.retry import retry_delay
from batchgen.scheduler.superseded import move_aside
from batchgen.store import OutputStore

_AT_ONCE = 8
"""Jobs that are polled and fetched at the same time."""
_TRIES = 4
"""Attempts at a poll or a download whose failure may be temporary."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A file that differs from what the journal says."""

    row: FileRow
    reason: str
    refetched: bool = False
    detail: str | None = None
    """Why it could not be downloaded again; None if it was, or if that was not tried."""

    def __str__(self) -> str:
        """Return one line for a person."""
        end = "; downloaded again" if self.refetched else "" if self.detail is None else f"; {self.detail}"
        return printable(f"{self.row.file.path} {self.reason}{end}")


@dataclass(frozen=True, slots=True)
class RefetchPorts:
    """The outside world, handed in."""

    api: Api
    store: OutputStore
    journal: Journal
    kinds: Mapping[str, str]
    """`image` or `video` by model."""
    random: Random
    offload: Offload
    """Runs what touches files outside the event loop."""
    upload: Offload | None = None
    """As `RunPorts.upload`."""
    memory: Memory = field(default_factory=Memory)
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


async def refetch(ports: RefetchPorts, damaged: Sequence[Difference]) -> list[Difference]:
    """Download each damaged file again from a fresh address, record it, and return all with their outcomes, by path.

    The damaged file moves to `superseded/`. Raises OutsideError if the API cannot be reached or refuses the key, and
    DiskError; what was downloaded by then is recorded.
    """
    by_job = sorted(damaged, key=lambda found: (found.row.attempt, found.row.file.output))
    jobs = groupby(by_job, key=lambda found: found.row.attempt)
    outcomes: list[Difference] = []

    async def work() -> None:
        for _, group in jobs:
            outcomes.extend(await _refetch_job(ports, list(group)))

    workers = [asyncio.create_task(work()) for _ in range(_AT_ONCE)]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    return sorted(outcomes, key=lambda outcome: outcome.row.file.path)


async def _refetch_job(ports: RefetchPorts, group: list[Difference]) -> list[Difference]:
    job_id = group[0].row.job_id
    if job_id is None:
        return [replace(found, detail="its job id is unknown") for found in group]
    match await _ask(ports, job_id):
        case Found(job):
            urls = job.outputs if job.status is JobStatus.COMPLETED else ()
            return [await _refetch_file(ports, found, urls) for found in group]
        case Unknown():
            return [replace(found, detail="the provider no longer knows its job") for found in group]
        case Unavailable(reason):
            return [replace(found, detail=f"the API gave no usable answer: {reason}") for found in group]
        case Unauthorized():
            raise OutsideError("the API refuses the key: check API18_KEY")


async def _ask(ports: RefetchPorts, job_id: str) -> PollAnswer:
    for failures in range(1, _TRIES + 1):
        answer = await ports.api.poll(job_id)
        if not isinstance(answer, Unavailable):
            break
        if failures < _TRIES:
            await ports.sleep(retry_delay(failures, ports.random.random(), answer.retry_after))
    if isinstance(answer, Unavailable) and not answer.reached:
        raise OutsideError(f"the API cannot be reached: {answer.reason}")
    return answer


async def _refetch_file(ports: RefetchPorts, found: Difference, urls: Sequence[str | None]) -> Difference:
    url = urls[found.row.file.output - 1] if found.row.file.output <= len(urls) else None
    if url is None:
        return replace(found, detail="the provider does not list it")
    seen = found.row.file.sha256
    for failures in range(1, _TRIES + 1):
        try:
            await _fetch(ports, found.row, url, seen)
        except OutputRefused as error:
            raise OutsideError("the API refuses the key for a download: check API18_KEY") from error
        except OutputMissing:
            return replace(found, detail="the provider no longer has it")
        except OutputError as error:
            if isinstance(error, OutputUnfamiliar):
                seen = error.sha256
            if failures == _TRIES:
                return replace(found, detail=f"the download failed: {error}")
            await ports.sleep(retry_delay(failures, ports.random.random(), error.retry_after))
        else:
            break
    return replace(found, refetched=True)


async def _fetch(ports: RefetchPorts, row: FileRow, url: str, seen: str) -> None:
    journal, store = ports.journal, ports.store
    record = InlineRecorder(journal)
    path = PurePosixPath(row.file.path).with_suffix("")
    stem = "/".join(path.parts[1:])
    if path.parts[0] != "files":
        # A file of an earlier purchase: its old name belongs to the one that superseded it.
        stem = f"{stem}~{row.digest[:8]}"

    async def aside(path: str) -> None:
        await move_aside(store, path, journal, record, ports.upload or ports.offload)

    kind = ports.kinds.get(row.model)
    store.distrust(row.file.path)
    try:
        fetched = await fetch(
            ports.api, url, store, stem, row.file.output,
            kind=kind, move_aside=aside, offload=ports.offload, upload=ports.upload,
            memory=ports.memory, seen=seen,
        )  # fmt: skip
    except DescriptorsError as error:
        raise OutputError(str(error)) from error  # tried again, as any failed download
    findings = Findings(fetched.facts)  # what it is judged by, `batchgen check` knows
    await record(journal.replace_file, row.attempt, fetched.file, findings)
