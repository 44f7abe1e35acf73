"""The seam to the generation API: what can be asked of it, and every answer it can give, as values.

`batchgen.client` speaks it over HTTP; `tests` speak it in memory. What an answer means for money is decided by its type
alone, so that no caller ever looks at status codes: `Accepted` was charged, `Unclear` may have been, nothing else was.
The shapes come from docs/api.md, "Jobs" and "Errors".
"""

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Protocol

DEFAULT_BASE_URL = "https://api18.dev"


class JobStatus(StrEnum):
    """The `status` of a job at the provider (docs/api.md)."""

    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the API describes it. What the API left out or garbled is None; only the `id` is certain."""

    id: str
    status: JobStatus
    model: str | None = None
    cost: Decimal | None = None
    """USD, as charged."""
    created_at: datetime | None = None
    started_at: datetime | None = None
    """When the provider began to work on it; it may have queued before."""
    completed_at: datetime | None = None
    expires_at: datetime | None = None
    inference_ms: int | None = None
    error: str | None = None
    outputs: tuple[str | None, ...] = ()
    """The addresses in `data[]`, in order, as given; None where an entry has none."""
    input: Mapping[str, Any] | None = None
    scale: str | None = None
    """The size that a simulator draws in, as a part of what was ordered: a fraction as in `1/4`, or `0` where its files
    have nothing to do with the order. None: no simulator says so."""

    def told(self, before: Decimal | None) -> Decimal | None:
        """Return the price that the API named last for this job, with this answer or `before` (USD, None: none).

        A job that failed is refunded, and what its answer calls its cost may be what is left of it: that is taken only
        where no price was named before, and never when it is 0.
        """
        if self.cost is None or (self.status is JobStatus.FAILED and (before is not None or not self.cost)):
            return before
        return self.cost


# ---- answers to a submission -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Accepted:
    """The job exists and was charged."""

    job: Job
    raw: bytes
    """The answer's bytes, bounded."""


@dataclass(frozen=True, slots=True)
class NotSent:
    """The request's headers never left this machine: certainly not charged."""

    reason: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """The API will never take this request (400, 404 model_not_found); nothing was charged."""

    error_type: str
    message: str
    paths: tuple[str, ...] = ()
    """The places in the request that it names, as it writes them: `image`, `images.0`."""


@dataclass(frozen=True, slots=True)
class Unauthorized:
    """401: the key is missing or wrong; nothing was charged."""

    error_type: str
    message: str


@dataclass(frozen=True, slots=True)
class NoBalance:
    """402: `insufficient_balance` or `paid_balance_required`; nothing was charged."""

    error_type: str
    message: str


@dataclass(frozen=True, slots=True)
class Busy:
    """429, or a 502 typed `generation_unavailable`: the provider says try again; nothing was charged."""

    error_type: str
    message: str
    retry_after: float | None
    """Seconds, where the answer named them."""


@dataclass(frozen=True, slots=True)
class Unclear:
    """Every other outcome once the headers had left: perhaps charged, and without a job id."""

    reason: str
    raw: bytes = b""


SubmitAnswer = Accepted | NotSent | Rejected | Unauthorized | NoBalance | Busy | Unclear

# ---- answers to a poll -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """The job as it stands now."""

    job: Job


@dataclass(frozen=True, slots=True)
class Unknown:
    """404 job_not_found: the job does not exist, has expired, or belongs to another account."""

    message: str


@dataclass(frozen=True, slots=True)
class Unavailable:
    """No usable answer this time (connection, timeout, 5xx, 429, unreadable); asking again costs nothing."""

    reason: str
    retry_after: float | None = None
    reached: bool = True
    """False where no connection could be made at all."""


PollAnswer = Found | Unknown | Unauthorized | Unavailable

# ---- outputs -----------------------------------------------------------------------------------------------------


class OutputError(Exception):
    """An output could not be opened or read to its end; its text says why, without a key or a signed address."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds, where the answer named them."""


class OutputMissing(OutputError):  # noqa: N818 - a state of the output, named as the API documents it
    """404 where the output should be: not ready yet, or gone."""


class OutputGone(OutputMissing):
    """410: it will not come back."""


class OutputRefused(OutputError):  # noqa: N818 - see above
    """401 from the API's own origin."""


@dataclass(frozen=True, slots=True)
class Output:
    """An open output: its announced length and its bytes, chunk by chunk."""

    length: int | None
    """Bytes that `chunks` will yield, where the server said so in a way that can be trusted."""
    chunks: AsyncIterator[bytes]
    """Raises `OutputError` when the connection breaks."""
    content_type: str | None = None
    """What the server calls it, in lower case and without parameters."""


class Api(Protocol):
    """The whole of the API that a run needs.

    No method raises for what the network or the server does, but `open_output`'s context and `public_address`, which
    raise `OutputError`.
    Cancelling is safe everywhere but in `submit`, which a caller must shield.
    """

    @property
    def clock_offset(self) -> timedelta | None:
        """How far the API's clock is ahead of ours, by the `Date` of its latest answer; None while none had one."""
        ...

    async def submit(self, body: str, endpoint: str, *, wait: bool) -> SubmitAnswer:
        """POST one canonical JSON body to `endpoint` (a path), once. Never repeats a request by itself."""
        ...

    async def poll(self, job_id: str) -> PollAnswer:
        """Ask once how a job stands."""
        ...

    def open_output(self, url: str) -> AbstractAsyncContextManager[Output]:
        """Open one of a job's `outputs`, following redirects by hand; no origin but the API's is sent the key."""
        ...

    async def public_address(self, url: str) -> str:
        """Return where the file behind one of a job's `outputs` lies in public: what another job may be given.

        The API redirects there, and nothing is downloaded. An address that is not the API's own is returned as it is.
        Raises `OutputError`.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


# ---- reading ------------------------------------------------------------------------------------------------------


class Unreadable(Exception):  # noqa: N818 - the name says what the answer is
    """An answer that is not a job or an error as the reference describes them."""


_JOB_ID = re.compile(r"[\x21-\x7e]{1,256}")
_SCALE = re.compile(r"0|[1-9][0-9]{0,5}/[1-9][0-9]{0,5}")
_PLAIN_AMOUNT = re.compile(r"[0-9]{1,9}(\.[0-9]{1,12})?")
_DURATION_DIGITS = re.compile(r"[0-9]{1,15}")


def read_job(raw: bytes) -> Job:
    """Return the job that the API's answer describes.

    Only a usable `id` is insisted upon, because a charge hangs on it; all else that is missing or of another
    type reads as None. Raises `Unreadable`.
    """
    try:
        # RFC 8259, section 8.1, allows a reader to pass over a byte order mark.
        answer = _DECODER.decode(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise Unreadable("the answer is not JSON") from error
    if not isinstance(answer, dict):
        raise Unreadable("the answer is not a JSON object")
    job_id = answer.get("id")
    if not isinstance(job_id, str) or not _JOB_ID.fullmatch(job_id) or job_id in {".", ".."}:
        raise Unreadable("the answer has no usable job id")
    status = answer.get("status")
    timings = answer.get("timings")
    return Job(
        id=job_id,
        # A word that the reference lacks ("queued") is not a final state: the job exists and is polled.
        status=JobStatus(status) if status in ("completed", "failed") else JobStatus.PROCESSING,
        model=_text(answer.get("model")),
        cost=_money(answer.get("cost_usd")),
        created_at=_moment(answer.get("created_at")),
        started_at=_moment(answer.get("started_at")),
        completed_at=_moment(answer.get("completed_at")),
        expires_at=_moment(answer.get("expires_at")),
        inference_ms=_milliseconds(timings.get("inference_ms")) if isinstance(timings, dict) else None,
        error=_text(answer.get("error")),
        outputs=_outputs(answer.get("data")),
        input=answer["input"] if isinstance(answer.get("input"), dict) else None,
        scale=scale if isinstance(scale := answer.get("simulated_scale"), str) and _SCALE.fullmatch(scale) else None,
    )


@dataclass(frozen=True, slots=True)
class ApiError:
    """An error answer (docs/api.md)."""

    type: str
    message: str
    """With the `details` folded into it."""
    paths: tuple[str, ...] = ()
    """The `path`s that the `details` name."""


_LONGEST_PATH = 200


def read_error(raw: bytes) -> ApiError:
    """Return what an error answer says. Raises `Unreadable` when the answer has another form."""
    try:
        answer = json.loads(raw)
        error = answer["error"]
        kind, message = error["type"], error["message"]
    except (ValueError, TypeError, KeyError, RecursionError) as problem:
        raise Unreadable("the answer is not an error as the API documents it") from problem
    if not isinstance(kind, str) or not isinstance(message, str):
        raise Unreadable("the answer is not an error as the API documents it")
    details = error.get("details")
    pairs: list[tuple[str, str]] = []
    if isinstance(details, list):
        # Only texts: to print anything else, however deeply nested, would be as deep a recursion.
        found = [(d.get("path"), d.get("message")) for d in details[:20] if isinstance(d, dict)]
        pairs = [(path, text) for path, text in found if isinstance(path, str) and isinstance(text, str)]
    if pairs:
        message = f"{message} ({'; '.join(f'{path}: {text}' for path, text in pairs)})"
    return ApiError(_encodable(kind), _encodable(message), tuple(_encodable(path[:_LONGEST_PATH]) for path, _ in pairs))


def _encodable(text: str) -> str:
    # JSON can spell half a surrogate pair, which no database, log or terminal takes.
    return text.encode("utf-8", "replace").decode()


def _text(value: object) -> str | None:
    return _encodable(value) if isinstance(value, str) else None


def _number(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except ArithmeticError:
        return None  # an exponent beyond what Decimal holds


# Built once: `json.loads` builds one for each answer that is read with a rule of its own.
_DECODER = json.JSONDecoder(parse_float=_number)


def _money(value: object) -> Decimal | None:
    # As a text only plain digits count: Decimal itself would also take "1_0", " 1 " and "Infinity".
    if isinstance(value, str) and not _PLAIN_AMOUNT.fullmatch(value):
        return None
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        return None
    amount = Decimal(value)
    if not amount.is_finite() or not 0 <= amount < 10**9:
        return None
    exponent = amount.as_tuple().exponent
    # More digits than these are no price, but an attack on anyone who prints them.
    return amount if isinstance(exponent, int) and -12 <= exponent <= 9 else None


def _moment(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None  # also what lies outside of the years 1 to 9999 in UTC


def _milliseconds(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    whole = str(value).partition(".")[0]
    return int(whole) if _DURATION_DIGITS.fullmatch(whole) else None


def _outputs(data: object) -> tuple[str | None, ...]:
    if not isinstance(data, list):
        return ()
    # An entry without an address keeps its place: the numbers of the others must not hang on when it gets one.
    return tuple(_text(entry.get("url")) or None if isinstance(entry, dict) else None for entry in data)
