"""The second origin: signed, expiring addresses and the files behind them, as an object store gives them out."""

import asyncio
import hmac
import re
from collections import Counter, OrderedDict
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs

from aiohttp import web

from batchgen.catalog import Catalog
from batchgen.provider import Fault, Provider, ProviderJob
from batchgen.provider.faults import DRAWN, FETCH
from batchgen.provider.pictures import foreign
from batchgen.simulator.answers import html_response
from batchgen.simulator.media import UNRELATED, drawing_of, encode, scale_of, tiny

TYPES = {"image": "image/png", "video": "video/mp4"}
_SUFFIXES = {"image": "png", "video": "mp4"}
_CACHE_BYTES = 64 * 2**20
_PATH = re.compile(r"/outputs/([0-9a-f]{24})/([0-9])\.(png|mp4)")


class Studio:
    """Makes the files when they are first requested, outside the event loop, and keeps the latest in memory.

    A file that was dropped is made again: it depends only on the request.
    """

    def __init__(self, catalog: Catalog, *, small: bool) -> None:
        self._catalog = catalog
        self._small = small
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="media")
        self._made: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._size = 0
        self._making: dict[tuple[str, int], asyncio.Future[bytes]] = {}

    async def file(self, job: ProviderJob, output: int, faults: frozenset[Fault]) -> bytes:
        """Return the bytes of one output (from 0) that these faults strike."""
        model = self._catalog.model(job.model)
        if self._small or model is None:  # it may have been ordered by other tables than these
            return tiny(job.kind, faults)
        key = (job.id, output)
        if key in self._made:
            self._made.move_to_end(key)
            return self._made[key]
        making = self._making.get(key)
        if making is None:
            drawing = drawing_of(model, job, output, faults)
            making = asyncio.get_running_loop().run_in_executor(self._pool, encode, drawing)
            self._making[key] = making
            making.add_done_callback(lambda done: self._keep(key, done))
        return await asyncio.shield(making)

    def scale_of(self, job: ProviderJob) -> str:
        """Return the size of a job's files as a part of what was ordered (`batchgen.api.Job.scale`)."""
        model = self._catalog.model(job.model)
        return UNRELATED if self._small or model is None else scale_of(model, job)

    def close(self) -> None:
        """Drop files that are not yet begun, and wait for the others: this takes milliseconds."""
        self._pool.shutdown(cancel_futures=True)

    def _keep(self, key: tuple[str, int], done: "asyncio.Future[bytes]") -> None:
        del self._making[key]
        if done.cancelled() or done.exception() is not None:
            return
        self._made[key] = done.result()
        self._size += len(done.result())
        while self._size > _CACHE_BYTES:
            self._size -= len(self._made.popitem(last=False)[1])


class Storage:
    """Signs addresses and serves the files at these addresses."""

    def __init__(self, provider: Provider, studio: Studio) -> None:
        self._provider = provider
        self.studio = studio
        self._secret = provider.dice.secret("storage")
        self._fetches: Counter[str] = Counter()

    def signed(self, job: ProviderJob, output: int, expires: int) -> str:
        """Return path and query of an output (from 0) that work until `expires`, seconds since the epoch."""
        path = f"/outputs/{job.id}/{output}.{_SUFFIXES[job.kind]}"
        return f"{path}?expires={expires}&signature={self._signature(path, expires)}"

    def refusal(self, address: str, now: float) -> str | None:
        """Return why a path with its query would be refused; None if it works."""
        path, _, query = address.partition("?")
        values = {name: given[-1] for name, given in parse_qs(query).items()}
        expires = values.get("expires", "")
        if not expires.isascii() or not expires.isdigit() or len(expires) > 12:
            return "the address is not signed"
        if not hmac.compare_digest(values.get("signature", "").encode(), self._signature(path, int(expires)).encode()):
            return "the signature is wrong"
        return "the address has expired" if now >= int(expires) else None

    def output_at(self, address: str) -> tuple[ProviderJob, int] | None:
        """Return job and output (from 1) of a path with its query, signed or not; None if there is no such job."""
        match = _PATH.fullmatch(address.partition("?")[0])
        job = self._provider.books.jobs.get(match[1]) if match else None
        return (job, int(match[2]) + 1) if match and job is not None else None

    def unfetchable(self, address: str, now: float) -> str | None:
        """Return why what lies at a path with its query cannot be an input image; None if it can."""
        reason = self.refusal(address, now)
        if reason is not None:
            return reason
        found = self.output_at(address)
        return "there is no such file" if found is None else self._provider.unfetchable(found[0].id, found[1], now)

    async def serve(self, request: web.BaseRequest, now: float) -> web.StreamResponse:
        """Answer one request."""
        if request.method not in ("GET", "HEAD"):
            return _plain(405, "method not allowed")
        if "Authorization" in request.headers:
            # As with signed addresses of object stores, only one way to authorise a request is allowed.
            return _plain(400, "the signed query and an Authorization header cannot be used together")
        reason = self.refusal(request.raw_path, now)
        if reason is not None:
            return _plain(403, reason)
        found = self.output_at(request.raw_path)
        if found is None or now >= found[0].expires_at:
            return _plain(404, "no such file")
        job, output = found
        lasting = self._provider.file_faults(job, output, now)
        if Fault.GONE in lasting:
            return _plain(410, "gone")
        if Fault.FOREIGN_FILE in lasting:
            return web.Response(body=foreign(job.id, output), headers={"Content-Type": TYPES[job.kind]})
        return await self._output(request, job, output - 1, lasting.intersection(DRAWN))

    async def _output(
        self, request: web.BaseRequest, job: ProviderJob, output: int, drawn: frozenset[Fault]
    ) -> web.StreamResponse:
        what = f"{job.digest} {job.acceptance} {output}"
        self._fetches[what] += 1
        number = self._fetches[what]
        fault = self._provider.faults.strike(FETCH, what, number)
        if fault is Fault.HTML:
            return html_response(200)
        if fault is Fault.FILE_LIMITED:
            return web.Response(status=429, headers={"Retry-After": "1"})
        content = await self.studio.file(job, output, drawn)
        if fault is Fault.TRUNCATED:
            _cut_short(request, content, announced=self._provider.dice.uniform("announced", what, number) < 0.5)
        return web.Response(body=content, headers={"Content-Type": TYPES[job.kind]})

    def _signature(self, path: str, expires: int) -> str:
        return hmac.digest(self._secret, f"{path}\n{expires}".encode(), "sha256").hex()


def _plain(status: int, text: str) -> web.Response:
    return web.Response(status=status, body=text.encode(), headers={"Content-Type": "text/plain; charset=utf-8"})


def _cut_short(request: web.BaseRequest, content: bytes, *, announced: bool) -> None:
    """Send half of a file and close: with a length that shows it, or with the close as its only end (RFC 9112, 6.3)."""
    if request.transport is None:
        return
    length = f"Content-Length: {len(content)}\r\n" if announced else ""
    kind = "image/png" if content.startswith(b"\x89PNG") else "video/mp4"
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{length}Connection: close\r\n\r\n"
    request.transport.write(head.encode() + content[: len(content) // 2])
    # The answer that the handler returns afterwards finds the connection closing and is dropped.
    request.transport.close()
