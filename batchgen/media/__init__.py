"""Is a downloaded file the image or video it should be, is it all there, and what is it? By structure, not decoding."""

import mmap
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import IO

from batchgen.core.text import printable
from batchgen.media import bitmaps, heif, jxl, webm
from batchgen.media.facts import UNKNOWN, Facts, known
from batchgen.media.films import film_facts
from batchgen.media.images import check_gif, check_jpeg, check_png, check_webp
from batchgen.media.mp4 import check_mp4
from batchgen.media.source import Damaged, Source, Unfamiliar
from batchgen.media.texts import is_text

__all__ = ["Damaged", "Media", "Unfamiliar", "extension_for", "inspect", "inspect_bytes", "inspect_file"]


@dataclass(frozen=True, slots=True)
class Media:
    """What a file is: its extension, and `image` or `video` (an API's `output_kind`)."""

    extension: str
    kind: str
    facts: Facts = field(default=UNKNOWN, compare=False)
    """What its structure says of it, where it was looked at."""


_Inspect = Callable[[Source], Facts]
"""Walks a whole file and returns what it is; raises `Damaged`."""
_Format = tuple[str, str, _Inspect]
"""Extension, kind, and how it is inspected."""


def _iso_media(source: Source) -> _Format:
    """Recognise videos and images in ISO boxes by their brands."""
    still = heif.still_extension(source)
    if still is not None:
        return still, "image", heif.check_heif
    return "mov" if source.data[8:12] == b"qt  " else "mp4", "video", _inspect_film


def _inspect_film(source: Source) -> Facts:
    return film_facts(source, check_mp4(source))


def _inspect_webm(source: Source) -> Facts:
    webm.check_webm(source)
    return known(webm.webm_facts, source, UNKNOWN)


def _always(*form: *_Format) -> Callable[[Source], _Format]:
    return lambda _: form


# QuickTime files from before there was `ftyp` begin with any of these.
_FIRST_BOXES = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_TIFF_HEADS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_FORMATS: tuple[tuple[Callable[[bytes], bool], Callable[[Source], _Format]], ...] = (
    (lambda head: head.startswith(b"\x89PNG\r\n\x1a\n"), _always("png", "image", check_png)),
    (lambda head: head.startswith(b"\xff\xd8\xff"), _always("jpg", "image", check_jpeg)),
    (lambda head: head.startswith((b"GIF87a", b"GIF89a")), _always("gif", "image", check_gif)),
    (lambda head: head.startswith(b"RIFF") and head[8:12] == b"WEBP", _always("webp", "image", check_webp)),
    (lambda head: head[4:8] == b"ftyp", _iso_media),
    (lambda head: head[4:8] in _FIRST_BOXES, _always("mov", "video", _inspect_film)),
    (
        lambda head: head.startswith(b"\x1a\x45\xdf\xa3"),
        lambda source: (webm.extension_of(source), "video", _inspect_webm),
    ),
    (lambda head: head.startswith(b"BM") and not any(head[6:10]), _always("bmp", "image", bitmaps.check_bmp)),
    (lambda head: head.startswith(_TIFF_HEADS), _always("tiff", "image", bitmaps.check_tiff)),
    (
        lambda head: head.startswith(jxl.JXL_CONTAINER),
        _always("jxl", "image", jxl.check_jxl_container),
    ),
)


_BY_CONTENT_TYPE = {
    "image/vnd.microsoft.icon": "ico", "image/x-icon": "ico", "image/jp2": "jp2", "image/jpx": "jpx",
    "image/x-exr": "exr", "image/vnd.radiance": "hdr", "image/vnd.adobe.photoshop": "psd", "image/x-tga": "tga",
    "image/ktx2": "ktx2", "image/vnd-ms.dds": "dds", "image/qoi": "qoi", "image/x-portable-pixmap": "ppm",
    "image/jxr": "jxr", "image/bpg": "bpg", "image/jxl": "jxl",
    "video/x-msvideo": "avi", "video/mpeg": "mpg", "video/mp2t": "ts", "video/x-flv": "flv", "video/ogg": "ogv",
    "video/x-ms-wmv": "wmv", "video/x-ivf": "ivf", "application/mxf": "mxf", "application/zip": "zip",
    "model/gltf-binary": "glb",
}  # fmt: skip
"""Extensions that no computer runs as a program; known formats are identified by their bytes instead."""


def extension_for(content_type: str | None) -> str:
    """Return an extension for bytes of a format that is not known, from what the server calls them; else `bin`."""
    return _BY_CONTENT_TYPE.get(content_type or "", "bin")


def inspect(path: Path) -> Media:
    """Return what the file at `path` is, by its bytes alone.

    Raises `Unfamiliar` when it is something else that is not text, `Damaged` when it is text or is cut short, at
    whatever byte it was cut; `batchgen.media.mp4`, `webm` and `bitmaps` name the cases that their containers leave
    open. Raises OSError where it cannot be read.
    """
    with path.open("rb") as file:
        return inspect_file(file)


def inspect_file(file: IO[bytes] | FileIO) -> Media:
    """Like `inspect`, for an open file."""
    if not os.fstat(file.fileno()).st_size:
        return inspect_bytes(b"")  # which cannot be mapped
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return inspect_bytes(data)


def inspect_bytes(data: mmap.mmap | bytes) -> Media:
    """Like `inspect`, for bytes."""
    if not data:
        raise Damaged("is empty")
    head = data[:64]
    source = Source(data)
    for begins, format_of in _FORMATS:
        if begins(head):
            extension, kind, look = format_of(source)
            return Media(extension, kind, look(source))
    begins_with = f"it begins with {printable(head.decode('latin-1'), 32)!r}"
    if is_text(data[:4096]):
        raise Damaged(f"is not an image or video: {begins_with}")
    raise Unfamiliar(f"has an unknown format: {begins_with}")
