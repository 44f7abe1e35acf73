"""Downloads again what `verify` found missing or damaged. Buys nothing: it polls jobs and fetches their outputs."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
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
from batchgen.download import OutputUnfamiliar, fetch
from batchgen.journal import InlineRecorder, Journal
from batchgen.journal.queries.report_rows import FileRow
from batchgen.policy.retry import retry_delay
from batchgen.scheduler.superseded import make_way
from batchgen.store import OutputStore

_AT_ONCE = 8
"""Jobs that are asked for and fetched at the same time."""
_TRIES = 4
"""How often a poll or a download is tried while its trouble may pass."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A file that is not what the journal says."""

    row: FileRow
    reason: str
    refetched: bool = False
    detail: str | None = None
    """Why it could not be downloaded again; None where it was, or where that was not tried."""

    def __str__(self) -> str:
        """Return one line for a person."""
        end = "; downloaded again" if self.refetched else "" if self.detail is None else f"; {self.detail}"
        return printable(f"{self.row.file.path} {self.reason}{end}")


@dataclass(frozen=True, slots=True)
class Workshop:
    """What it takes to download again."""

    api: Api
    store: OutputStore
    journal: Journal
    kinds: Mapping[str, str]
    """What each model makes: `image` or `video`."""
    random: Random
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


async def refetch(workshop: Workshop, damaged: Sequence[Difference]) -> list[Difference]:
    """Download each damaged file from fresh addresses, record it, and return all of them with their outcome, by path.

    The damaged file moves to `superseded/`. Raises OutsideError where the API cannot be reached or refuses the key,
    and DiskError; what was downloaded until then stays recorded.
    """
    by_job = sorted(damaged, key=lambda found: (found.row.attempt, found.row.file.output))
    jobs = groupby(by_job, key=lambda found: found.row.attempt)
    outcomes: list[Difference] = []

    async def work() -> None:
        for _, group in jobs:
            outcomes.extend(await _refetch_job(workshop, list(group)))

    workers = [asyncio.create_task(work()) for _ in range(_AT_ONCE)]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    return sorted(outcomes, key=lambda outcome: outcome.row.file.path)


async def _refetch_job(workshop: Workshop, group: list[Difference]) -> list[Difference]:
    job_id = group[0].row.job_id
    if job_id is None:
        return [replace(found, detail="no job id is known for it") for found in group]
    match await _ask(workshop, job_id):
        case Found(job):
            urls = job.outputs if job.status is JobStatus.COMPLETED else ()
            return [await _refetch_file(workshop, found, urls) for found in group]
        case Unknown():
            return [replace(found, detail="the provider no longer knows its job") for found in group]
        case Unavailable(reason):
            return [replace(found, detail=f"the API gave no usable answer: {reason}") for found in group]
        case Unauthorized():
            raise OutsideError("the API refuses the key: check API18_KEY")


async def _ask(workshop: Workshop, job_id: str) -> PollAnswer:
    for failures in range(1, _TRIES + 1):
        answer = await workshop.api.poll(job_id)
        if not isinstance(answer, Unavailable):
            break
        if failures < _TRIES:
            await workshop.sleep(retry_delay(failures, workshop.random.random(), answer.retry_after))
    if isinstance(answer, Unavailable) and not answer.reached:
        raise OutsideError(f"the API cannot be reached: {answer.reason}")
    return answer


async def _refetch_file(workshop: Workshop, found: Difference, urls: Sequence[str | None]) -> Difference:
    url = urls[found.row.file.output - 1] if found.row.file.output <= len(urls) else None
    if url is None:
        return replace(found, detail="the provider does not list it")
    seen = found.row.file.sha256
    for failures in range(1, _TRIES + 1):
        try:
            await _fetch(workshop, found.row, url, seen)
        except OutputRefused as error:
            raise OutsideError("the API refuses the key for a download: check API18_KEY") from error
        except OutputMissing:
            return replace(found, detail="the provider no longer has it")
        except OutputError as error:
            if isinstance(error, OutputUnfamiliar):
                seen = error.sha256
            if failures == _TRIES:
                return replace(found, detail=f"the download failed: {error}")
            await workshop.sleep(retry_delay(failures, workshop.random.random(), error.retry_after))
        else:
            break
    return replace(found, refetched=True)


async def _fetch(workshop: Workshop, row: FileRow, url: str, seen: str) -> None:
    journal, store = workshop.journal, workshop.store
    record = InlineRecorder(journal)
    place = PurePosixPath(row.file.path).with_suffix("")
    stem = "/".join(place.parts[1:])
    if place.parts[0] != "files":
        # The file of an earlier purchase: under its old name stands the one that took its place.
        stem = f"{stem}~{row.digest[:8]}"

    async def aside(path: str) -> None:
        await make_way(store, path, journal, record)

    kind = workshop.kinds.get(row.model)
    try:
        file = await fetch(workshop.api, url, store, stem, row.file.output, kind=kind, make_way=aside, seen=seen)
    except DescriptorsError as error:
        raise OutputError(str(error)) from error  # to be tried again, as what is late
    await record(journal.replace_file, row.attempt, file)
