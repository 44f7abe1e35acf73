"""What a POST may end in, on the wire: what may have been charged is `Unclear`, what never left is `NotSent`."""

import asyncio
import gzip
import inspect
import json
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import aiohttp
import aiohttp.client_exceptions
import aiohttp.http_exceptions
import pytest
from aiohttp.client_proto import ResponseHandler
from support.rawserver import Peer, RawServer, Script, answering, http, raw_server, self_signed, unused_port

from batchgen.api import (
    Accepted,
    Busy,
    NoBalance,
    NotSent,
    Rejected,
    SubmitAnswer,
    Unauthorized,
    Unavailable,
    Unclear,
)
from batchgen.client import Limits
from batchgen.client.http import HttpApi
from batchgen.core.errors import UsageError

KEY = "api18_canary0123456789"
QUICK = Limits(connect=0.4, submit_idle=0.4, answer=0.4, poll=0.6, output_idle=0.4)
JOB = {"id": "job-1", "status": "processing", "cost_usd": 0.30, "model": "m"}
JOB_BYTES = json.dumps(JOB).encode()
BODY = '{"model":"m","prompt":"mug ☕"}'


def error(error_type: str, message: str = "words", **more: Any) -> bytes:
    return json.dumps({"error": {"type": error_type, "message": message, **more}}).encode()


@asynccontextmanager
async def client(url: str, limits: Limits = QUICK) -> AsyncIterator[HttpApi]:
    api = HttpApi(url, KEY, limits=limits, now=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    try:
        yield api
    finally:
        await api.aclose()


async def submit(*scripts: Script, wait: bool = False, limits: Limits = QUICK) -> tuple[SubmitAnswer, RawServer]:
    async with raw_server(*scripts) as server, client(server.url, limits) as api:
        answer = await api.submit(BODY, "/v1/generate", wait=wait)
    return answer, server


@pytest.fixture(scope="module")
def own_tls(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    return self_signed(tmp_path_factory.mktemp("tls"))


# ---- what is sent -------------------------------------------------------------------------------------------------


async def test_the_request_is_exactly_this() -> None:
    answer, server = await submit(answering(http(202, JOB_BYTES)))
    assert isinstance(answer, Accepted)
    head, _, body = server.received[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /v1/generate HTTP/1.1"
    headers = dict(line.split(": ", 1) for line in lines[1:])
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert headers["Content-Type"] == "application/json"
    assert headers["User-Agent"].startswith("batchgen/")
    assert headers["Connection"] == "close"
    assert "Cookie" not in headers
    assert body == BODY.encode()


async def test_wait_is_asked_for_in_the_query() -> None:
    _, server = await submit(answering(http(200, JOB_BYTES)), wait=True)
    assert server.received[0].startswith(b"POST /v1/generate?wait=true HTTP/1.1\r\n")


async def test_each_post_has_its_own_connection() -> None:
    async with raw_server(answering(http(202, JOB_BYTES), http(202, JOB_BYTES))) as server, client(server.url) as api:
        for _ in range(3):
            assert isinstance(await api.submit(BODY, "/v1/generate", wait=False), Accepted)
        assert server.connections == 3


async def test_no_cookie_comes_back() -> None:
    script = answering(http(202, JOB_BYTES, "Set-Cookie: track=1; Path=/"))
    async with raw_server(script) as server, client(server.url) as api:
        await api.submit(BODY, "/v1/generate", wait=False)
        await api.submit(BODY, "/v1/generate", wait=False)
    assert len(server.received) == 2
    assert b"track" not in b"".join(server.received)


# ---- definite answers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 202])
async def test_accepted(status: int) -> None:
    answer, _ = await submit(answering(http(status, JOB_BYTES)))
    assert isinstance(answer, Accepted)
    assert (answer.job.id, answer.job.cost, answer.raw) == ("job-1", Decimal("0.30"), JOB_BYTES)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, error("invalid_request", details=[{"path": "a", "message": "b"}]),
         Rejected("invalid_request", "words (a: b)", ("a",))),
        (400, b"<html>Bad Request</html>", Rejected("http_400", "the answer is not an error as the API documents it")),
        (404, error("model_not_found"), Rejected("model_not_found", "words")),
        (401, error("invalid_api_key"), Unauthorized("invalid_api_key", "words")),
        (401, b"", Unauthorized("http_401", "the answer is not an error as the API documents it")),
        (402, error("insufficient_balance"), NoBalance("insufficient_balance", "words")),
        (402, error("paid_balance_required"), NoBalance("paid_balance_required", "words")),
        (429, error("rate_limited"), Busy("rate_limited", "words", None)),
        (429, b"slow down", Busy("http_429", "the answer is not an error as the API documents it", None)),
        (502, error("generation_unavailable"), Busy("generation_unavailable", "words", None)),
        (400, error("x\x1b[31m", "a\nb"), Rejected("x [31m", "a b")),
    ],
)  # fmt: skip
async def test_typed_answers(status: int, body: bytes, expected: SubmitAnswer) -> None:
    answer, _ = await submit(answering(http(status, body)))
    assert answer == expected


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("Thu, 01 Jan 2026 00:01:30 GMT", 90.0),
        ("Wed, 31 Dec 2025 23:00:00 GMT", 0.0),
        ("-5", None),
        ("soon", None),
        ("1e9", None),
        ("99999999999999999999", None),
    ],
)
async def test_retry_after(header: str, seconds: float | None) -> None:
    answer, _ = await submit(answering(http(429, b"", f"Retry-After: {header}")))
    assert isinstance(answer, Busy)
    assert answer.retry_after == seconds


# ---- in doubt -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "status", [300, 301, 302, 307, 308, 403, 404, 405, 408, 409, 413, 418, 500, 502, 503, 504, 524]
)
async def test_any_other_status_is_unclear(status: int) -> None:
    answer, server = await submit(answering(http(status, b"<html>", "Location: /elsewhere")))
    assert isinstance(answer, Unclear)
    assert str(status) in answer.reason
    assert answer.raw == b"<html>"
    assert len(server.received) == 1, "a POST is never repeated, nor its redirect followed"


@pytest.mark.parametrize(
    ("status", "kind"), [(404, "job_not_found"), (502, "bad_gateway"), (500, "generation_unavailable")]
)
async def test_a_known_type_under_another_status_is_unclear(status: int, kind: str) -> None:
    answer, _ = await submit(answering(http(status, error(kind))))
    assert isinstance(answer, Unclear)


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>ok</html>", b"{}", b'{"id": 7}', b'{"id": ""}', b"[]", JOB_BYTES[:-1], b"\xff\xfe", b"[" * 100_000],
)
async def test_unreadable_success_is_unclear_with_its_bytes(body: bytes) -> None:
    answer, _ = await submit(answering(http(202, body)))
    assert isinstance(answer, Unclear)
    assert answer.raw == body


def read_then(action: Callable[[Peer], None], sent: bytes = b"") -> Script:
    async def script(peer: Peer) -> None:
        await peer.request()
        if sent:
            await peer.send(sent)
        action(peer)

    return script


async def reset_at_once(peer: Peer) -> None:
    peer.reset()


async def close_at_once(peer: Peer) -> None:
    peer.writer.close()


async def reset_amid_the_request(peer: Peer) -> None:
    await peer.reader.read(20)
    peer.reset()


async def black_hole(peer: Peer) -> None:
    await peer.request()
    await peer.silence()


async def headers_then_silence(peer: Peer) -> None:
    await peer.request()
    await peer.send(b"HTTP/1.1 202 Accepted\r\nContent-Le")
    await peer.silence()


@pytest.mark.parametrize(
    "script",
    [
        reset_at_once,
        close_at_once,
        reset_amid_the_request,
        black_hole,
        headers_then_silence,
        read_then(Peer.reset),
        read_then(lambda peer: peer.writer.close()),
        read_then(Peer.reset, b"HTTP/1.1 202 Acc"),
        read_then(lambda peer: peer.writer.close(), b"HTTP/1.1 202 Accepted\r\nContent-Length: 5\r\n"),
        read_then(lambda peer: peer.writer.close(), b"\x16\x03\x01 not http at all\r\n\r\n"),
        read_then(lambda peer: peer.writer.close(), b"HTTP/1.1 202 Accepted\r\nContent-Length: x\r\n\r\n"),
        read_then(lambda peer: peer.writer.close(), b"HTTP/1.1 202 Accepted\r\nX: " + b"y" * 100_000 + b"\r\n\r\n"),
        read_then(lambda peer: peer.writer.close(), http(202, JOB_BYTES[:20], length=len(JOB_BYTES))),
        read_then(Peer.reset, http(202, JOB_BYTES[:20], length=len(JOB_BYTES))),
        read_then(lambda peer: peer.writer.close(), http(202, JOB_BYTES[:20], length=None)),
        read_then(
            lambda peer: peer.writer.close(),
            http(202, b"14\r\n" + JOB_BYTES[:20], "Transfer-Encoding: chunked", length=None),
        ),
        read_then(
            lambda peer: peer.writer.close(), http(202, b"zz\r\n", "Transfer-Encoding: chunked", length=None)
        ),
        read_then(lambda peer: peer.writer.close(), http(202, b"not gzip", "Content-Encoding: gzip")),
        read_then(lambda peer: peer.writer.close(), http(202, gzip.compress(JOB_BYTES)[:-30],
                                                         "Content-Encoding: gzip")),
    ],
)  # fmt: skip
async def test_what_breaks_after_the_connection_is_unclear(script: Script) -> None:
    async with asyncio.timeout(5):
        answer, server = await submit(script)
    assert isinstance(answer, Unclear), answer
    assert server.connections == 1
    assert len(server.received) <= 1


async def test_a_whole_job_before_the_break_is_accepted() -> None:
    script = read_then(Peer.reset, http(202, JOB_BYTES, length=len(JOB_BYTES) + 10))

    async def settled(peer: Peer) -> None:
        await peer.request()
        await peer.send(http(202, JOB_BYTES, length=len(JOB_BYTES) + 10))
        await peer.silence()

    for each in (script, settled):
        answer, _ = await submit(each)
        # A reset may overtake the bytes before it; then nothing was read and nothing is known.
        assert isinstance(answer, Accepted) or (each is script and isinstance(answer, Unclear))


@pytest.mark.parametrize("begun", [b"", JOB_BYTES[:-1]])
async def test_an_answer_that_trickles_is_in_doubt_in_the_end(begun: bytes) -> None:
    async with asyncio.timeout(5):
        answer, _ = await submit(trickling(begun))
    assert isinstance(answer, Unclear)
    assert "TimeoutError" in answer.reason
    assert answer.raw.startswith(begun)


async def test_a_whole_job_before_a_trickle_is_accepted() -> None:
    async with asyncio.timeout(5):
        answer, _ = await submit(trickling(JOB_BYTES))
    assert isinstance(answer, Accepted)
    assert answer.job.id == "job-1"


def trickling(begun: bytes) -> Script:
    """The head of an answer, what is given of its body, and then a blank now and then, for ever."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(http(202, begun, length=10_000))
        while True:
            await asyncio.sleep(0.05)
            await peer.send(b" ")

    return script


async def test_a_job_behind_a_byte_order_mark_is_accepted() -> None:
    answer, _ = await submit(answering(http(202, b"\xef\xbb\xbf" + JOB_BYTES)))
    assert isinstance(answer, Accepted)
    assert answer.raw == b"\xef\xbb\xbf" + JOB_BYTES


@pytest.mark.parametrize(
    ("location", "told"),
    [
        ("https://www.api18.dev/v1/generate?token=geheim", "https://www.api18.dev"),
        ("https://user:geheim@gateway.example:8443/x#y", "https://gateway.example:8443"),
        (f"https://{KEY}.example/geheim", f"https://{'*' * len(KEY)}.example"),
        ("https://\u202eb.example/", "an address that cannot be read"),
        ("/v2/geheim", "another address of the same server"),
        ("https://[geheim", "an address that cannot be read"),
    ],
)
async def test_a_redirected_post_says_where_to(location: str, told: str) -> None:
    answer, server = await submit(answering(http(308, b"", f"Location: {location}")))
    assert isinstance(answer, Unclear)
    assert f"redirects to {told}" in answer.reason
    assert "check --base-url" in answer.reason
    assert not [word for word in ("geheim", KEY, "\u202e") if word in answer.reason]
    assert len(server.received) == 1


async def test_an_answer_before_the_body_is_read_counts() -> None:
    async def hasty(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.send(http(402, error("insufficient_balance")))

    answer, _ = await submit(hasty)
    assert answer == NoBalance("insufficient_balance", "words")


async def test_a_peer_that_takes_no_more_of_the_body_ends_in_doubt() -> None:
    async def deaf(peer: Peer) -> None:
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.Event().wait()

    async with raw_server(deaf) as server, client(server.url) as api, asyncio.timeout(5):
        answer = await api.submit('"' + "x" * (16 << 20) + '"', "/v1/generate", wait=False)
    assert isinstance(answer, Unclear)
    assert "TimeoutError" in answer.reason


@pytest.fixture(autouse=True)
def _no_warning_about_large_bodies(recwarn: pytest.WarningsRecorder) -> Iterator[None]:
    # aiohttp warns above 1 MiB, which only the test above sends.
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sending a large body directly", ResourceWarning)
        yield


async def test_a_long_answer_is_cut_and_the_rest_never_read() -> None:
    async def endless(peer: Peer) -> None:
        await peer.request()
        await peer.send(http(202, b'{"id": "job-1", "x": "', length=None))
        while True:
            await peer.send(b"x" * 65536)

    answer, _ = await submit(endless, limits=Limits(answer_bytes=100_000))
    assert isinstance(answer, Unclear)
    assert len(answer.raw) == 100_000
    assert "too long" in answer.reason


async def test_a_gzip_bomb_is_cut() -> None:
    bomb = gzip.compress(b" " * (200 << 20), 9)
    answer, _ = await submit(answering(http(202, bomb, "Content-Encoding: gzip")))
    assert isinstance(answer, Unclear)
    assert len(answer.raw) == QUICK.answer_bytes


async def test_a_gzipped_answer_is_read() -> None:
    answer, _ = await submit(answering(http(202, gzip.compress(JOB_BYTES), "Content-Encoding: gzip")))
    assert isinstance(answer, Accepted)


# ---- never left ---------------------------------------------------------------------------------------------------


async def test_refused_is_not_sent() -> None:
    async with client(f"http://127.0.0.1:{unused_port()}") as api:
        answer = await api.submit(BODY, "/v1/generate", wait=False)
    assert isinstance(answer, NotSent)
    assert "Connect call failed" in answer.reason


async def test_an_unknown_name_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object, **__: object) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async with client("https://api.invalid") as api:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", fail)
        answer = await api.submit(BODY, "/v1/generate", wait=False)
    assert isinstance(answer, NotSent)
    assert "Name or service not known" in answer.reason


async def greet_in_plain_text(peer: Peer) -> None:
    await peer.reader.read(1)
    await peer.send(http(400, b"this is not TLS"))


async def silent_handshake(peer: Peer) -> None:
    await peer.silence()


@pytest.mark.parametrize("script", [greet_in_plain_text, silent_handshake, reset_at_once, close_at_once])
async def test_a_failed_handshake_is_not_sent(script: Script) -> None:
    async with raw_server(script) as server, asyncio.timeout(5), client(f"https://127.0.0.1:{server.port}") as api:
        answer = await api.submit(BODY, "/v1/generate", wait=False)
    assert isinstance(answer, NotSent), answer


async def test_a_certificate_of_nobody_is_not_sent(own_tls: ssl.SSLContext) -> None:
    async with raw_server(answering(http(202, JOB_BYTES)), tls=own_tls) as server, client(server.url) as api:
        answer = await api.submit(BODY, "/v1/generate", wait=False)
    assert isinstance(answer, NotSent)
    assert "certificate verify failed" in answer.reason
    assert not server.received


async def test_no_connection_in_time_is_not_sent() -> None:
    # A full backlog drops what comes; nobody ever accepts.
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        with socket.create_connection(deaf.getsockname()), socket.socket() as second:
            second.setblocking(False)
            second.connect_ex(deaf.getsockname())
            async with client(f"http://127.0.0.1:{deaf.getsockname()[1]}") as api, asyncio.timeout(5):
                answer = await api.submit(BODY, "/v1/generate", wait=False)
    assert answer == NotSent("timed out while connecting (ConnectionTimeoutError)")


# ---- nothing escapes, nothing leaks -------------------------------------------------------------------------------


def every_subclass(kind: type[BaseException]) -> set[type[BaseException]]:
    return {kind}.union(*(every_subclass(each) for each in kind.__subclasses__()))


def made(kind: type[BaseException]) -> BaseException:
    """An instance with whatever arguments its class insists upon, the key among them."""
    key: Any = KEY
    fill: dict[str, Any] = {
        "os_error": OSError(5, "words"),
        "certificate_error": ssl.SSLCertVerificationError(1, "words"),
    }
    fill |= {"request_info": key, "history": (), "connection_key": key, "message": key, "path": key, "url": key}
    fill |= {"host": key, "port": 1, "expected": b"", "got": b""}
    if not inspect.isfunction(kind.__init__):
        return kind(key)
    parameters = list(inspect.signature(kind.__init__).parameters.values())[1:]
    needed = [p for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    return kind(*(fill.get(p.name, key) for p in needed))


ERRORS = sorted(
    every_subclass(aiohttp.ClientError) | every_subclass(aiohttp.http_exceptions.HttpProcessingError),
    key=lambda kind: kind.__name__,
)


@pytest.mark.parametrize("kind", ERRORS)
@pytest.mark.parametrize("sent", [False, True])
async def test_every_error_of_aiohttp_is_mapped(
    monkeypatch: pytest.MonkeyPatch, kind: type[BaseException], *, sent: bool
) -> None:
    """What counts is whether the request was written, whatever the error is called."""
    raised = made(kind)

    async def fail(*_: object) -> None:
        raise raised

    where = (ResponseHandler, "read") if sent else (aiohttp.TCPConnector, "connect")
    async with raw_server(answering(http(202, JOB_BYTES))) as server, client(server.url) as api:
        monkeypatch.setattr(*where, fail)
        answer = await api.submit(BODY, "/v1/generate", wait=False)
        polled = await api.poll("job-1")
    assert isinstance(answer, Unclear if sent else NotSent)
    assert kind.__name__ in answer.reason
    assert isinstance(polled, Unavailable)
    assert KEY not in repr(answer) + repr(polled)


async def test_the_key_appears_nowhere(caplog: pytest.LogCaptureFixture, own_tls: ssl.SSLContext) -> None:
    caplog.set_level(logging.DEBUG)
    asyncio.get_running_loop().set_debug(True)
    scripts = [reset_at_once, black_hole, answering(b"nonsense\r\n\r\n"), answering(http(500, b"x"))]
    said = ""
    for script in scripts:
        answer, _ = await submit(script)
        said += repr(answer)
    async with raw_server(reset_at_once, tls=own_tls) as server, client(server.url) as api:
        said += repr(api) + repr(await api.submit(BODY, "/v1/generate", wait=False)) + repr(await api.poll("x"))
    assert said
    assert KEY not in said
    assert KEY not in caplog.text
    assert KEY not in "".join(repr(vars(record)) for record in caplog.records)


@pytest.mark.parametrize("key", ["", "api18_a b", "api18_\r\nX: y", "schlüssel", "k" * 600])
async def test_a_key_that_no_header_can_carry_is_refused(key: str) -> None:
    with pytest.raises(UsageError) as caught:
        HttpApi("https://api18.dev", key)
    assert not key or key not in str(caught.value)
