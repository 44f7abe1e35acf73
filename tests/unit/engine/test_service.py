"""The coordinator's service over HTTP: who gets in, and that what is hostile or garbled changes nothing."""

import asyncio
import gzip
import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from support.engine.coordinating import FIRST, SECOND, Desk, acceptance, desk_of

from batchgen.core.errors import UsageError
from batchgen.engine.coordinator.service import Service, own_address, served
from batchgen.engine.messages import PROTOCOL, Answer, Ask, Begun, Exchange
from batchgen.engine.tells import doubted
from batchgen.engine.transport import GoneError, UnreachableError
from batchgen.engine.worker.coordinator_client import HttpTransport

BEGIN = {"start": FIRST, "worker": "host:1", "protocol": PROTOCOL}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with desk_of(tmp_path) as desk:
        yield desk


@pytest.fixture
async def service(desk: Desk) -> Service:
    service = Service()
    service.coordinator = desk.coordinator
    return service


@pytest.fixture
async def url(service: Service) -> AsyncIterator[str]:
    async with served(service, "127.0.0.1") as url:
        yield url


class Asking:
    """Asks a service as anybody on the network can."""

    def __init__(self, url: str, session: aiohttp.ClientSession, token: str) -> None:
        self.url, self.session, self.token = url, session, token

    async def __call__(self, path: str, body: Any, **headers: str) -> tuple[int, bytes]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token}"} | headers
        async with self.session.post(f"{self.url}/{path}", data=data, headers=headers) as response:
            return response.status, await response.read()


@pytest.fixture
async def ask(service: Service, url: str) -> AsyncIterator[Asking]:
    async with aiohttp.ClientSession() as session:
        yield Asking(url, session, service.token)


def exchange(number: int = 1, *tells: Any, start: str = FIRST, asks: Any = (), **more: Any) -> dict[str, Any]:
    said = {"start": start, "number": number, "busy": 0, "asks": [[key, "k"] for key in asks], "tells": list(tells)}
    return said | {"ended": None} | more


# ---- who gets in -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["begin", "exchange"])
@pytest.mark.parametrize("given", [None, "", "Bearer ", "Bearer x", "Basic {token}", "{token}", "Bearer {token}x", "é"])
async def test_without_the_token_nothing_is_read(
    ask: Asking, service: Service, desk: Desk, path: str, given: str | None
) -> None:
    headers = {} if given is None else {"Authorization": given.format(token=service.token)}
    async with ask.session.post(f"{ask.url}/{path}", data=json.dumps(BEGIN), headers=headers) as response:
        assert response.status == 401
        assert service.token not in await response.text()
    assert set(desk.states().values()) == {"pending"}
    assert desk.coordinator.quiet


async def test_a_token_of_any_bytes_is_just_a_wrong_one(url: str, caplog: pytest.LogCaptureFixture) -> None:
    port = int(url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /begin HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nAuthorization: Bearer \xff\xfe\r\n\r\n")
    answer = await reader.readline()
    writer.close()
    await writer.wait_closed()
    assert b" 401 " in answer
    assert caplog.records == []


async def test_before_there_is_a_coordinator_workers_ask_again(ask: Asking, service: Service) -> None:
    service.coordinator = None
    assert (await ask("begin", BEGIN))[0] == 503


async def test_each_service_has_a_token_of_its_own() -> None:
    assert len({Service().token for _ in range(100)}) == 100
    assert min(len(Service().token) for _ in range(100)) >= 40


# ---- hostile bodies ----------------------------------------------------------------------------------------------

DEEP = b"[" * 200_000
BODIES: list[Any] = [
    b"", b"x", b"\xff\xfe", b"null", b"[]", b'"text"', b"5", b"1e999", b"NaN", b"9" * 10_000, DEEP, b"{",
    b'{"start":' + DEEP, {}, {"start": FIRST}, [BEGIN],
]  # fmt: skip
BEGINS: list[Any] = [
    BEGIN | {"start": start} for start in ("", ".", "..", "../..", "/", "a/b", "g" * 16, "\ud800", None, 5, [], {})
] + [
    BEGIN | {"protocol": protocol} for protocol in (None, "x", [], 10**400, float("inf"), float("nan"))
] + [BEGIN | {"worker": worker} for worker in (None, [], 5)]  # fmt: skip
EXCHANGES: list[Any] = [
    exchange(number) for number in (0, 2, -1, 10**30, "1", None, [], 1.5, True)  # type: ignore[arg-type]
] + [
    exchange(1) | {name: value}
    for name, value in (
        ("start", []), ("busy", 10**30), ("busy", -1), ("busy", "x"), ("asks", 5), ("asks", [[1]]), ("asks", [{}]),
        ("asks", [["x", "k"]]), ("asks", [[10**30, "k"]]), ("tells", 5), ("tells", [5]), ("tells", [None]),
        ("ended", []), ("ended", "x"), ("ended", [5, 5]), ("ended", {}),
    )
] + [
    exchange(1, tell)
    for tell in (
        {}, {"step": None}, {"step": []}, {"step": "accept"}, {"step": "record_intent"}, {"step": "__init__"},
        {"step": "settle_as_not_charged"}, {"step": "stop", "reason": "NO_SUCH", "detail": "x"}, {"step": "stop"},
        {"step": "log", "level": "x", "text": ""}, {"step": "record_judgement"},
        {"step": "record_judgement", "attempt": 10**30, "output": 1, "sha256": "", "look": None, "flags": []},
    )
]  # fmt: skip


@pytest.mark.parametrize("path", ["begin", "exchange"])
@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
async def test_what_is_no_message_is_refused(ask: Asking, desk: Desk, path: str, body: Any) -> None:
    assert (await ask(path, body))[0] == 400
    assert desk.coordinator.quiet
    assert set(desk.states().values()) == {"pending"}


@pytest.mark.parametrize("body", BEGINS, ids=range(len(BEGINS)))
async def test_nobody_begins_under_a_name_that_is_none(ask: Asking, desk: Desk, body: Any) -> None:
    """The name is that of a folder, which is removed in the end."""
    assert (await ask("begin", body))[0] == 400
    assert desk.coordinator.quiet
    assert desk.run_state.stopped_because is None


@pytest.mark.parametrize("body", EXCHANGES, ids=range(len(EXCHANGES)))
async def test_an_exchange_that_cannot_be_read_changes_nothing(ask: Asking, desk: Desk, body: Any) -> None:
    await desk.begin()
    before = desk.rows()
    status, _ = await ask("exchange", body)
    assert status == 400
    assert desk.rows() == before
    assert desk.run_state.in_flight == 0
    assert desk.run_state.error is None
    assert desk.run_state.stopped_because is None
    assert (await desk.say(1)).live  # and the number is still free


async def test_nothing_of_an_exchange_is_heeded_where_one_step_cannot_be_read(
    ask: Asking, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """It is repeated as it is, and would be heeded again each time."""
    await desk.begin()
    granted = (await desk.say(1, asks=[1])).granted[0]
    purchase = str(granted.name.purchase)
    tells = [
        acceptance(purchase), {"step": "stop", "reason": "BALANCE", "detail": "empty"},
        {"step": "log", "level": 40, "text": "something went wrong"}, {"step": "no such step"},
    ]  # fmt: skip
    assert (await ask("exchange", exchange(2, *tells)))[0] == 400
    assert desk.states()["i0"] == "submitting"
    assert desk.run_state.stopped_because is None
    assert "something went wrong" not in caplog.text


@pytest.mark.parametrize("path", ["begin", "exchange"])
async def test_a_message_that_is_too_large_is_refused(ask: Asking, desk: Desk, path: str) -> None:
    body = io.BytesIO(json.dumps(BEGIN | {"x": "x" * (65 << 20)}).encode())
    headers = {"Authorization": f"Bearer {ask.token}"}
    try:
        async with ask.session.post(f"{ask.url}/{path}", data=body, headers=headers) as response:
            status = response.status
    except aiohttp.ClientConnectionError:
        status = 413  # it was refused before all of it was sent
    assert status == 413
    assert desk.coordinator.quiet


async def test_a_packed_message_that_unpacks_to_too_much_is_refused(ask: Asking, desk: Desk) -> None:
    body = gzip.compress(b" " * (80 << 20))
    status, _ = await ask("begin", body, **{"Content-Encoding": "gzip"})
    assert status in (400, 413)
    assert desk.coordinator.quiet


async def test_what_it_says_of_a_message_is_one_line_of_the_log(
    ask: Asking, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    await desk.begin()
    await ask("exchange", exchange(1, {"step": "a\nERROR all is lost\x1b[2J"}))
    assert all("\n" not in record.getMessage() and "\x1b" not in record.getMessage() for record in caplog.records)


# ---- numbers, and whose purchases they are -----------------------------------------------------------------------


async def test_an_exchange_out_of_order_is_refused(ask: Asking, desk: Desk) -> None:
    await desk.begin()
    assert (await ask("exchange", exchange(1)))[0] == 200
    for number in (3, 7):
        assert (await ask("exchange", exchange(number, asks=[1])))[0] == 400
    assert (await ask("exchange", exchange(2)))[0] == 200
    assert (await ask("exchange", exchange(1)))[0] == 400
    assert set(desk.states().values()) == {"pending"}


async def test_a_repeated_exchange_gets_the_same_bytes_and_does_nothing_twice(ask: Asking, desk: Desk) -> None:
    await desk.begin()
    said = exchange(1, asks=[1, 2])
    answers = [await ask("exchange", said) for _ in range(3)]
    assert [status for status, _ in answers] == [200] * 3
    assert len({content for _, content in answers}) == 1
    granted = Answer.decoded(json.loads(answers[0][1])).granted
    assert [grant.item for grant in granted] == [1, 2]
    assert desk.run_state.in_flight == desk.run_state.lent == 2
    said = exchange(2, acceptance(str(granted[0].name.purchase)), busy=2)
    answers = [await ask("exchange", said) for _ in range(3)]
    assert len({content for _, content in answers}) == 1
    assert desk.run_state.bought == 1
    assert desk.states() == {"i0": "processing", "i1": "submitting", "i2": "pending"}


async def test_the_same_exchange_at_the_same_time_is_one(ask: Asking, desk: Desk) -> None:
    """A worker repeats what it has no answer to, while the coordinator may still be at it."""
    await desk.begin()
    answers = await asyncio.gather(*(ask("exchange", exchange(1, asks=[1, 2, 3])) for _ in range(8)))
    assert len(set(answers)) == 1
    assert desk.run_state.lent == 3


async def test_the_last_exchange_of_a_start_is_answered_again_and_nothing_after_it(ask: Asking, desk: Desk) -> None:
    await desk.begin()
    said = exchange(1, ended=[None, "done"])
    assert await ask("exchange", said) == await ask("exchange", said)
    assert desk.coordinator.quiet
    assert (await ask("exchange", exchange(2, asks=[1])))[0] == 410
    assert (await ask("begin", BEGIN))[0] == 400  # its name is used up
    assert set(desk.states().values()) == {"pending"}


async def test_a_start_begins_once(ask: Asking, desk: Desk) -> None:
    assert (await ask("begin", BEGIN))[0] == 200
    assert (await ask("begin", BEGIN))[0] == 400
    assert len(desk.rows()[2]) == 3


async def test_nobody_is_told_anything_under_a_name_that_never_began(ask: Asking, desk: Desk) -> None:
    assert (await ask("exchange", exchange(1, asks=[1, 2, 3])))[0] == 410
    assert set(desk.states().values()) == {"pending"}


async def test_items_of_another_start_are_not_granted(ask: Asking, desk: Desk) -> None:
    begun = await desk.begin(FIRST)
    assert len(begun.items) == 3
    assert not (await desk.begin(SECOND)).items  # so there is nothing for it to ask for
    assert (await ask("exchange", exchange(1, start=SECOND, asks=[1])))[0] == 410


async def two_starts(desk: Desk) -> str:
    """Two starts with an item each, and the first one's purchase; return its name."""
    await desk.begin(FIRST)
    first = (await desk.say(1, asks=[1])).granted[0]
    await desk.say(2, ended=None)
    start = desk.coordinator._starts[FIRST]
    other = type(start)(SECOND, "host:2", {2: start.items.pop(2)}, start.heard_at)
    desk.coordinator._starts[SECOND] = other
    await desk.say(1, start=SECOND, asks=[2])
    return str(first.name.purchase)


async def test_the_purchase_of_another_start_cannot_be_told(
    desk: Desk, ask: Asking, caplog: pytest.LogCaptureFixture
) -> None:
    purchase = await two_starts(desk)
    before = desk.rows()
    for number, tell in enumerate((acceptance(purchase), doubted(purchase, "x"), acceptance("no such purchase")), 2):
        assert (await ask("exchange", exchange(number, tell, start=SECOND)))[0] == 200
    assert desk.rows() == before
    assert caplog.text.count("a step of a purchase that is not host:2's was told, and not taken") == 3
    assert desk.run_state.bought == 0


async def test_the_files_of_another_start_cannot_be_judged(desk: Desk) -> None:
    await two_starts(desk)
    desk.journal.db.execute(
        "INSERT INTO delivered (attempt, number, sha256, flags, judged) VALUES (1, 1, 'abc', '', 0)"
    )
    tell = {"step": "record_judgement", "attempt": 1, "output": 1, "sha256": "abc", "look": None, "flags": ["blank"]}
    await desk.say(2, tell, start=SECOND)
    assert desk.journal.db.execute("SELECT judged, flags FROM delivered").fetchall() == [(0, "")]
    await desk.say(3, tell)
    assert desk.journal.db.execute("SELECT judged, flags FROM delivered").fetchall() == [(1, "blank")]


async def test_places_that_a_start_claims_beyond_its_purchases_are_not_taken_from_others(desk: Desk) -> None:
    await desk.begin()
    await desk.coordinator.exchanged(Exchange(FIRST, 1, 10**6))
    assert desk.run_state.in_flight == 0


# ---- the log, and the other side ---------------------------------------------------------------------------------


async def test_the_token_is_in_no_log(
    ask: Asking, service: Service, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for path in ("begin", "exchange", "nothing"):
        for body in (b"x", BEGIN, exchange(5), exchange(1, asks=[1])):
            await ask(path, body)
    await ask("begin", BEGIN, Authorization=f"Basic {service.token}")
    assert desk.coordinator is not None
    assert service.token not in caplog.text
    assert service.token not in repr(service.coordinator)


async def test_the_two_sides_understand_each_other(service: Service, url: str) -> None:
    async with HttpTransport(url, service.token) as transport:
        begun = await transport.begin(FIRST, "host:1")
        assert isinstance(begun, Begun)
        assert begun.run == {"run": "spring"}
        assert [work["id"] for work in begun.items] == ["i0", "i1", "i2"]
        answer = await transport.exchange(Exchange(FIRST, 1, 0, [Ask(2, "k")]))
        assert [grant.item for grant in answer.granted] == [2]
        with pytest.raises(GoneError):
            await transport.exchange(Exchange(SECOND, 1, 0))
    async with HttpTransport(url, "another token") as transport:
        with pytest.raises(UnreachableError, match="401"):
            await transport.begin(SECOND, "host:1")


async def test_nobody_there_is_unreachable(service: Service) -> None:
    async with served(service, "127.0.0.1") as url:
        pass
    async with HttpTransport(url, service.token) as transport:
        with pytest.raises(UnreachableError):
            await transport.begin(FIRST, "host:1")


async def test_an_address_that_is_not_of_this_machine_is_an_error_of_use(service: Service) -> None:
    with pytest.raises(UsageError, match=r"cannot listen on 203\.0\.113\.1"):
        async with served(service, "203.0.113.1"):
            pass


def test_the_way_to_this_machine_leads_over_itself() -> None:
    assert own_address("127.0.0.1", 8786) == "127.0.0.1"
    with pytest.raises(UsageError, match=r"there is no way to no-such-host\.invalid"):
        own_address("no-such-host.invalid", 8786)
