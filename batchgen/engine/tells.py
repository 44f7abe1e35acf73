"""What a worker tells of its purchases: the steps of its journal, once they are on its disk.

The coordinator takes the same steps in its own journal (`batchgen.engine.coordinator.steps`). A step names its purchase
by the name that both journals have for it.
"""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from batchgen.api import Job
from batchgen.core.records import StoredFile
from batchgen.engine.codec import (
    Json,
    put_absence,
    put_bytes,
    put_file,
    put_findings,
    put_job,
    put_money,
    put_time,
)
from batchgen.journal import Attempt
from batchgen.journal.delivered import Findings, UnjudgedFile
from batchgen.policy.absence import Absence


def told(operation: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> Json | None:
    """Return a step of the journal as what is told of it; None for what the coordinator need not know.

    `operation` is a method of the journal, with the arguments that it was called with.
    """
    name = getattr(operation, "__name__", "")
    put = _STEPS.get(name)
    return None if put is None else {"step": name, **put(*args, **options)}


def accepted(purchase: str, job: Job, raw: bytes, now: datetime) -> Json:
    """Return what is told of an acceptance that only receipts know."""
    return {"step": "accept_or_doubt", "purchase": purchase, "job": put_job(job), "raw": put_bytes(raw),
            "at": put_time(now)}  # fmt: skip


def doubted(purchase: str, reason: str) -> Json:
    """Return what is told of a request whose answer nobody knows."""
    return {"step": "doubt", "purchase": purchase, "reason": reason, "raw": ""}


def parked(purchase: str | None) -> Json:
    """Return what is told of a job that others need not wait for."""
    return {"step": "parked", "purchase": purchase}


def cancelled(purchase: str) -> Json:
    """Return what is told of a request that was certainly not sent."""
    return {"step": "cancel_intent", "purchase": purchase}


def _accept(attempt: Attempt, job: Job, raw: bytes, now: datetime) -> Json:
    return {"purchase": attempt.purchase, "job": put_job(job), "raw": put_bytes(raw), "at": put_time(now)}


def _cancel(attempt: Attempt) -> Json:
    return {"purchase": attempt.purchase}


def _doubt(attempt: Attempt, reason: str, raw: bytes = b"") -> Json:
    return {"purchase": attempt.purchase, "reason": reason, "raw": put_bytes(raw)}


def _reject(attempt: Attempt, error_type: str, message: str, now: datetime) -> Json:
    return {"purchase": attempt.purchase, "error_type": error_type, "message": message, "at": put_time(now)}


def _price(attempt: Attempt, price: Decimal | None) -> Json:
    return {"purchase": attempt.purchase, "price": put_money(price)}


def _complete(attempt: Attempt, job: Job, polls: int, took_ms: int, now: datetime, *, ordered: int = 1) -> Json:
    return {"purchase": attempt.purchase, "job": put_job(job), "polls": polls, "took_ms": took_ms,
            "at": put_time(now), "ordered": ordered}  # fmt: skip


def _more(attempt: Attempt, job: Job, polls: int, *, ordered: int) -> Json:
    return {"purchase": attempt.purchase, "job": put_job(job), "polls": polls, "ordered": ordered}


def _fewer(attempt: Attempt, reason: str) -> Json:
    return {"purchase": attempt.purchase, "reason": reason}


def _fail(attempt: Attempt, job: Job, polls: int, took_ms: int, now: datetime) -> Json:
    return {"purchase": attempt.purchase, "job": put_job(job), "polls": polls, "took_ms": took_ms,
            "at": put_time(now)}  # fmt: skip


def _lose(attempt: Attempt, reason: str, now: datetime, *, polls: int | None = None) -> Json:
    return {"purchase": attempt.purchase, "reason": reason, "at": put_time(now), "polls": polls}


def _absent(attempt: Attempt, absence: Absence) -> Json:
    return {"purchase": attempt.purchase, "absence": put_absence(absence)}


def _delivery(attempt: Attempt, file: StoredFile, findings: Findings) -> Json:
    return {"purchase": attempt.purchase, "file": put_file(file), "findings": put_findings(findings)}


def _judgement(file: UnjudgedFile, look: str | None, flags: tuple[str, ...]) -> Json:
    return {"attempt": file.attempt, "output": file.file.output, "sha256": file.file.sha256, "look": look,
            "flags": list(flags)}  # fmt: skip


_STEPS: dict[str, Callable[..., Json]] = {
    "accept_or_doubt": _accept,
    "cancel_intent": _cancel,
    "doubt": _doubt,
    "reject": _reject,
    "confirm_price": _price,
    "complete": _complete,
    "list_more_outputs": _more,
    "accept_fewer_outputs": _fewer,
    "fail": _fail,
    "lose": _lose,
    "record_absence": _absent,
    "record_delivery": _delivery,
    "record_judgement": _judgement,
}
"""By the name of the journal's method, what is told of it."""
