"""A server on loopback that is told how runs go, and notes what it was told."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Hooks:
    url: str
    told: list[tuple[str, str]] = field(default_factory=list)
    """Path with query, and body."""

    def at(self, path: str) -> list[tuple[str, str]]:
        """What was told below this path: what follows it, and the bodies."""
        return [(where.removeprefix(path), body) for where, body in self.told if where.startswith(path)]


def answer_200(_: str) -> int | None:
    return 200


@contextmanager
def hooks(answer: Callable[[str], int | None] = answer_200) -> Iterator[Hooks]:
    """Answer each POST with the status that `answer` gives for its path; None hangs until the block is left.

    Every redirect leads to `/S3CRET` on the same server.
    """
    leaving = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            found.told.append((self.path, body))
            status = answer(self.path)
            if status is None:
                leaving.wait()
                return
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", f"{found.url}/S3CRET/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found = Hooks(f"http://127.0.0.1:{server.server_port}")
        serving = threading.Thread(target=server.serve_forever, args=(0.05,))
        serving.start()
        try:
            yield found
        finally:
            leaving.set()
            server.shutdown()
            serving.join()
