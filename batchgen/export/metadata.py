"""What is handed over with each file: a row of `metadata.jsonl`, in the manner of Hugging Face folders.

Every row has the same columns, and a column one type in all of them, since readers take the types from the first rows:
what differs from item to item (parameters, variables, tags) is JSON text.
"""

import json
from pathlib import PurePosixPath
from typing import Any

from batchgen.core.digest import canonical_json
from batchgen.core.text import stamp
from batchgen.journal import moment
from batchgen.journal.chains import with_references
from batchgen.journal.queries.export_rows import ExportRow
from batchgen.ledger.flags import flags_of
from batchgen.picks import Pick

METADATA_NAME = "metadata.jsonl"
IMAGES, VIDEOS, OTHERS = "images", "videos", "other"
_IMAGE_ENDINGS = frozenset({
    "avif", "bmp", "bpg", "dds", "exr", "gif", "hdr", "heic", "ico", "jp2", "jpg", "jpx", "jxl", "jxr", "ktx2", "png",
    "ppm", "psd", "qoi", "tga", "tiff", "webp",
})  # fmt: skip
_VIDEO_ENDINGS = frozenset({"avi", "flv", "ivf", "mkv", "mov", "mp4", "mpg", "mxf", "ogv", "ts", "webm", "wmv"})
NULLABLE = ("seed", "width", "height", "duration", "rating", "created_at")
"""Columns that may be null. Where a reader finds nothing but nulls in its first rows, it knows no type."""
_LARGEST = 2**63


def folder_of(path: str) -> str:
    """Return the folder of an export to which a file belongs, by its extension."""
    ending = PurePosixPath(path).suffix.removeprefix(".")
    if ending in _IMAGE_ENDINGS:
        return IMAGES
    return VIDEOS if ending in _VIDEO_ENDINGS else OTHERS


def metadata_of(row: ExportRow, run: str, pick: Pick | None, *, simulated: bool) -> dict[str, Any]:
    """Return the metadata of an output. `file_name` and `sha256` are filled in when its file is there.

    `bought_sha256` is the hash in the ledger; `sha256` differs from it where a mark was added.
    """
    body = json.loads(with_references(row.body, row.inputs))
    del body["model"]  # it has a column of its own
    prompt, seed = body.pop("prompt", ""), body.get("seed")
    return {
        "file_name": "",
        "item_id": row.item_id,
        "output": row.number,
        "prompt": prompt,
        "model": row.model,
        "params": canonical_json(body),
        "variables": row.variables or "{}",
        "tags": canonical_json(json.loads(row.tags)),
        "seed": seed if type(seed) is int and abs(seed) < _LARGEST else None,
        "width": row.width,
        "height": row.height,
        "duration": None if row.duration_ms is None else row.duration_ms / 1000,
        "sha256": "",
        "bought_sha256": row.sha256,
        "job_id": row.job_id or "",
        "flags": ";".join(flags_of(row.error_type, row.flags, stale=bool(row.stale))),
        "pick": "" if pick is None else pick.pick,
        "rating": None if pick is None else pick.rating,
        "created_at": None if row.completed_at is None else stamp(moment(row.completed_at)),
        "run": run,
        "simulated": simulated,
    }


def metadata_line(metadata: dict[str, Any]) -> str:
    """Return a row of `metadata.jsonl`."""
    return f"{json.dumps(metadata, ensure_ascii=False)}\n"


def sidecar_text(metadata: dict[str, Any]) -> str:
    """Return what stands in the JSON file beside an output: the same as in its row."""
    return f"{json.dumps(metadata, ensure_ascii=False, indent=2)}\n"
