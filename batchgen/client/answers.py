"""What an answer of the API means, as pure functions from what came back to the values of `batchgen.api`.

docs/api.md, "Jobs" and "Errors", says what answers exist. Whatever it does not promise to be uncharged is `Unclear`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache

from batchgen.api import (
    Accepted,
    ApiError,
    Busy,
    Found,
    Job,
    NoBalance,
    PollAnswer,
    Rejected,
    SubmitAnswer,
    Unauthorized,
    Unavailable,
    Unclear,
    Unknown,
    Unreadable,
    read_error,
    read_job,
)
from batchgen.core.clock import UtcNow
from batchgen.core.text import printable


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back for one request. Wherever the server repeated the key, stars replace it."""

    status: int
    raw: bytes
    """The body, bounded."""
    cut: str | None = None
    """Why `raw` may be incomplete."""
    retry_after: float | None = None
    """Seconds, if the answer named them."""
    redirect: str | None = None
    """Where a redirect leads, in words."""


_QUICK = timedelta(seconds=30)
"""An answer that took longer says little about the time at which it arrived."""
_SECONDS = re.compile(r"[0-9]{1,9}")
_REMEMBERED = 1024
_LONGEST_REMEMBERED = 4096


def without_key(raw: bytes, key: str, *, cut: bool) -> bytes:
    """Return `raw` with stars in place of the key, and of the start of a key at the end of a body that was cut off."""
    secret = key.encode()
    raw = raw.replace(secret, b"*" * len(secret))
    begun = next((n for n in range(len(secret) - 1, 0, -1) if raw.endswith(secret[:n])), 0) if cut else 0
    return raw[: len(raw) - begun] + b"*" * begun


def submit_answer(reply: Reply) -> SubmitAnswer:
    """Return what the answer to a create call means."""
    status = reply.status
    if 200 <= status <= 299:
        try:
            # Bytes that were cut off behind a whole JSON object still name the job, and a known job is never in doubt.
            return Accepted(read_job(reply.raw), reply.raw)
        except Unreadable as error:
            return Unclear(f"HTTP {status}, but {reply.cut or error}", reply.raw)
    told = _error(reply)
    error_type, message = told.type, told.message
    if status == 400 or (status == 404 and error_type == "model_not_found"):
        # Also a 400 in another form, from a proxy: by RFC 9110, section 15.5.1, the request was not processed. It is
        # not sent again by itself either way. Any other 404 is not documented for this call, so it promises nothing.
        return Rejected(error_type, message, told.paths)
    if status == 401:
        return Unauthorized(error_type, message)
    if status == 402:
        return NoBalance(error_type, message)
    if status == 429 or (status == 502 and error_type == "generation_unavailable"):
        return Busy(error_type, message, reply.retry_after)
    return Unclear(f"HTTP {status}: {message}", reply.raw)


def poll_answer(job_id: str, reply: Reply) -> PollAnswer:
    """Return what the answer to `GET /v1/jobs/{job_id}` means; 202 counts as the 200 of a job that is not done."""
    status, raw = reply.status, reply.raw
    if status in (200, 202):
        try:
            # Most answers repeat the last one: the job is not done.
            job = _job_seen(raw) if len(raw) <= _LONGEST_REMEMBERED else read_job(raw)
        except Unreadable as error:
            return Unavailable(f"HTTP {status}, but {reply.cut or error}")
        if job.id != job_id:
            return Unavailable("the answer is about another job")
        return Found(job)
    told = _error(reply)
    error_type, message = told.type, told.message
    if status == 404 and error_type == "job_not_found":
        return Unknown(message)
    if status == 401:
        return Unauthorized(error_type, message)
    return Unavailable(f"HTTP {status}: {message}", reply.retry_after)


@lru_cache(maxsize=_REMEMBERED)
def _job_seen(raw: bytes) -> Job:
    return read_job(raw)


def error_message(reply: Reply) -> str:
    """Return an error answer's message, safe for a terminal."""
    return _error(reply).message


def retry_after(headers: Mapping[str, str], now: UtcNow) -> float | None:
    """Return the seconds that `Retry-After` (RFC 9110, section 10.2.3) asks for, from a number or a date; 0 or more.

    None if the header is absent or cannot be read. The caller caps the value.
    """
    told = headers.get("Retry-After")
    if told is None:
        return None
    text = told.strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    moment = _http_date(text)
    return None if moment is None else max(0.0, (moment - now()).total_seconds())


def clock_offset(headers: Mapping[str, str], asked: datetime, answered: datetime) -> timedelta | None:
    """Return how far the server's clock is ahead of ours, by an answer's `Date` (RFC 9110, section 6.6.1).

    `asked` and `answered` are times on our clock. None if the header is absent or unreadable, if a cache answered
    (`Age`; RFC 9111, section 5.1), or if the two times say little because the answer took too long or our clock was
    set meanwhile.
    """
    told = headers.get("Date")
    moment = None if told is None else _http_date(told.strip())
    if moment is None or "Age" in headers or not timedelta(0) <= answered - asked <= _QUICK:
        return None
    return moment - answered


@lru_cache(maxsize=64)  # it says the same for a second
def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _error(reply: Reply) -> ApiError:
    try:
        error = read_error(reply.raw)
    except Unreadable as problem:
        told = str(problem) if reply.redirect is None else f"the API redirects to {reply.redirect}; check --base-url"
        return ApiError(f"http_{reply.status}", told)
    return ApiError(printable(error.type, 100), printable(error.message), error.paths)
