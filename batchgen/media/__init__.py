"""Is a downloaded file the image or video it should be, and is it all there? Judged by structure, without decoding."""

import mmap
import os
from collections.abc import Callable
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import IO

from batchgen.media.images import check_gif, check_jpeg, check_png, check_webp
from batchgen.media.mp4 import check_mp4
from batchgen.media.source import Damaged, Source
from batchgen.media.webm import check_webm
from batchgen.text import printable

__all__ = ["Damaged", "Media", "inspect", "inspect_file"]


@dataclass(frozen=True, slots=True)
class Media:
    """What a file is: `png`, `jpg`, `webp`, `gif`, `mp4` or `webm`, and `image` or `video` (an API's `output_kind`)."""

    extension: str
    kind: str


_CHECKS: tuple[tuple[Callable[[bytes], bool], Media, Callable[[Source], None]], ...] = (
    (lambda head: head.startswith(b"\x89PNG\r\n\x1a\n"), Media("png", "image"), check_png),
    (lambda head: head.startswith(b"\xff\xd8\xff"), Media("jpg", "image"), check_jpeg),
    (lambda head: head.startswith((b"GIF87a", b"GIF89a")), Media("gif", "image"), check_gif),
    (lambda head: head.startswith(b"RIFF") and head[8:12] == b"WEBP", Media("webp", "image"), check_webp),
    (lambda head: head[4:8] == b"ftyp", Media("mp4", "video"), check_mp4),
    (lambda head: head.startswith(b"\x1a\x45\xdf\xa3"), Media("webm", "video"), check_webm),
)


def inspect(path: Path) -> Media:
    """Return what the file at `path` is, by its bytes alone.

    Raises `Damaged` when it is something else or ends too early, at whatever byte it was cut; `batchgen.media.mp4` and
    `batchgen.media.webm` name the two cases that their containers leave open. Raises OSError where it cannot be read.
    """
    with path.open("rb") as file:
        return inspect_file(file)


def inspect_file(file: IO[bytes] | FileIO) -> Media:
    """Like `inspect`, for a file that is open."""
    if not os.fstat(file.fileno()).st_size:
        raise Damaged("is empty")
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return inspect_bytes(data)


def inspect_bytes(data: mmap.mmap | bytes) -> Media:
    """Like `inspect`, for bytes."""
    head = data[:64]
    for begins, media, check in _CHECKS:
        if begins(head):
            check(Source(data))
            return media
    raise Damaged(f"is no image or video: it begins with {printable(head.decode('latin-1'), 32)!r}")
