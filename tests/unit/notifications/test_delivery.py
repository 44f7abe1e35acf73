"""Delivering notifications: only 2xx counts, a few attempts, never longer than is allowed."""

import asyncio
import base64
import threading
import time
from pathlib import Path

import pytest
from support.rawserver import Peer, RawServer, Script, answering, http, raw_server, self_signed, unused_port

from batchgen.client import DIRECT, find_route
from batchgen.client.route import Route
from batchgen.notifications.addresses import parse_address
from batchgen.notifications.delivery import Channel, Outcome, deliver
from batchgen.notifications.message import Message, Patience

MESSAGE = Message("the ping of the end", b"done: 3\n", "text/plain", word="0")
SHORT = Patience(attempt=0.2, waits=(1.0, 3.0), linger=0.3)
LONG = Patience(waits=(0.0,))
USUAL = Patience()


async def delivered(url: str, patience: Patience = USUAL, route: Route = DIRECT) -> tuple[str | None, list[float]]:
    """Deliver the message, and return why that was not possible, and the pauses between the attempts."""
    pauses: list[float] = []
    address = parse_address(f"{url}/check/?rid=7", "--ping")
    return await asyncio.to_thread(deliver, MESSAGE, address, route, patience, pause=pauses.append), pauses


async def at(*scripts: Script, patience: Patience = USUAL) -> tuple[str | None, list[float], RawServer]:
    async with raw_server(*scripts) as server:
        return *await delivered(server.url, patience), server


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_2xx_is_delivered(status: int) -> None:
    problem, pauses, server = await at(answering(http(status)))
    assert (problem, pauses) == (None, [])
    (request,) = server.received
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /check/0?rid=7 HTTP/1.1\r\n")
    assert body == MESSAGE.body
    assert b"\r\nContent-Type: text/plain\r\n" in head
    assert b"authorization" not in head.lower()


@pytest.mark.parametrize("status", [500, 502, 503, 429])
async def test_what_may_pass_is_tried_again(status: int) -> None:
    problem, pauses, _ = await at(answering(http(status)), answering(http(200)))
    assert (problem, pauses) == (None, [1.0])
    problem, pauses, server = await at(answering(http(status)))
    assert (problem, pauses) == (f"it answered {status}", [1.0, 3.0])
    assert server.connections == 3


@pytest.mark.parametrize("status", [400, 401, 404, 409, 410])
async def test_what_does_not_pass_is_tried_once(status: int) -> None:
    problem, pauses, server = await at(answering(http(status)))
    assert (problem, pauses, server.connections) == (f"it answered {status}", [], 1)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed_and_not_shown(status: int) -> None:
    async with raw_server(answering(http(200))) as other:
        problem, pauses, _ = await at(answering(http(status, b"", f"Location: {other.url}/S3CRET")))
        assert (other.connections, pauses) == (0, [])
    assert problem is not None
    assert problem.startswith(f"it answered {status} (a redirect, which is not followed")
    assert "S3CRET" not in problem


async def test_a_server_that_is_not_there_is_tried_again() -> None:
    problem, pauses = await delivered(f"http://127.0.0.1:{unused_port()}")
    assert (problem, pauses) == ("Connection refused", [1.0, 3.0])


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(b"HTTP/2.0 what\r\n\r\n", "HTTP/2.0 what"), (b"", "Remote end closed"), (b"\x00" * 80_000, "line")],
    ids=["strange", "empty", "endless"],
)
async def test_an_answer_that_cannot_be_read_is_a_problem_and_no_crash(answer: bytes, expected: str) -> None:
    problem, pauses, _ = await at(answering(answer))
    assert expected in (problem or "")
    assert pauses == [1.0, 3.0]
    assert "\x00" not in (problem or "")


async def test_a_connection_that_breaks_is_tried_again() -> None:
    async def reset(peer: Peer) -> None:
        await peer.request()
        peer.reset()

    problem, pauses, _ = await at(reset, answering(http(200)))
    assert (problem, pauses) == (None, [1.0])


async def test_a_server_that_hangs_does_not_hang_us() -> None:
    problem, pauses, _ = await at(Peer.silence, patience=SHORT)
    assert (problem, pauses) == ("it did not answer in time", [1.0, 3.0])


async def test_tls_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = self_signed(tmp_path)
    async with raw_server(answering(http(200)), tls=context) as server:
        problem, _ = await delivered(server.url, LONG)
        assert "certificate" in (problem or "").lower()
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
        assert (await delivered(server.url, LONG))[0] is None


async def test_a_proxy_that_was_asked_for_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    asked: list[bytes] = []
    async with raw_server(answering(http(200)), tls=self_signed(tmp_path)) as server:

        async def tunnel(peer: Peer) -> None:
            asked.append(await peer.reader.readuntil(b"\r\n\r\n"))
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            await peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")

            async def pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
                while data := await source.read(1000):
                    sink.write(data)

            try:
                async with asyncio.TaskGroup() as both:
                    back = both.create_task(pass_on(reader, peer.writer))
                    await pass_on(peer.reader, writer)
                    back.cancel()
            except* ConnectionError:
                pass  # either side has what it wanted
            finally:
                writer.close()

        async with raw_server(tunnel) as proxy:
            route = find_route(f"http://me:word@127.0.0.1:{proxy.port}", {})
            assert (await delivered("https://files.test", LONG, route))[0] is None
    (head,) = asked
    assert head.startswith(b"CONNECT files.test:443 ")
    assert base64.b64encode(b"me:word") in head
    assert b"check" not in head
    assert b"/check/0?rid=7" in server.received[0]


async def test_no_proxy_is_asked_for_this_machine(tmp_path: Path) -> None:
    route = find_route(f"http://127.0.0.1:{unused_port()}", {})
    async with raw_server(answering(http(200))) as server:
        assert (await delivered(server.url, LONG, route))[0] is None


# ---- in a thread of its own -----------------------------------------------------------------------------------------


def words_of(server: RawServer) -> list[bytes]:
    return [request.split(b"?")[0].rpartition(b"/")[2] for request in server.received]


async def test_messages_arrive_in_order_and_nobody_waits_for_them() -> None:
    going = asyncio.Event()

    async def slow(peer: Peer) -> None:
        await peer.request()
        await going.wait()
        await peer.send(http(200))

    async with raw_server(slow, answering(http(200))) as server:
        channel = Channel(parse_address(f"{server.url}/check?x", "--ping"), DIRECT, Patience())
        for word in ("start", "0"):
            channel.post(Message(word, b"", "text/plain", word))
        assert channel.outcomes() == [], "the server has not answered, and this line is reached"
        going.set()
        channel.close()
        await asyncio.to_thread(channel.wait, time.monotonic() + 20)
        assert words_of(server) == [b"start", b"0"]
        assert channel.outcomes() == [Outcome(word, server.url, None) for word in ("start", "0")]
        assert channel.outcomes() == [], "each is told once"


async def test_what_is_not_delivered_in_time_is_left_behind_and_told() -> None:
    async with raw_server(Peer.silence) as server:
        channel = Channel(parse_address(f"{server.url}/S3CRET", "--notify"), DIRECT, Patience(attempt=2, linger=0.3))
        channel.post(Message("the start", b"", "text/plain"))
        channel.post(Message("the end", b"", "text/plain"))
        channel.close()
        await asyncio.to_thread(channel.wait, time.monotonic() + 0.3)
        outcomes = channel.outcomes()
    assert [outcome.what for outcome in outcomes] == ["the start", "the end"]
    assert outcomes[1].sentence == f"the end was not delivered to {server.url}: there was no answer within 0.3 s"


async def test_a_server_that_takes_nothing_is_asked_for_the_latest_only() -> None:
    going = asyncio.Event()

    async def refuse(peer: Peer) -> None:
        await peer.request()
        await going.wait()
        await peer.send(http(404))

    async with raw_server(refuse, answering(http(200))) as server:
        channel = Channel(parse_address(f"{server.url}/check?x", "--notify"), DIRECT, Patience())
        for word in ("start", "cap", "paused", "end"):
            channel.post(Message(word, b"", "text/plain", word))
        channel.close()
        going.set()
        await asyncio.to_thread(channel.wait, time.monotonic() + 20)
        assert words_of(server) == [b"start", b"end"]
    later = "one before it was not delivered either, and a later one waits"
    problems = [(outcome.what, outcome.problem) for outcome in channel.outcomes()]
    assert problems == [("start", "it answered 404"), ("cap", later), ("paused", later), ("end", None)]


async def test_at_the_end_what_came_before_is_not_tried_again() -> None:
    async with raw_server(answering(http(500)), answering(http(200))) as server:
        channel = Channel(parse_address(f"{server.url}/check?x", "--ping"), DIRECT, Patience(waits=(600.0,)))
        channel._closing = True  # as it is by the time at which the first one fails
        for word in ("start", "0"):
            channel._waiting.append(Message(word, b"", "text/plain", word))
            channel._queue.put(channel._waiting[-1])
        channel._queue.put(None)
        await asyncio.to_thread(channel._work)
        assert words_of(server) == [b"start", b"0"]
    assert [outcome.problem for outcome in channel.outcomes()] == ["it answered 500", None]


def test_a_channel_that_has_nothing_to_deliver_starts_no_thread() -> None:
    before = threading.active_count()
    channel = Channel(parse_address("https://hc.example/x", "--ping"), DIRECT, Patience())
    channel.close()
    channel.wait(time.monotonic())
    assert (channel.outcomes(), threading.active_count()) == ([], before)
