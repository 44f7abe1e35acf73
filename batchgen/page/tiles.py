"""Tiles and details of items as JSON values. Money is decimal text in USD, times are UTC as in the ledger.

Prompts, ids and messages come from elsewhere, and are left as they are: whoever shows them has to escape them.
"""

import json
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

from batchgen.core.costs import cost_of
from batchgen.core.text import stamp, usd
from batchgen.journal.chains import with_references
from batchgen.journal.queries.page import AttemptRow, InputRow, ItemRows, TileRow
from batchgen.journal.schema import moment
from batchgen.picks import Pick, picked_outputs
from batchgen.thumbnails import thumbnail_name

Picks = Mapping[tuple[str, str, int], Pick]
_VIDEO = frozenset({"avi", "flv", "ivf", "mkv", "mov", "mp4", "mpg", "mxf", "ogv", "ts", "webm", "wmv"})
_IMAGE = frozenset({
    "avif", "bmp", "bpg", "dds", "exr", "gif", "hdr", "heic", "heif", "ico", "jp2", "jpg", "jxl", "jxr", "ktx2", "png",
    "ppm", "psd", "qoi", "tga", "tiff", "webp",
})  # fmt: skip
"""The extensions that `batchgen.media` gives to files."""
_NO_COST = Decimal(0)


def tile_of(row: TileRow, picks: Picks) -> dict[str, Any]:
    """Return one output, or an item without one."""
    body: dict[str, Any] = json.loads(row.body)
    pick = _pick(row, picks)
    return {
        "key": row.key,
        "n": row.number,
        "of": row.outputs,
        "id": row.item_id,
        "state": row.state,
        "model": row.model,
        "kind": kind_of(row.path),
        "file": row.path or "",
        "thumb": thumbnail_name(row.sha256) if row.sha256 else "",
        "width": row.width,
        "height": row.height,
        "duration_s": _seconds(row.duration_ms),
        "bytes": row.bytes,
        "sha256": row.sha256 or "",
        "flags": row.flags.split(";") if row.flags else [],
        "pick": pick.pick if pick else "",
        "rating": (pick.rating or 0) if pick else 0,
        "reason": pick.reason if pick else "",
        "tags": _tags(row.tags),
        "prompt": str(body.get("prompt", "")),
        "error": _error(row),
        "net_usd": usd(_net(row)),
    }


def kind_of(path: str | None) -> str:
    """Return whether a file is an `image` or a `video`, by its extension, which its content decided; or nothing."""
    extension = (path or "").rpartition(".")[2]
    return "video" if extension in _VIDEO else "image" if extension in _IMAGE else ""


def detail_of(rows: ItemRows, picks: Picks) -> dict[str, Any]:
    """Return all that is known of an item."""
    row = rows.item
    body: dict[str, Any] = json.loads(with_references(row.body, row.inputs))
    sent = {parameter: job_id for parameter, _, _, job_id, *_ in json.loads(row.sent or "[]")}
    prompt, seed, model = body.pop("prompt", ""), body.pop("seed", None), body.pop("model", row.model)
    return {
        "key": row.key,
        "id": row.item_id,
        "state": row.state,
        "reason": row.reason or "",
        "model": str(model),
        "prompt": str(prompt),
        "params": body,
        "seed": seed,
        "tags": _tags(row.tags),
        "source": row.source,
        "request_digest": row.digest,
        "stale": bool(row.stale),
        "inputs": [_input(found, sent.get(found.parameter)) for found in rows.inputs],
        "used_by": [{"item_id": item_id, "key": key} for item_id, key in rows.users],
        "attempts": [_attempt(attempt) for attempt in rows.attempts],
        "outputs": [
            tile_of(output, picks)
            | {
                "codec": output.codec or "",
                "frame_rate": output.frame_rate or "",
                "sound": None if output.sound is None else bool(output.sound),
            }
            for output in rows.outputs
        ],
    }


def _attempt(row: AttemptRow) -> dict[str, Any]:
    cost = cost_of(row.state, row.estimated, row.reserved, row.charged, row.refunded)
    return {
        "number": row.number,
        "state": row.state,
        "estimated_usd": usd(cost.estimated),
        "charged_usd": None if row.charged is None else usd(cost.charged),
        "refunded_usd": None if row.refunded is None else usd(cost.refunded),
        "net_usd": usd(cost.charged + cost.refunded),
        "in_doubt_usd": usd(cost.in_doubt),
        "job_id": row.job_id,
        "submitted_at": _time(row.submitted_at),
        "accepted_at": _time(row.accepted_at),
        "completed_at": _time(row.completed_at),
        "refunded_at": _time(row.refunded_at),
        "expires_at": _time(row.expires_at),
        "took_s": _seconds(row.took_ms),
        "inference_s": _seconds(row.inference_ms),
        "polls": row.polls,
        "error_type": row.error_type or "",
        "error_message": row.error_message or "",
    }


def _input(row: InputRow, job_id: str | None) -> dict[str, Any]:
    return {
        "parameter": row.parameter, "item_id": row.item_id or "", "key": row.source, "output": row.output,
        "job_id": job_id or "",
    }  # fmt: skip


def _pick(row: TileRow, picks: Picks) -> Pick | None:
    if not (picks and row.path and row.sha256):
        return None
    (output,) = picked_outputs([(row.item_id, row.digest, row.number, row.path, row.sha256)], picks)
    return output.pick


def _net(row: TileRow) -> Decimal:
    if row.attempt_state is None:
        return _NO_COST
    cost = cost_of(row.attempt_state, row.estimated or "0", row.reserved or "0", row.charged, row.refunded)
    return cost.charged + cost.refunded


def _error(row: TileRow) -> str:
    if row.reason:
        return row.reason
    return ": ".join(filter(None, (row.error_type, row.error_message)))


@lru_cache(maxsize=256)  # tags repeat from item to item
def _parsed_tags(text: str) -> dict[str, str]:
    return {name: str(value) for name, value in json.loads(text).items()}


def _tags(text: str) -> dict[str, str]:
    return dict(_parsed_tags(text))


def _time(at: int | None) -> str | None:
    return None if at is None else stamp(moment(at))


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
