"""The files of a run and their thumbnails, as answers.

A file was made by others, and may be anything: its type follows from its name, which its content decided when it was
downloaded; browsers are told not to guess, and to let it do nothing.
"""

import asyncio
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from aiohttp import web

from batchgen.media.thumbnail import NoThumbnailError
from batchgen.store.content_types import CONTENT_TYPES
from batchgen.thumbnails import Thumbnailer, is_there, thumbnail_name, thumbnail_path
from batchgen.viewer.access import Refusal
from batchgen.viewer.copies import Copies
from batchgen.viewer.reader import Known

_CHUNK = 1 << 18
_FOLDERS = ("files", "superseded")
_THUMBNAIL = re.compile(r"([0-9a-f]{2})/(\1[0-9a-f]{62})\.webp")
_NO_FILE = "There is no such file in this run."


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file that was opened for reading; a context manager that closes it."""

    handle: int
    size: int
    etag: str

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.handle)


def open_inside(folder: Path, name: str) -> OpenFile:
    """Open a file below a run folder by its relative name; only its first part may be a link (to a larger disk).

    Raises FileNotFoundError, or another OSError, for anything that is not a plain file there.
    """
    parts = name.split("/")
    if len(parts) < 2 or not {"", ".", ".."}.isdisjoint(parts) or "\0" in name:
        raise FileNotFoundError(name)
    first, *between, last = parts
    at = os.open(folder / first, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in between:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
            os.close(at)
            at = inner
        handle = os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=at)
    finally:
        os.close(at)
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode):
        os.close(handle)
        raise FileNotFoundError(name)
    return OpenFile(handle, found.st_size, f'"{found.st_mtime_ns:x}-{found.st_size:x}"')


class Media:
    """Serves the files that the page was told of, and their thumbnails, which are made when they are first wanted."""

    def __init__(self, folder: Path, known: Known, thumbnailer: Thumbnailer, copies: Copies | None = None) -> None:
        """`copies` has the outputs that are in an object store; None: they are in the folder."""
        self._folder, self._known, self._thumbnailer, self._copies = folder, known, thumbnailer, copies

    async def file(self, request: web.Request) -> web.StreamResponse:
        """Answer with a file, or with a part of it, so that videos seek. Raises Refusal."""
        name = request.path.removeprefix("/")
        if name.partition("/")[0] not in _FOLDERS or name not in self._known:
            raise Refusal(404, _NO_FILE)
        type_ = CONTENT_TYPES.get(name.rpartition(".")[2])  # anything else is offered for download
        headers = {"Content-Type": type_ or "application/octet-stream", "Cache-Control": "private, no-cache"}
        if type_ is None:
            headers["Content-Disposition"] = "attachment"
        return await self._send(request, name, headers, self._copies)

    async def thumbnail(self, request: web.Request) -> web.StreamResponse:
        """Answer with a thumbnail. Raises Refusal where there is none, and none can be made."""
        found = _THUMBNAIL.fullmatch(request.path.removeprefix("/thumbs/"))
        path = self._known.with_sha256(found[2]) if found else None
        if found is None or path is None:
            raise Refusal(404, _NO_FILE)
        sha256 = found[2]
        try:
            if self._copies is None:
                with open_inside(self._folder, path):  # not by way of a link
                    await self._thumbnailer.make(self._folder / path, sha256)
            elif not is_there(thumbnail_path(self._folder, sha256)):
                async with self._copies.holding(path) as copy:
                    await self._thumbnailer.make(copy.path, sha256)
        except (NoThumbnailError, OSError) as error:
            raise Refusal(404, f"There is no thumbnail: {error}.") from error
        # Known by the content of its file, so that it never changes.
        headers = {"Content-Type": "image/webp", "Cache-Control": "private, max-age=86400, immutable"}
        return await self._send(request, thumbnail_name(sha256), headers)

    async def _send(
        self, request: web.Request, name: str, headers: Mapping[str, str], copies: Copies | None = None
    ) -> web.StreamResponse:
        try:
            opened = open_inside(self._folder, name) if copies is None else await _opened_copy(copies, name)
        except OSError as error:
            raise Refusal(404, _NO_FILE) from error
        with opened as file:
            about = {**headers, "Content-Security-Policy": "sandbox; frame-ancestors 'none'", "ETag": file.etag}
            if request.headers.get("If-None-Match") == file.etag:
                return web.Response(status=304, headers=about)
            response = web.StreamResponse(headers={**about, "Accept-Ranges": "bytes"})
            part = _part(request, file)
            if part is None:
                part = range(file.size)
            else:
                response.set_status(206)
                response.headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{file.size}"
            response.content_length = len(part)
            await response.prepare(request)
            if request.method != "HEAD":
                await _write(response, file, part)
        return response


async def _opened_copy(copies: Copies, name: str) -> OpenFile:
    async with copies.holding(name) as copy:
        return OpenFile(os.dup(copy.file.fileno()), copy.size, f'"{copy.sha256}"')


def _part(request: web.Request, file: OpenFile) -> range | None:
    """Return the bytes that are asked for; None: all, also where several parts are (RFC 9110, section 14.2).

    Raises Refusal for a part that the file does not have.
    """
    if "Range" not in request.headers or request.headers.get("If-Range", file.etag) != file.etag:
        return None
    try:
        asked = request.http_range
    except ValueError:
        return None
    part = range(file.size)[asked]
    if not part:
        raise Refusal(416, "The file is shorter than that.")
    return part


async def _write(response: web.StreamResponse, file: OpenFile, part: range) -> None:
    for start in range(part.start, part.stop, _CHUNK):
        data = await asyncio.to_thread(os.pread, file.handle, min(_CHUNK, part.stop - start), start)
        if not data:
            raise ConnectionResetError("the file became shorter while it was sent")
        await response.write(data)
    await response.write_eof()
