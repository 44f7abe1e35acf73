"""Polls and outputs on the wire, and where the key may go."""

import asyncio
import gzip
import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.rawserver import Peer, Script, answering, http, raw_server, self_signed, trusting, unused_port

from batchgen.api import (
    Found,
    OutputError,
    OutputGone,
    OutputMissing,
    OutputRefused,
    PollAnswer,
    Unauthorized,
    Unavailable,
    Unknown,
)
from batchgen.client import Limits, parse_base_url
from batchgen.client.addresses import Addresses, is_public
from batchgen.client.http import HttpApi
from batchgen.client.resolver import PublicResolver
from batchgen.core.errors import DiskError, UsageError

KEY = "api18_canary0123456789"
QUICK = Limits(connect=0.4, submit_idle=0.4, poll=0.5, output_idle=0.4)


def job(job_id: str = "job-1", **more: Any) -> bytes:
    return json.dumps({"id": job_id, "status": "processing", **more}).encode()


def error(error_type: str) -> bytes:
    return json.dumps({"error": {"type": error_type, "message": "words"}}).encode()


@asynccontextmanager
async def client(url: str, limits: Limits = QUICK, tls: ssl.SSLContext | None = None) -> AsyncIterator[HttpApi]:
    api = HttpApi(url, KEY, limits=limits, tls=tls)
    try:
        yield api
    finally:
        await api.aclose()


async def fetch(api: HttpApi, url: str) -> tuple[bytes, int | None]:
    async with api.open_output(url) as output:
        return b"".join([chunk async for chunk in output.chunks]), output.length


# ---- polls --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, job(), Found),
        (202, job(), Found),
        (200, job("job-2"), Unavailable),
        (200, b"<html>", Unavailable),
        (200, job()[:-2], Unavailable),
        (204, b"", Unavailable),
        (302, b"", Unavailable),
        (401, error("invalid_api_key"), Unauthorized),
        (404, error("job_not_found"), Unknown),
        (404, b"<html>not found</html>", Unavailable),
        (404, error("model_not_found"), Unavailable),
        (429, b"", Unavailable),
        (400, error("invalid_request"), Unavailable),
        (502, error("generation_unavailable"), Unavailable),
        (503, b"", Unavailable),
    ],
)
async def test_poll_answers(status: int, body: bytes, kind: type[PollAnswer]) -> None:
    async with raw_server(answering(http(status, body, "Location: /x"))) as server, client(server.url) as api:
        answer = await api.poll("job-1")
    assert isinstance(answer, kind)
    assert not isinstance(answer, Unavailable) or answer.reached
    assert len(server.received) == 1


async def test_a_poll_carries_retry_after() -> None:
    async with raw_server(answering(http(503, b"", "Retry-After: 3"))) as server, client(server.url) as api:
        answer = await api.poll("job-1")
    assert isinstance(answer, Unavailable)
    assert answer.retry_after == 3.0


@pytest.mark.parametrize("job_id", ["abc", "a/../b", "..%2f", "a?b=c#d", "%41", "~._-", '"<>\\^`{|}', "@:"])
async def test_an_id_is_percent_encoded(job_id: str) -> None:
    async with raw_server(answering(http(200, job(job_id)))) as server, client(server.url + "/base/") as api:
        answer = await api.poll(job_id)
    assert isinstance(answer, Found)
    path = server.received[0].split(b" ")[1].decode()
    assert path.startswith("/base/v1/jobs/")
    rest = path.removeprefix("/base/v1/jobs/")
    assert not set(rest) & set('/?#"<>\\^`{|}@:')
    assert bytes.fromhex(rest[1:3]) if rest.startswith("%") else rest


async def black_hole(peer: Peer) -> None:
    await peer.request()
    await peer.silence()


async def reset_at_once(peer: Peer) -> None:
    peer.reset()


@pytest.mark.parametrize("script", [black_hole, reset_at_once, answering(b"nonsense\r\n\r\n"), answering(b"")])
async def test_a_poll_that_breaks_is_unavailable(script: Script) -> None:
    async with raw_server(script) as server, client(server.url) as api, asyncio.timeout(5):
        answer = await api.poll("job-1")
    assert isinstance(answer, Unavailable)
    assert answer.reached


async def test_a_poll_that_trickles_ends() -> None:
    async def trickle(peer: Peer) -> None:
        await peer.request()
        await peer.send(http(200, length=1000))
        while True:
            await peer.send(b" ")
            await asyncio.sleep(0.02)

    async with raw_server(trickle) as server, client(server.url) as api, asyncio.timeout(5):
        assert isinstance(await api.poll("job-1"), Unavailable)


async def test_a_redirected_poll_says_where_to() -> None:
    script = answering(http(301, b"", "Location: https://www.example/x?y"))
    async with raw_server(script) as server, client(server.url) as api:
        answer = await api.poll("job-1")
    assert answer == Unavailable("HTTP 301: the API redirects to https://www.example; check --base-url")


async def test_out_of_reach() -> None:
    async with client(f"http://127.0.0.1:{unused_port()}") as api:
        answer = await api.poll("job-1")
    assert isinstance(answer, Unavailable)
    assert not answer.reached


async def test_polls_share_a_connection() -> None:
    async with raw_server(answering(*[http(200, job())] * 3)) as server, client(server.url) as api:
        for _ in range(3):
            assert isinstance(await api.poll("job-1"), Found)
    assert server.connections == 1


async def test_a_kept_connection_that_the_server_closes_is_no_outage() -> None:
    async def answers_once_and_drops_the_next(peer: Peer) -> None:
        await peer.request()
        await peer.send(http(200, job()))
        await peer.request()
        peer.reset()

    async with raw_server(answers_once_and_drops_the_next) as server, client(server.url) as api:
        assert isinstance(await api.poll("job-1"), Found)
        assert isinstance(await api.poll("job-1"), Found)
    assert (server.connections, len(server.received)) == (2, 3)


# ---- outputs ------------------------------------------------------------------------------------------------------


async def test_an_output_of_the_own_origin_is_asked_with_the_key() -> None:
    async with raw_server(answering(http(200, b"x" * 700_000))) as server, client(server.url) as api:
        assert await fetch(api, f"{server.url}/v1/files/1?n=2") == (b"x" * 700_000, 700_000)
    assert server.received[0].startswith(b"GET /v1/files/1?n=2 HTTP/1.1\r\n")
    assert b"\r\nAccept: */*\r\n" in server.received[0]
    assert KEY.encode() in server.received[0]


async def test_the_key_never_reaches_another_origin() -> None:
    async with raw_server(answering(http(200, b"film"))) as store:
        location = f"Location: {store.url}/signed%2Fpath?X-Sig=a%2Fb%3D"
        async with raw_server(answering(http(302, b"", location))) as server, client(server.url) as api:
            assert await fetch(api, f"{server.url}/v1/files/1") == (b"film", 4)
            # localhost is another origin than 127.0.0.1, although it is the same server.
            assert await fetch(api, f"http://localhost:{store.port}/direct") == (b"film", 4)
    assert KEY.encode() in server.received[0]
    assert len(store.received) == 2
    for request in store.received:
        assert KEY.encode() not in request
        assert b"authorization" not in request.lower()
        assert b"cookie" not in request.lower()
        assert b"referer" not in request.lower()
    assert store.received[0].startswith(b"GET /signed%2Fpath?X-Sig=a%2Fb%3D HTTP/1.1\r\n")


async def test_the_key_does_not_come_back_by_a_detour() -> None:
    """From a foreign origin back to the own one: there the key is allowed, on the foreign hop it is not."""
    async with (
        raw_server(answering(http(200, b"film"))) as server,
        raw_server(answering(http(307, b"", f"Location: {server.url}/v1/files/1"))) as foreign,
        client(server.url) as api,
    ):
        assert await fetch(api, f"{foreign.url}/x") == (b"film", 4)
    assert KEY.encode() not in foreign.received[0]


async def test_a_relative_redirect() -> None:
    script = answering(http(302, b"", "Location: ../b?c=d"), http(200, b"film"))
    async with raw_server(script) as server, client(server.url) as api:
        assert await fetch(api, f"{server.url}/v1/files/a") == (b"film", 4)
    assert server.received[1].startswith(b"GET /v1/b?c=d HTTP/1.1\r\n")


async def test_a_redirect_loop_ends() -> None:
    async with raw_server(answering(*[http(302, b"", "Location: /again")] * 20)) as server, client(server.url) as api:
        with pytest.raises(OutputError, match="more than 5 redirects"):
            await fetch(api, f"{server.url}/again")
    assert len(server.received) == 6


@pytest.mark.parametrize(
    ("status", "kind", "own"),
    [
        (404, OutputMissing, True),
        (410, OutputGone, True),
        (404, OutputMissing, False),
        (401, OutputRefused, True),
        (401, OutputError, False),
        (403, OutputError, False),
        (206, OutputError, True),
        (204, OutputError, True),
        (304, OutputError, True),
        (302, OutputError, True),
        (500, OutputError, True),
    ],
)
async def test_output_refusals(status: int, kind: type[OutputError], own: bool) -> None:
    script = answering(http(status, b"" if status in (204, 304) else b"<html>"))
    async with (
        raw_server(script) as server,
        client(server.url if own else f"http://127.0.0.1:{unused_port()}") as api,
    ):
        with pytest.raises(OutputError) as caught:
            await fetch(api, f"{server.url}/v1/files/1?signature=geheim")
    assert type(caught.value) is kind
    assert str(status) in str(caught.value)
    assert "geheim" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("status", "header", "seconds"),
    [
        (429, "7", 7.0),
        (503, "Thu, 01 Jan 2026 00:01:30 GMT", 90.0),
        (503, "soon", None),
        (404, "7", None),
        (500, "7", None),
    ],
)
@pytest.mark.parametrize("own", [True, False])
async def test_an_output_carries_retry_after(status: int, header: str, seconds: float | None, own: bool) -> None:
    async with raw_server(answering(http(status, b"", f"Retry-After: {header}"))) as server:
        base = server.url if own else f"http://127.0.0.1:{unused_port()}"
        api = HttpApi(base, KEY, limits=QUICK, now=lambda: datetime(2026, 1, 1, tzinfo=UTC))
        with pytest.raises(OutputError) as caught:
            await fetch(api, f"{server.url}/f")
        await api.aclose()
    assert caught.value.retry_after == seconds


# ---- public addresses of outputs ----------------------------------------------------------------------------------


async def test_a_public_address_is_where_the_api_redirects_to_and_nothing_is_asked_of_it() -> None:
    signed = "https://files.example/a%2Fb.png?X-Sig=c%2Fd%3D"
    answers = http(302, b"", "Location: ../hop"), http(307, b"", f"Location: {signed}")
    async with raw_server(answering(*answers)) as server, client(server.url) as api:
        assert await api.public_address(f"{server.url}/v1/files/1") == signed
        assert await api.public_address(signed) == signed
    assert [request.split(b" ")[1] for request in server.received] == [b"/v1/files/1", b"/v1/hop"]
    assert all(KEY.encode() in request for request in server.received)


async def test_an_api_that_delivers_the_file_itself_is_its_public_address() -> None:
    async def endless(peer: Peer) -> None:
        await peer.request()
        await peer.send(http(200, b"x" * 1000, length=10**9))
        await peer.silence()

    async with raw_server(endless) as server, client(server.url) as api, asyncio.timeout(5):
        assert await api.public_address(f"{server.url}/v1/files/1?n=2") == f"{server.url}/v1/files/1?n=2"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, OutputMissing), (410, OutputGone), (401, OutputRefused), (403, OutputError), (302, OutputError)],
)
async def test_refusals_of_a_public_address(status: int, kind: type[OutputError]) -> None:
    async with raw_server(answering(http(status))) as server, client(server.url) as api:
        with pytest.raises(OutputError) as caught:
            await api.public_address(f"{server.url}/v1/files/1?signature=geheim")
    assert type(caught.value) is kind
    assert "geheim" not in str(caught.value)


async def test_a_public_address_carries_retry_after() -> None:
    async with raw_server(answering(http(429, b"", "Retry-After: 7"))) as server, client(server.url) as api:
        with pytest.raises(OutputError) as caught:
            await api.public_address(f"{server.url}/v1/files/1")
    assert caught.value.retry_after == 7.0


async def test_a_public_address_behind_a_loop_or_out_of_reach() -> None:
    async with raw_server(answering(*[http(302, b"", "Location: /again")] * 20)) as server, client(server.url) as api:
        with pytest.raises(OutputError, match="more than 5 redirects"):
            await api.public_address(f"{server.url}/again")
    assert len(server.received) == 6
    base = f"http://127.0.0.1:{unused_port()}"
    async with client(base) as api:
        with pytest.raises(OutputError, match="the connection failed"):
            await api.public_address(f"{base}/v1/files/1")


@pytest.mark.parametrize(
    "location",
    [
        "ftp://files.example/geheim",
        "https://user:geheim@files.example/a",
        "https:///geheim",
        "https://[geheim",
        f"https://files.example/geheim?key={KEY}",
        f"https://files.example/geheim?key={KEY.upper().replace('_', '%5F')}",
    ],
)
async def test_a_redirect_that_is_no_public_address(location: str) -> None:
    async with raw_server(answering(http(302, b"", f"Location: {location}"))) as server, client(server.url) as api:
        with pytest.raises(OutputError, match="the address of the file cannot be used") as caught:
            await api.public_address(f"{server.url}/v1/files/1")
    assert "geheim" not in str(caught.value)
    assert KEY.casefold() not in str(caught.value).casefold()


@pytest.mark.parametrize("address", ["http://files.example/a", "https://10.0.0.1/a", "https://[::1]/a"])
async def test_the_output_of_a_public_api_is_neither_private_nor_in_the_clear(address: str) -> None:
    async with client("https://api18.dev") as api:
        with pytest.raises(OutputError, match="the address of the file cannot be used"):
            await api.public_address(address)


def closing(answer: bytes) -> Script:
    return answering(answer, then=lambda peer: peer.writer.close())


@pytest.mark.parametrize(
    "answer",
    [
        http(200, b"half", length=8),
        http(200, b"8\r\nhalf", "Transfer-Encoding: chunked", length=None),
        http(200, b"4\r\nhalf\r\n", "Transfer-Encoding: chunked", length=None),
        http(200, b"4\r\nhalfzz\r\n", "Transfer-Encoding: chunked", length=None),
        http(200, b"not gzip", "Content-Encoding: gzip"),
    ],
)
async def test_a_body_that_breaks_off(answer: bytes) -> None:
    async with raw_server(closing(answer)) as server, client(server.url) as api:
        with pytest.raises(OutputError, match=r"cut off|not valid HTTP") as caught:
            await fetch(api, f"{server.url}/f?signature=geheim")
    assert "geheim" not in str(caught.value)


async def test_a_body_that_ends_with_the_connection_has_no_length() -> None:
    async with raw_server(closing(http(200, b"half", length=None))) as server, client(server.url) as api:
        assert await fetch(api, f"{server.url}/f") == (b"half", None)


@pytest.mark.parametrize(
    ("header", "content_type"),
    [("Content-Type: Image/AVIF; charset=binary", "image/avif"), ("X-Other: 1", None)],
)
async def test_what_the_server_calls_a_file(header: str, content_type: str | None) -> None:
    async with (
        raw_server(answering(http(200, b"abc", header))) as server,
        client(server.url) as api,
        api.open_output(f"{server.url}/v1/files/1") as output,
    ):
        assert output.content_type == content_type


async def test_a_compressed_body_has_no_length() -> None:
    packed = gzip.compress(b"film" * 1000)
    async with raw_server(closing(http(200, packed, "Content-Encoding: gzip"))) as server, client(server.url) as api:
        assert await fetch(api, f"{server.url}/f") == (b"film" * 1000, None)


@pytest.mark.parametrize(
    "answer",
    [
        http(200, b"x", length=2_000_000),
        http(200, b"x" * 2_000_000, length=None),
        http(200, gzip.compress(bytes(50 << 20)), "Content-Encoding: gzip"),
    ],
    ids=["announced", "not announced", "compressed"],  # the compressed bytes hold a time
)
async def test_a_file_beyond_the_bound(answer: bytes) -> None:
    async with raw_server(closing(answer)) as server, client(server.url, Limits(output_bytes=1_000_000)) as api:
        with pytest.raises(OutputError, match="more than 1000000"):
            await fetch(api, f"{server.url}/f")


async def test_silence_ends_a_download() -> None:
    async def stalls(peer: Peer) -> None:
        await peer.request()
        await peer.send(http(200, b"half", length=8))
        await peer.silence()

    async with raw_server(stalls) as server, client(server.url) as api, asyncio.timeout(5):
        with pytest.raises(OutputError, match="after 4 bytes: timed out waiting for data"):
            await fetch(api, f"{server.url}/f")


async def test_a_trickle_ends_a_download() -> None:
    async def trickle(peer: Peer) -> None:
        await peer.request()
        await peer.send(http(200, length=10**6))
        while True:
            await peer.send(b"x")
            await asyncio.sleep(0.02)

    limits = Limits(output_idle=1.0, slow_window=0.2, slow_bytes=1000)
    async with raw_server(trickle) as server, client(server.url, limits) as api, asyncio.timeout(5):
        with pytest.raises(OutputError, match="only"):
            await fetch(api, f"{server.url}/f")


async def test_what_the_reader_raises_passes_through() -> None:
    async with raw_server(answering(http(200, b"x" * 10**6))) as server, client(server.url) as api:
        with pytest.raises(DiskError):
            async with api.open_output(f"{server.url}/f"):
                raise DiskError("full")
        with pytest.raises(OSError, match="No space"):
            async with api.open_output(f"{server.url}/f") as output:
                async for _ in output.chunks:
                    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("host", ["a..b", "x" * 70 + ".test"])
async def test_a_name_that_no_codec_takes(host: str) -> None:
    async with client(f"http://127.0.0.1:{unused_port()}") as api:
        with pytest.raises(OutputError, match="UnicodeError"):
            await fetch(api, f"http://{host}/f")


async def test_no_connection_for_an_output() -> None:
    async with client(f"http://127.0.0.1:{unused_port()}") as api:
        with pytest.raises(OutputError, match="ClientConnectorError"):
            await fetch(api, f"http://127.0.0.1:{unused_port()}/f")


# ---- where an output may lie --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tls_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def own_tls(tls_folder: Path) -> ssl.SSLContext:
    return self_signed(tls_folder)


@pytest.mark.parametrize(
    "target",
    [
        "http://files.example/f",
        "https://127.0.0.1:1/f",
        "https://[::1]/f",
        "https://[::ffff:10.0.0.1]/f",
        "https://10.1.2.3/f",
        "https://169.254.169.254/latest/meta-data/",
        "https://2130706433/f",
        "https://127.1/f",
        "https://0X7F000001/f",
        "https://0177.0.0.1/f",
        "https://127.0.0.1./f",
        "https://①②⑦.0.0.1/f",
        "https://[fe80::1%25eth0]/f",
        "https://user:word@files.example/f",
        "https:///f",
        "//files.example:0/f",
        "ftp://files.example/f",
        "file:///etc/passwd",
        "data:text/plain,x",
        "https://files.example:99999/f",
        "https://api18.dev\\@files.example/f",
    ],
)
async def test_refused_addresses(target: str, tls_folder: Path, own_tls: ssl.SSLContext) -> None:
    scripts = answering(http(302, b"", f"Location: {target}"))
    async with raw_server(scripts, tls=own_tls) as server, client(server.url, tls=trusting(tls_folder)) as api:
        with pytest.raises(OutputError, match="was not downloaded"):
            await fetch(api, f"{server.url}/v1/files/1")
        with pytest.raises(OutputError, match="was not downloaded"):
            await fetch(api, target)
        assert server.connections == 1, "the API itself may be private: the user chose it"


@pytest.mark.parametrize("host", ["localhost", "localhost.", "127.0.0.1.nip.test", "a..b", "x" * 70 + ".test"])
async def test_names_that_lead_to_private_addresses(
    host: str, tls_folder: Path, own_tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    real = loop.getaddrinfo

    async def rebinding(name: Any, port: Any, **more: Any) -> Any:
        return await real("127.0.0.1" if name.endswith("nip.test") else name, port, **more)

    async with (
        raw_server(answering(http(200, b"secret")), tls=own_tls) as server,
        client("https://api18.dev", tls=trusting(tls_folder)) as api,
    ):
        monkeypatch.setattr(loop, "getaddrinfo", rebinding)
        with pytest.raises(OutputError, match=r"private address|not a valid host name|not known"):
            await fetch(api, f"https://{host}:{server.port}/f")
    assert server.connections == 0


async def test_only_the_public_addresses_of_a_name_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(*_: object, **__: object) -> list[Any]:
        tcp = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        return [(*tcp, ("10.0.0.1", 443)), (*tcp, ("93.184.216.34", 443))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", answer)
    found = await PublicResolver().resolve("files.example", 443)
    assert [entry["host"] for entry in found] == ["93.184.216.34"]


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:4700::1", True),
        ("64:ff9b::5db8:d822", True),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("::ffff:192.168.0.1", False),
        ("0.0.0.0", False),  # noqa: S104 - judged, not bound
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("fc00::1", False),
        ("ff02::1", False),
        ("fe80::1%eth0", False),
    ],
)
def test_public_addresses(address: str, public: bool) -> None:
    assert is_public(address) is public


@given(st.text(max_size=60) | st.text("hts:/@#?[]%.1a:\\", max_size=40).map("https:".__add__))
def test_no_address_is_too_strange(text: str) -> None:
    addresses = Addresses(parse_base_url("https://api18.dev"))
    try:
        url = addresses.output(text)
    except ValueError:
        return
    assert url.scheme == "https"
    assert url.raw_host
    assert url.user is None


def test_own_origin() -> None:
    addresses = Addresses(parse_base_url("https://API18.dev/"))
    assert addresses.is_own(addresses.output("HTTPS://Api18.Dev:443/v1/files/x"))
    for other in (
        "https://api18.dev:444/",
        "https://api18.dev./",
        "https://x.api18.dev/",
        "https://api18.dev.evil.test/",
    ):
        assert not addresses.is_own(addresses.output(other))
    local = Addresses(parse_base_url("http://127.0.0.1:8443"))
    assert not local.is_own(local.output("https://127.0.0.1:8443/v1/files/x")), "another scheme is another origin"
    assert addresses.post("/v1/generate", wait=False) == "/v1/generate"
    below = Addresses(parse_base_url("https://gateway.example:8443/api18/"))
    assert below.post("/v1/generate", wait=True) == "/api18/v1/generate?wait=true"
    assert below.job("a/b c") == "/api18/v1/jobs/a%2Fb%20c"
    assert below.host == "gateway.example:8443"


# ---- the base URL -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["https://api18.dev", "https://api18.dev/", "https://gateway.example:8443/api18", "http://127.0.0.1:8080",
     "http://127.8.9.10/", "http://[::1]:80", "http://localhost:1", "HTTPS://API18.DEV", " https://api18.dev\n"],
)  # fmt: skip
def test_base_urls(text: str) -> None:
    assert parse_base_url(text).scheme in ("http", "https")


@pytest.mark.parametrize(
    "text",
    ["", "api18.dev", "http://api18.dev", "http://192.168.0.1", "http://0.0.0.0", "ftp://127.0.0.1", "https://",
     "https://u@api18.dev", "https://u:geheim@api18.dev", "https://api18.dev?x", "https://api18.dev/#x", "https://a b",
     "https://a..b", "https://api18.dev:0", "https://api18.dev:99999", "http://localhost.evil.test", "https://a\x00b"],
)  # fmt: skip
def test_refused_base_urls(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_base_url(text)
    assert "geheim" not in str(caught.value)


@given(st.text(max_size=40) | st.text("htps:/@#?[]%.1a:\\l", max_size=30).map("http".__add__))
def test_no_base_url_is_too_strange(text: str) -> None:
    with suppress(UsageError):
        assert parse_base_url(text).host
