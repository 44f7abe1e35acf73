"""A server that repeats the request, key and all: stars stand in its place before anything is read or kept."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from support.rawserver import Peer, answering, http, raw_server

from batchgen.api import Accepted, Found, OutputError, Unclear
from batchgen.client import Limits
from batchgen.client.answers import without_key
from batchgen.client.http import HttpApi

KEY = "api18_canary0123456789"
STARS = "*" * len(KEY)
SAID = f"Authorization: Bearer {KEY}"


def error(error_type: str) -> bytes:
    return json.dumps(
        {"error": {"type": error_type, "message": SAID, "details": [{"path": KEY, "message": SAID}]}}
    ).encode()


def job(**more: Any) -> bytes:
    return json.dumps({"id": "job-1", "status": "failed", "error": SAID, **more}).encode()


@asynccontextmanager
async def client(url: str, **limits: Any) -> AsyncIterator[HttpApi]:
    api = HttpApi(url, KEY, limits=Limits(connect=1, submit_idle=1, poll=1, output_idle=1, **limits))
    try:
        yield api
    finally:
        await api.aclose()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, error("invalid_request")),
        (400, error(f"type-{KEY}")),
        (401, error("invalid_api_key")),
        (402, error("insufficient_balance")),
        (429, error("rate_limited")),
        (500, f"<html><pre>POST /v1/generate\n{SAID}\n</pre></html>".encode()),
        (502, error("generation_unavailable")),
        (200, f"<html>{SAID}</html>".encode()),
        (202, job(input={"prompt": SAID})),
    ],
)
async def test_no_answer_shows_it(status: int, body: bytes) -> None:
    async with raw_server(answering(http(status, body))) as server, client(server.url) as api:
        shown = [repr(await api.submit("{}", "/v1/generate", wait=False)), repr(await api.poll("job-1"))]
    assert KEY in server.received[0].decode(), "the request had it"
    assert not [text for text in shown if KEY in text]
    assert STARS in shown[0]


async def test_what_is_not_the_key_stays_byte_for_byte() -> None:
    async with raw_server(answering(http(202, job()))) as server, client(server.url) as api:
        answer = await api.submit("{}", "/v1/generate", wait=False)
        polled = await api.poll("job-1")
    assert isinstance(answer, Accepted)
    assert answer.raw == job().replace(KEY.encode(), STARS.encode())
    assert isinstance(polled, Found)
    assert polled.job.error == f"Authorization: Bearer {STARS}"


@pytest.mark.parametrize("kept", [1, 7, len(KEY) - 1])
async def test_half_a_key_is_not_shown_either(kept: int) -> None:
    body = f"<html>{SAID}".encode()
    short = body[: len(body) - len(KEY) + kept]

    async def breaks_off(peer: Peer) -> None:
        await peer.request()
        await peer.send(http(500, short, length=len(body)))

    async with raw_server(breaks_off) as server, client(server.url) as api:
        answer = await api.submit("{}", "/v1/generate", wait=False)
    assert isinstance(answer, Unclear)
    assert answer.raw == b"<html>Authorization: Bearer " + b"*" * kept
    async with (
        raw_server(answering(http(500, body + b"</html>"))) as server,
        client(server.url, answer_bytes=len(short)) as api,
    ):
        answer = await api.submit("{}", "/v1/generate", wait=False)
    assert isinstance(answer, Unclear)
    assert answer.raw == b"<html>Authorization: Bearer " + b"*" * kept


def test_only_what_was_cut_ends_in_half_a_key() -> None:
    assert without_key(b"an api", KEY, cut=False) == b"an api"
    assert without_key(b"an api", KEY, cut=True) == b"an ***"


@pytest.mark.parametrize("own", [True, False])
async def test_a_redirect_that_carries_it_is_not_repeated(own: bool) -> None:
    refusal = answering(http(403, error("no")))
    async with raw_server(refusal) as store:
        host = f"{KEY}.localhost"
        target = f"{store.url}/{KEY}" if own else f"http://{host}:{store.port}/{KEY}"
        async with (
            raw_server(answering(http(302, b"", f"Location: {target}"), http(403, error("no")))) as server,
            client(server.url) as api,
        ):
            with pytest.raises(OutputError) as caught:
                async with api.open_output(f"{server.url}/v1/files/{KEY}"):
                    pass
    assert KEY.lower() not in f"{caught.value!r}".lower()
