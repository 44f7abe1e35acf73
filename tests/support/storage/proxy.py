"""A proxy in front of the S3 server: it notes every request, and has some of them fail as a test wants it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from support.storage.objects import bucket, endpoint

from batchgen.store.remote import Address

CUT_OFF = 0
"""In the place of a status: the request is carried out, and the connection is closed without an answer."""


@dataclass(frozen=True)
class Request:
    """One request to the store."""

    method: str
    path: str
    """With its query."""
    conditional: bool

    @property
    def lists(self) -> bool:
        """Whether it lists objects or uploads."""
        path, _, query = self.path.partition("?")
        listing = not query or query.startswith(("list-type", "prefix", "uploads"))
        return self.method == "GET" and path.count("/") == 1 and listing


@dataclass
class Watched:
    """What passed the proxy, and what is to become of it."""

    place: Address
    requests: list[Request] = field(default_factory=list)
    passed: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    """Is released whenever the store has carried out a request."""
    fault: Callable[[Request], int | None] = lambda _: None
    """Returns the status of a request that the store does not see; CUT_OFF; or None."""

    def count(self, method: str, part: str = "") -> int:
        """Return how many requests there were of a method, with a part in their path."""
        return sum(request.method == method and part in request.path for request in self.requests)


def _handler(watched: Watched, upstream: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            request = Request(self.command, self.path, "If-None-Match" in self.headers)
            watched.requests.append(request)
            fault = watched.fault(request)
            if fault:
                self._answer(fault, [], b"<Error><Code>AccessDenied</Code></Error>")
                return
            connection = HTTPConnection(upstream)
            connection.request(self.command, self.path, body, dict(self.headers))
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            watched.passed.release()
            if fault == CUT_OFF:
                self.close_connection = True
            else:
                self._answer(answer.status, answer.getheaders(), content)

        def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
            self.send_response_only(status)
            length = str(len(content))
            for name, value in headers:
                if name.lower() == "content-length" and self.command == "HEAD":
                    length = value
                elif name.lower() not in ("content-length", "transfer-encoding", "connection"):
                    self.send_header(name, value)
            self.send_header("Content-Length", length)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass  # noqa: N815 - as the base class looks for them

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


@contextmanager
def watched_bucket() -> Iterator[Watched]:
    """Make a bucket that is reached by way of a proxy, and have this process reach it so while the block runs."""
    watched = Watched(Address("s3", "to-be-made"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(watched, urlsplit(endpoint()).netloc))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        with bucket(f"http://127.0.0.1:{server.server_address[1]}") as place:
            watched.place = place
            yield watched
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
