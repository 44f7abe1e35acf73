"""Values of a purchase as JSON and back, for what travels between worker and coordinator.

Times are milliseconds since 1970 (UTC), as in the journal; money is decimal text in USD. What is read comes over the
network, so anything that does not fit raises `UnreadableError`, and nothing is ever unpickled.
"""

import base64
import binascii
import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

from batchgen.api import Job, JobStatus
from batchgen.core.records import Item, StoredFile
from batchgen.journal import Work
from batchgen.journal.delivered import Findings
from batchgen.journal.schema import milliseconds, moment
from batchgen.media.facts import Facts
from batchgen.policy.absence import Absence

Json = dict[str, Any]
_MONEY = re.compile(r"[0-9]{1,15}(\.[0-9]{1,24})?")
"""As in the receipts, where every amount of a purchase is written down."""
_JOB_ID = re.compile(r"[\x21-\x7e]{1,256}")
_RATE = re.compile(r"[0-9]{1,12}(/[0-9]{1,12})?")
_JUDGED = ("model", "prompt")
"""Of a request's echo, what says whether a job is another's; the rest may hold pictures."""
_LARGEST = 1 << 53
"""Numbers are smaller: what JSON carries exactly, and a database takes."""


class UnreadableError(Exception):
    """A message that is not what it should be."""


def reading(read: Callable[[Json], Any], content: object) -> Any:
    """Return what `read` makes of an object. Raises UnreadableError where it is anything else."""
    if not isinstance(content, dict):
        raise UnreadableError("an object was expected")
    try:
        return read(content)
    except (KeyError, ValueError, TypeError, IndexError, InvalidOperation, OverflowError, ZeroDivisionError) as error:
        raise UnreadableError(f"{type(error).__name__}: {error}") from error


# ---- plain values -------------------------------------------------------------------------------------------------


def get_number(value: object, least: int = 0) -> int:
    """Return a whole number that is `least` or larger. Raises ValueError for all else."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value < _LARGEST:
        raise ValueError("a whole number was expected")
    return value


def get_seconds(value: object) -> float:
    """Return a finite number, 0 or larger. Raises ValueError for all else."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < _LARGEST:
        raise ValueError("seconds were expected")
    return float(value)


def get_text(value: object) -> str:
    """Return text that a journal takes: JSON can spell half a surrogate pair. Raises ValueError for all else."""
    if not isinstance(value, str):
        raise ValueError("text was expected")  # noqa: TRY004 - one kind of error for whatever does not fit
    value.encode()
    return value


def get_texts(value: object) -> dict[str, str]:
    """Return texts by name. Raises ValueError for all else."""
    return {get_text(name): get_text(text) for name, text in get_object(value).items()}


def get_object(value: object) -> Json:
    """Return an object. Raises ValueError for all else."""
    if not isinstance(value, dict):
        raise ValueError("an object was expected")  # noqa: TRY004 - as above
    return value


def _optional(get: Callable[[Any], Any], value: object) -> Any:
    return None if value is None else get(value)


def put_time(at: datetime | None) -> int | None:
    """Return a time as JSON."""
    return None if at is None else milliseconds(at)


def get_time(value: int | None) -> datetime | None:
    """Return what `put_time` wrote. Raises ValueError, OverflowError."""
    return None if value is None else moment(get_number(value, -_LARGEST))


def put_money(amount: Decimal | None) -> str | None:
    """Return an amount in USD as JSON."""
    return None if amount is None else format(amount, "f")


def get_money(value: str | None) -> Decimal | None:
    """Return what `put_money` wrote. Raises ValueError."""
    return None if value is None else get_amount(value)


def get_amount(value: object) -> Decimal:
    """Return an amount in USD that must be there, in plain digits. Raises ValueError for all else."""
    if not isinstance(value, str) or not _MONEY.fullmatch(value):
        raise ValueError("an amount was expected")
    return Decimal(value)


def put_bytes(data: bytes) -> str:
    """Return bytes as JSON."""
    return base64.b64encode(data).decode("ascii")


def get_bytes(value: str) -> bytes:
    """Return what `put_bytes` wrote. Raises ValueError."""
    try:
        return base64.b64decode(get_text(value), validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error


# ---- values of a purchase -----------------------------------------------------------------------------------------


def put_work(position: int, work: Work) -> Json:
    """Return an item to be bought, with its place in the coordinator's journal, as JSON."""
    item = work.item
    return {
        "position": position, "key": work.key, "attempts": work.attempts, "id": item.id, "model": item.model,
        "body": item.body, "digest": item.digest, "tags": dict(item.tags), "path": item.path, "source": item.source,
        "estimated": put_money(item.estimated), "expect": item.expect,
    }  # fmt: skip


def get_work(content: Json) -> tuple[int, Work]:
    """Return what `put_work` wrote. Raises KeyError, ValueError."""
    item = Item(
        get_text(content["id"]), get_text(content["model"]), get_text(content["body"]), get_text(content["digest"]),
        path=get_text(content["path"]), source=get_text(content["source"]),
        tags=tuple(get_texts(content["tags"]).items()), estimated=get_amount(content["estimated"]),
        expect=_optional(get_text, content["expect"]),
    )  # fmt: skip
    return get_number(content["position"], -1), Work(get_number(content["key"]), item, get_number(content["attempts"]))


def put_job(job: Job) -> Json:
    """Return a job as the API described it, as JSON; of its `input` what `batchgen.policy.echo.foreign` judges."""
    return {
        "id": job.id, "status": job.status.value, "model": job.model, "cost": put_money(job.cost),
        "created_at": put_time(job.created_at), "started_at": put_time(job.started_at),
        "completed_at": put_time(job.completed_at), "expires_at": put_time(job.expires_at),
        "inference_ms": job.inference_ms, "error": job.error, "outputs": list(job.outputs),
        "input": None if job.input is None else {name: job.input[name] for name in _JUDGED if name in job.input},
        "scale": job.scale,
    }  # fmt: skip


def get_job(content: Json) -> Job:
    """Return what `put_job` wrote. Raises KeyError, ValueError, OverflowError."""
    if not _JOB_ID.fullmatch(get_text(content["id"])):
        raise ValueError("a job has no usable id")
    return Job(
        id=content["id"], status=JobStatus(content["status"]), model=_optional(get_text, content["model"]),
        cost=get_money(content["cost"]), created_at=get_time(content["created_at"]),
        started_at=get_time(content["started_at"]), completed_at=get_time(content["completed_at"]),
        expires_at=get_time(content["expires_at"]), inference_ms=_optional(get_number, content["inference_ms"]),
        error=_optional(get_text, content["error"]), outputs=_addresses(content["outputs"]),
        input=_optional(get_object, content["input"]), scale=_optional(get_text, content["scale"]),
    )  # fmt: skip


def _addresses(value: object) -> tuple[str | None, ...]:
    if not isinstance(value, list):
        raise ValueError("a list was expected")  # noqa: TRY004 - as above
    return tuple(_optional(get_text, address) for address in value)


def put_file(file: StoredFile) -> Json:
    """Return a stored output as JSON."""
    return {"output": file.output, "path": file.path, "bytes": file.bytes, "sha256": file.sha256,
            "familiar": file.familiar}  # fmt: skip


def get_file(content: Json) -> StoredFile:
    """Return what `put_file` wrote. Raises ValueError for a path that could leave the run folder."""
    path = get_text(content["path"])
    parts = path.split("/")
    if len(parts) < 2 or parts[0] not in ("files", "superseded") or {"", ".", ".."} & set(parts) or "\0" in path:
        raise ValueError(f"{path!r} is no path of an output")
    return StoredFile(
        get_number(content["output"]), path, get_number(content["bytes"]), get_text(content["sha256"]),
        familiar=bool(content["familiar"]),
    )  # fmt: skip


def put_findings(findings: Findings) -> Json:
    """Return what is known of a file as JSON."""
    facts = findings.facts
    return {
        "width": facts.width, "height": facts.height, "duration_ms": facts.duration_ms,
        "frame_rate": None if facts.frame_rate is None else str(facts.frame_rate), "codec": facts.codec,
        "sound": facts.sound, "c2pa": facts.c2pa, "flags": list(findings.flags), "judged": findings.judged,
    }  # fmt: skip


def get_findings(content: Json) -> Findings:
    """Return what `put_findings` wrote. Raises KeyError, ValueError, ZeroDivisionError."""
    width, height, duration = (_optional(get_number, content[name]) for name in ("width", "height", "duration_ms"))
    facts = Facts(
        width=width, height=height, duration_ms=duration, frame_rate=_optional(_rate, content["frame_rate"]),
        codec=_optional(get_text, content["codec"]), sound=_optional(bool, content["sound"]),
        c2pa=_optional(bool, content["c2pa"]),
    )  # fmt: skip
    return Findings(facts, tuple(map(get_text, content["flags"])), judged=bool(content["judged"]))


def _rate(value: object) -> Fraction:
    text = get_text(value)
    if not _RATE.fullmatch(text):
        raise ValueError("a frame rate was expected")
    return Fraction(text)


def put_absence(absence: Absence) -> Json:
    """Return the answers that said that a job is unknown, as JSON."""
    return {"answers": absence.answers, "seconds": absence.seconds}


def get_absence(content: Json) -> Absence:
    """Return what `put_absence` wrote."""
    return Absence(get_number(content["answers"]), get_seconds(content["seconds"]))
