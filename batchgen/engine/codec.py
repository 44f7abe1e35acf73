"""Values of a purchase as JSON and back, for what travels between worker and coordinator.

Times are milliseconds since 1970 (UTC), as in the journal; money is decimal text in USD. What is read comes over the
network, so anything that does not fit raises `UnreadableError`, and nothing is ever unpickled.
"""

import base64
import binascii
from collections.abc import Callable, Mapping
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


def put_time(at: datetime | None) -> int | None:
    """Return a time as JSON."""
    return None if at is None else milliseconds(at)


def get_time(value: int | None) -> datetime | None:
    """Return what `put_time` wrote."""
    return None if value is None else moment(value)


def put_money(amount: Decimal | None) -> str | None:
    """Return an amount in USD as JSON."""
    return None if amount is None else format(amount, "f")


def get_money(value: str | None) -> Decimal | None:
    """Return what `put_money` wrote. Raises InvalidOperation, ValueError."""
    if value is None:
        return None
    amount = Decimal(value)
    if not amount.is_finite():
        raise ValueError(f"{value} is no amount")
    return amount


def put_bytes(data: bytes) -> str:
    """Return bytes as JSON."""
    return base64.b64encode(data).decode("ascii")


def get_bytes(value: str) -> bytes:
    """Return what `put_bytes` wrote. Raises ValueError."""
    try:
        return base64.b64decode(value, validate=True)
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
    """Return what `put_work` wrote."""
    estimated = get_money(content["estimated"])
    if estimated is None:
        raise ValueError("an item has no price")
    item = Item(
        id=str(content["id"]), model=str(content["model"]), body=str(content["body"]), digest=str(content["digest"]),
        tags=tuple(content["tags"].items()), path=str(content["path"]), source=str(content["source"]),
        estimated=estimated, expect=content["expect"],
    )  # fmt: skip
    return int(content["position"]), Work(int(content["key"]), item, int(content["attempts"]))


def put_job(job: Job) -> Json:
    """Return a job as the API described it, as JSON."""
    return {
        "id": job.id, "status": job.status.value, "model": job.model, "cost": put_money(job.cost),
        "created_at": put_time(job.created_at), "started_at": put_time(job.started_at),
        "completed_at": put_time(job.completed_at), "expires_at": put_time(job.expires_at),
        "inference_ms": job.inference_ms, "error": job.error, "outputs": list(job.outputs),
        "input": None if job.input is None else dict(job.input), "scale": job.scale,
    }  # fmt: skip


def get_job(content: Json) -> Job:
    """Return what `put_job` wrote."""
    given: Mapping[str, Any] | None = content["input"]
    return Job(
        id=str(content["id"]), status=JobStatus(content["status"]), model=content["model"],
        cost=get_money(content["cost"]), created_at=get_time(content["created_at"]),
        started_at=get_time(content["started_at"]), completed_at=get_time(content["completed_at"]),
        expires_at=get_time(content["expires_at"]), inference_ms=content["inference_ms"], error=content["error"],
        outputs=tuple(content["outputs"]), input=given, scale=content["scale"],
    )  # fmt: skip


def put_file(file: StoredFile) -> Json:
    """Return a stored output as JSON."""
    return {"output": file.output, "path": file.path, "bytes": file.bytes, "sha256": file.sha256,
            "familiar": file.familiar}  # fmt: skip


def get_file(content: Json) -> StoredFile:
    """Return what `put_file` wrote. Raises ValueError for a path that could leave the run folder."""
    path = str(content["path"])
    parts = path.split("/")
    if len(parts) < 2 or parts[0] not in ("files", "superseded") or {"", ".", ".."} & set(parts) or "\0" in path:
        raise ValueError(f"{path!r} is no path of an output")
    return StoredFile(
        int(content["output"]), path, int(content["bytes"]), str(content["sha256"]), familiar=bool(content["familiar"])
    )


def put_findings(findings: Findings) -> Json:
    """Return what is known of a file as JSON."""
    facts = findings.facts
    return {
        "width": facts.width, "height": facts.height, "duration_ms": facts.duration_ms,
        "frame_rate": None if facts.frame_rate is None else str(facts.frame_rate), "codec": facts.codec,
        "sound": facts.sound, "c2pa": facts.c2pa, "flags": list(findings.flags), "judged": findings.judged,
    }  # fmt: skip


def get_findings(content: Json) -> Findings:
    """Return what `put_findings` wrote."""
    rate = content["frame_rate"]
    facts = Facts(
        width=content["width"], height=content["height"], duration_ms=content["duration_ms"],
        frame_rate=None if rate is None else Fraction(rate), codec=content["codec"], sound=content["sound"],
        c2pa=content["c2pa"],
    )  # fmt: skip
    return Findings(facts, tuple(map(str, content["flags"])), judged=bool(content["judged"]))


def put_absence(absence: Absence) -> Json:
    """Return the answers that said that a job is unknown, as JSON."""
    return {"answers": absence.answers, "seconds": absence.seconds}


def get_absence(content: Json) -> Absence:
    """Return what `put_absence` wrote."""
    return Absence(int(content["answers"]), float(content["seconds"]))
