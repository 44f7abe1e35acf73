"""The API's shape, as cheap as Python can serve it: so the bottleneck is the program that is measured, not the server.

Every POST is accepted at once. A job is done at its n-th poll (`--polls`), and after some seconds (`--seconds`,
lognormal with `--sigma`); its one output is the same file of `--size` bytes behind a redirect to another origin.
`--hold` keeps each answer to a poll back for some seconds. Ends when standard input ends.
"""

import argparse
import asyncio
import json
import math
import random
import resource
import struct
import sys
import time
import zlib
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any


def png(size: int) -> bytes:
    """Return a grey PNG of about so many bytes, stored without compression (PNG, third edition)."""
    width = 1023
    height = max(1, (size - 100) // (width + 1))
    rows = bytes(n * 151 % 251 for n in range(width))
    data = zlib.compress((b"\0" + rows) * height, 0)
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), (b"IDAT", data), (b"IEND", b"")]
    chunks = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def mp4(size: int) -> bytes:
    """Return the simulator's shortest video with so many bytes of free space behind it (ISO/IEC 14496-12)."""
    from batchgen.simulator.media import tiny

    video = tiny("video")
    space = size - len(video)
    return video + struct.pack(">I4s", space, b"free") + bytes(space - 8)


def answer(status: str, body: bytes, *headers: str) -> bytes:
    """Return an HTTP answer as bytes."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


JSON = "Content-Type: application/json"


class Shop:
    """The jobs."""

    def __init__(self, polls: int, seconds: float, sigma: float) -> None:
        self._polls = polls
        self._seconds = seconds
        self._sigma = sigma
        self._draws = random.Random(7)
        self._numbers = count(1)
        self._asked: dict[str, int] = {}
        self._orders: dict[str, Any] = {}
        self._created: dict[str, float] = {}
        self._ends: dict[str, float] = {}
        self.base = self.files = ""

    def submit(self, order: bytes) -> bytes:
        """Accept a job."""
        job = f"job{next(self._numbers):08}"
        self._orders[job] = json.loads(order)
        self._asked[job] = 0
        self._created[job] = now = time.time()
        self._ends[job] = now + self._seconds * math.exp(self._draws.gauss(0.0, self._sigma))
        return answer("202 Accepted", self._shown(job, done=False), JSON)

    def poll(self, job: str) -> bytes:
        """Return the status of a job."""
        self._asked[job] += 1
        done = self._asked[job] >= self._polls and time.time() >= self._ends[job]
        return answer("200 OK", self._shown(job, done=done), JSON)

    def redirect(self, job: str) -> bytes:
        """Redirect the caller to the file."""
        return answer("302 Found", b"", f"Location: {self.files}/outputs/{job}.png?signature=0123456789abcdef")

    def _shown(self, job: str, *, done: bool) -> bytes:
        created = datetime.fromtimestamp(self._created[job], UTC)
        ended = datetime.fromtimestamp(max(self._ends[job], self._created[job] + 0.01), UTC)
        shown = {
            "id": job,
            "object": "generation",
            "model": "hera-1.0-text-to-image",
            "output_kind": "image",
            "status": "completed" if done else "processing",
            "created_at": created.isoformat(),
            "started_at": created.isoformat(),
            "completed_at": ended.isoformat() if done else None,
            "expires_at": (created + timedelta(days=7)).isoformat(),
            "retention_days": 7,
            "error": None,
            "cost_usd": 0.056,
            "input": self._orders[job],
            "timings": {"inference_ms": 10},
            "urls": {"get": f"{self.base}/v1/jobs/{job}"},
            "data": [{"url": f"{self.base}/v1/files/{job}"}] if done else [],
        }
        return json.dumps(shown).encode()


class Connection(asyncio.Protocol):
    """One connection: requests one after the other."""

    def __init__(self, shop: Shop, picture: bytes, hold: float) -> None:
        self._shop = shop
        self._picture = picture
        self._hold = hold
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport: Any = transport  # uvloop's transports are not an asyncio.Transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that has arrived completely."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end]
            length = 0
            if head.startswith(b"POST"):
                at = head.lower().find(b"content-length:")
                length = int(head[at + 15 :].split(b"\r\n", 1)[0])
            if len(self._received) < end + 4 + length:
                return
            order, self._received = self._received[end + 4 : end + 4 + length], self._received[end + 4 + length :]
            path = head.split(b" ", 2)[1].decode()
            if self._hold and path.startswith("/v1/jobs/"):
                asyncio.get_running_loop().call_later(self._hold, self._transport.write, self._answer(path, order))
            else:
                self._transport.write(self._answer(path, order))
            if b"onnection: close" in head:
                self._transport.close()

    def _answer(self, path: str, order: bytes) -> bytes:
        if path.startswith("/v1/jobs/"):
            return self._shop.poll(path[9:])
        if path.startswith("/outputs/"):
            return self._picture
        if path.startswith("/v1/files/"):
            return self._shop.redirect(path[10:].partition("?")[0])
        if path.startswith("/v1/generate"):
            return self._shop.submit(order)
        return answer("404 Not Found", b"{}")  # what a run asks before it buys


async def serve(given: argparse.Namespace) -> None:
    """Serve until standard input ends; print the address."""
    loop = asyncio.get_running_loop()
    shop = Shop(given.polls, given.seconds, given.sigma)
    media = mp4(given.size) if given.media == "mp4" else png(given.size)
    picture = answer("200 OK", media, "Content-Type: application/octet-stream")
    for origin in ("base", "files"):
        server = await loop.create_server(lambda: Connection(shop, picture, given.hold), "127.0.0.1", 0, backlog=8192)
        setattr(shop, origin, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    print(shop.base, flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--polls", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--sigma", type=float, default=0.0)
    parser.add_argument("--size", type=int, default=65536)
    parser.add_argument("--media", choices=["png", "mp4"], default="png")
    parser.add_argument("--hold", type=float, default=0.0)
    given = parser.parse_args()
    # Thousands of connections at once are more files than many systems allow at first.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        import uvloop
    except ImportError:
        asyncio.run(serve(given))
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(given))


if __name__ == "__main__":
    main()
