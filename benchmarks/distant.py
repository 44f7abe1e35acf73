"""The benchmark's server behind TLS and a round trip: `--travel` seconds each way, for every byte and every end.

A relay in this process holds back what it hears. A connection on loopback is there at once, so the first bytes of each
wait one round trip more, as long as the TCP handshake would take; TLS then makes its own round trips. `--machines` is
how many jobs are processed at a time. When standard input ends, it prints what it has seen as JSON, and ends.
"""

import argparse
import asyncio
import functools
import heapq
import json
import math
import random
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.server import Connection, Shop, answer, png

CERTIFICATE = "certificate.pem"


def make_certificate(folder: Path) -> Path:
    """Make a key and a certificate for 127.0.0.1 with openssl; return the certificate's path."""
    made = folder / CERTIFICATE
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", str(folder / "key.pem"), "-out", str(made)],
        check=True, capture_output=True, timeout=30,
    )  # fmt: skip
    return made


class Workshop(Shop):
    """Jobs that a number of machines process, in the order in which they come."""

    def __init__(self, seconds: float, sigma: float, machines: int) -> None:
        super().__init__(1, seconds, sigma)
        self._durations = random.Random(7)
        self._machines = [0.0] * machines
        self._median, self._sigma = seconds, sigma
        self._took: list[float] = []
        self.polled = 0

    def submit(self, order: bytes) -> bytes:
        """Accept a job, which ends when a machine has had the time for it."""
        told = super().submit(order)
        job = next(reversed(self._created))
        took = self._median * math.exp(self._durations.gauss(0.0, self._sigma))
        self._took.append(took)
        self._ends[job] = max(self._created[job], self._machines[0]) + took
        heapq.heapreplace(self._machines, self._ends[job])
        return told

    def poll(self, job: str) -> bytes:
        """Return the status of a job."""
        self.polled += 1
        return super().poll(job)

    def race(self) -> dict[str, float]:
        """Return how long all jobs took together, over the ideal: each machine has the next job at once."""
        if not self._took:
            return {}
        free = [0.0] * len(self._machines)
        for took in self._took:
            heapq.heapreplace(free, free[0] + took)
        return {
            "makespan": (max(self._ends.values()) - min(self._created.values())) / max(free),
            "polls": self.polled / len(self._took),
        }


class _Side(asyncio.Protocol):
    """One side of a relayed connection: what it hears reaches the other side later, in the same order."""

    def __init__(self, travel: float, first: float, begin: Callable[["_Side"], None]) -> None:
        self._travel = travel
        self._later = first
        self._begin = begin
        self._held: list[Callable[[_Side], None]] = []
        self._other: _Side | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self._begin(self)

    def data_received(self, data: bytes) -> None:
        self._pass(lambda other: other.transport.write(data))

    def connection_lost(self, _: Exception | None) -> None:
        self._pass(lambda other: other.transport.close())

    def _pass(self, what: Callable[["_Side"], None]) -> None:
        asyncio.get_running_loop().call_later(self._later + self._travel, self._arrive, what)

    def _arrive(self, what: Callable[["_Side"], None]) -> None:
        if self._other is None:
            self._held.append(what)
        else:
            what(self._other)

    def join(self, other: "_Side") -> None:
        """Hand on to `other` from now on, beginning with what has arrived already."""
        self._other = other
        for what in self._held:
            what(other)


class Relay:
    """Relays connections to a port of this machine."""

    def __init__(self, port: int, travel: float) -> None:
        self._port = port
        self._travel = travel
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections = 0

    def accept(self) -> asyncio.Protocol:
        """Return the protocol of a connection that a client makes."""
        self.connections += 1
        return _Side(self._travel, 2 * self._travel, self._open)

    def _open(self, client: _Side) -> None:
        task = asyncio.get_running_loop().create_task(self._connect(client))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, client: _Side) -> None:
        def joined(server: _Side) -> None:
            client.join(server)
            server.join(client)

        make = functools.partial(_Side, self._travel, 0.0, joined)
        await asyncio.get_running_loop().create_connection(make, "127.0.0.1", self._port)


async def serve(given: argparse.Namespace) -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    shop = Workshop(given.seconds, given.sigma, given.machines)
    picture = answer("200 OK", png(given.size), "Content-Type: application/octet-stream")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(given.folder / CERTIFICATE, given.folder / "key.pem")
    server = await loop.create_server(lambda: Connection(shop, picture, 0.0), "127.0.0.1", 0, ssl=tls, backlog=1024)
    relay = Relay(server.sockets[0].getsockname()[1], given.travel)
    front = await loop.create_server(relay.accept, "127.0.0.1", 0, backlog=1024)
    shop.base = shop.files = f"https://127.0.0.1:{front.sockets[0].getsockname()[1]}"
    print(shop.base, flush=True)
    begun = time.process_time()
    await loop.run_in_executor(None, sys.stdin.read)
    used = time.process_time() - begun
    print(json.dumps({**shop.race(), "connections": relay.connections, "server_cpu": used}), flush=True)


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="with certificate and key")
    parser.add_argument("--travel", type=float, default=0.0)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--sigma", type=float, default=0.3)
    parser.add_argument("--machines", type=int, default=1000)
    parser.add_argument("--size", type=int, default=65536)
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
