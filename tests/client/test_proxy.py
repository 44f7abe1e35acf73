"""The way through a proxy that was asked for: a tunnel, in which the proxy sees names and nothing else."""

import asyncio
import json
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click
import pytest
from support.bought import Buyer, item, journal_of
from support.rawserver import Peer, Script, answering, http, raw_server, self_signed, trusting, unused_port
from support.running import COMMAND, environment

from batchgen.api import Accepted, Found, NotSent, OutputError, Unavailable
from batchgen.cli.runs import collect, resolve, run, verify
from batchgen.client import DIRECT, Limits, Route, find_route
from batchgen.client.http import HttpApi
from batchgen.core.errors import UsageError
from benchmarks.hangups import VirtualSockets

KEY = "api18_canary0123456789"
API, FILES = "https://api.test", "https://files.test"
JOB = json.dumps({"id": "job-1", "status": "processing"}).encode()
QUICK = Limits(connect=0.5, submit_idle=1.0, answer=1.0, poll=1.0, output_idle=1.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def own_tls(folder: Path) -> ssl.SSLContext:
    return self_signed(folder)


@dataclass
class Tunnels:
    """A proxy that leads each name to a port of this machine."""

    ports: dict[bytes, int]
    asked: list[bytes] = field(default_factory=list)
    """What it was told before there was a tunnel."""

    async def __call__(self, peer: Peer) -> None:
        head = await peer.reader.readuntil(b"\r\n\r\n")
        self.asked.append(head)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ports[head.split()[1]])
        await peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            await asyncio.gather(_pass_on(peer.reader, writer), _pass_on(reader, peer.writer))
        finally:
            writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


@asynccontextmanager
async def through(proxy: str, tls: ssl.SSLContext, base: str = API) -> AsyncIterator[HttpApi]:
    api = HttpApi(base, KEY, limits=QUICK, tls=tls, route=find_route(proxy, {}))
    try:
        yield api
    finally:
        await api.aclose()


async def fetch(api: HttpApi, url: str) -> bytes:
    async with api.open_output(url) as output:
        return b"".join([chunk async for chunk in output.chunks])


async def test_the_proxy_sees_names_and_nothing_else(folder: Path, own_tls: ssl.SSLContext) -> None:
    redirect = http(302, b"", f"Location: {FILES}/signed?geheim")
    async with (
        raw_server(answering(http(202, JOB)), answering(http(200, JOB), redirect), tls=own_tls) as api_server,
        raw_server(answering(http(200, b"film")), tls=own_tls) as files_server,
    ):
        tunnels = Tunnels({b"api.test:443": api_server.port, b"files.test:443": files_server.port})
        async with (
            raw_server(tunnels) as proxy,
            through(f"http://user:w%40rd@127.0.0.1:{proxy.port}", trusting(folder)) as api,
        ):
            assert isinstance(await api.submit("{}", "/v1/generate", wait=False), Accepted)
            assert isinstance(await api.poll("job-1"), Found)
            assert await fetch(api, f"{API}/v1/files/1") == b"film"
    said = b"".join(tunnels.asked)
    assert [head.split(b"\r\n")[0] for head in tunnels.asked] == [
        b"CONNECT api.test:443 HTTP/1.1", b"CONNECT api.test:443 HTTP/1.1", b"CONNECT files.test:443 HTTP/1.1",
    ]  # fmt: skip
    assert said.count(b"Proxy-Authorization: Basic dXNlcjp3QHJk\r\n") == 3
    assert KEY.encode() not in said
    assert b"Bearer" not in said
    assert b"geheim" not in said
    whole = b"".join(api_server.received + files_server.received)
    assert b"Proxy-Authorization" not in whole
    assert b"".join(api_server.received).count(KEY.encode()) == 3
    assert KEY.encode() not in b"".join(files_server.received)


async def closes(peer: Peer) -> None:
    await peer.request()
    peer.writer.close()


async def never_answers(peer: Peer) -> None:
    await peer.request()
    await peer.silence()


async def closes_the_tunnel(peer: Peer) -> None:
    await peer.request()
    await peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
    peer.writer.close()


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (answering(http(407)), "the proxy refused the connection (ClientHttpProxyError): HTTP 407"),
        (answering(http(403, b"<html>\x1b[31m")), "the proxy refused the connection (ClientHttpProxyError): HTTP 403"),
        (answering(http(302, b"", "Location: http://login.test/")), "HTTP 302"),
        (answering(b"nonsense\r\n\r\n"), ""),
        (closes, "closed the connection"),
        (never_answers, "timed out while connecting"),
        (closes_the_tunnel, ""),
    ],
)
async def test_a_proxy_that_makes_no_way_is_not_sent(folder: Path, script: Script, reason: str) -> None:
    ssl_context = ssl.create_default_context()
    async with (
        asyncio.timeout(10),
        raw_server(script) as proxy,
        through(f"http://user:geheim@127.0.0.1:{proxy.port}", ssl_context) as api,
    ):
        answer = await api.submit("{}", "/v1/generate", wait=False)
        assert isinstance(answer, NotSent), answer
        assert reason in answer.reason
        assert isinstance(await api.poll("job-1"), Unavailable)
        with pytest.raises(OutputError) as caught:
            await fetch(api, f"{FILES}/f")
    told = f"{answer!r}{caught.value!r}"
    assert not [word for word in ("geheim", "\x1b", KEY) if word in told]


async def test_a_proxy_out_of_reach_is_not_sent() -> None:
    async with through(f"http://127.0.0.1:{unused_port()}", ssl.create_default_context()) as api:
        answer = await api.submit("{}", "/v1/generate", wait=False)
        polled = await api.poll("job-1")
    assert isinstance(answer, NotSent)
    assert answer.reason.startswith("the proxy cannot be reached")
    assert isinstance(polled, Unavailable)
    assert not polled.reached


@pytest.mark.parametrize(
    "target", ["https://10.0.0.1/f", "https://127.0.0.1/f", "https://[::1]/f", "http://files.test/f"]
)
async def test_private_literals_are_refused_all_the_same(target: str) -> None:
    async with raw_server(answering(http(403))) as proxy, through(proxy.url, ssl.create_default_context()) as api:
        with pytest.raises(OutputError, match="was not downloaded"):
            await fetch(api, target)
    assert proxy.connections == 0


async def test_an_api_on_this_machine_is_reached_without_it() -> None:
    async with (
        raw_server(answering(http(403))) as proxy,
        raw_server(answering(http(202, JOB))) as server,
        through(proxy.url, ssl.create_default_context(), server.url) as api,
    ):
        assert isinstance(await api.submit("{}", "/v1/generate", wait=False), Accepted)
    assert proxy.connections == 0


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
async def test_the_environments_proxy_is_pointed_out_and_not_used(name: str) -> None:
    route = find_route(None, {name: "http://user:geheim@proxy.test:3128"})
    assert route == Route(ignored=name)
    api = HttpApi("https://nowhere.invalid", KEY, route=route)
    answer, polled = await api.submit("{}", "/v1/generate", wait=False), await api.poll("job-1")
    await api.aclose()
    assert isinstance(answer, NotSent)
    assert isinstance(polled, Unavailable)
    for told in (answer.reason, polled.reason):
        assert f"{name} is set" in told
        assert "--proxy" in told
        assert "geheim" not in told


def test_ways() -> None:
    assert find_route(None, {}) == find_route("", {}) == DIRECT
    route = find_route(" http://user:geheim@proxy.test:3128/ ", {"HTTPS_PROXY": "x"})
    assert str(route.proxy) == "http://proxy.test:3128/"
    assert "geheim" not in repr(route)
    assert route.authorization not in repr(route)
    assert route.hint == ""
    assert find_route("http://proxy.test", {}).authorization is None


@pytest.mark.parametrize(
    "text",
    ["proxy.test:3128", "socks5://u:geheim@proxy.test", "https://u:geheim@proxy.test", "http://u:geheim@", "http://",
     "http://u:geheim@proxy.test/x", "http://u:geheim@proxy.test?x", "http://u:geheim@p:99999", "http://u:geheim@a b",
     "http://u:geheim@a..b"],
)  # fmt: skip
def test_refused_addresses(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        find_route(text, {})
    assert "geheim" not in str(caught.value)


TRIAL = """
import asyncio, sys
from batchgen.client import find_route
from batchgen.client.http import HttpApi

async def main():
    api = HttpApi("https://api.test", "api18_0123456789abcdef", route=find_route(sys.argv[1], {}))
    answer = await api.submit("{}", "/v1/generate", wait=False)
    async with api.open_output("https://files.test/f") as output:
        film = b"".join([chunk async for chunk in output.chunks])
    await api.aclose()
    print(type(answer).__name__, film)

asyncio.run(main())
"""


async def test_ssl_cert_file_holds_for_the_api_and_for_the_origins_of_files(
    folder: Path, own_tls: ssl.SSLContext
) -> None:
    trusted = {"SSL_CERT_FILE": str(folder / "certificate.pem")}
    async with (
        raw_server(answering(http(202, JOB)), tls=own_tls) as api_server,
        raw_server(answering(http(200, b"film")), tls=own_tls) as files_server,
        raw_server(Tunnels({b"api.test:443": api_server.port, b"files.test:443": files_server.port})) as proxy,
    ):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", TRIAL, proxy.url, env=environment() | trusted,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
    assert out == b"Accepted b'film'\n", err


def test_each_post_through_a_proxy_has_a_tunnel_of_its_own(folder: Path, own_tls: ssl.SSLContext) -> None:
    async def main() -> None:
        async with raw_server(answering(*[http(200, JOB)] * 9), tls=own_tls) as server:
            tunnels = Tunnels({b"api.test:443": server.port})
            async with raw_server(tunnels) as proxy, through(proxy.url, trusting(folder), API) as api:
                for pause in (0.0, 2.0, 0.3):  # a POST without a proxy would use the connection after that
                    await asyncio.sleep(pause)
                    assert isinstance(await api.poll("job-1"), Found)
                assert len(tunnels.asked) == 1
                await asyncio.sleep(0.3)
                assert isinstance(await api.submit("{}", "/v1/generate", wait=False), Accepted)
                assert len(tunnels.asked) == 2

    with asyncio.Runner(loop_factory=VirtualSockets) as runner:
        runner.run(main())


@pytest.mark.parametrize("asking", [run.command, collect.command, resolve.command, verify.command])
def test_each_command_that_asks_the_api_takes_a_proxy(asking: click.Command) -> None:
    (option,) = [parameter for parameter in asking.params if parameter.name == "proxy"]
    assert option.envvar == "BATCHGEN_PROXY"


async def command(*arguments: str, proxy: str, cwd: Path) -> tuple[int | None, bytes]:
    """Run a command with a password for the proxy; return its exit code and all that it said."""
    process = await asyncio.create_subprocess_exec(
        COMMAND, *arguments, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=environment(API18_KEY=KEY, BATCHGEN_GIVE_UP_AFTER="1", BATCHGEN_MAX_COST="1",
                        BATCHGEN_PROXY=proxy.replace("http://", "http://user:geheim@")),
    )  # fmt: skip
    out, err = await process.communicate()
    return process.returncode, out + err


async def test_the_commands_go_through_it(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(
        "version: 1\nname: job\nitems: [{id: mug, model: hera-1.0-text-to-image, prompt: Mug}]\n", encoding="utf-8"
    )
    with journal_of(tmp_path / "output" / "old", [item("jug")]) as journal:
        Buyer(journal).doubt("jug", "no answer")
    async with raw_server(answering(http(407))) as proxy:
        bought = await command("run", "job.yaml", "--yes", "--base-url", API, proxy=proxy.url, cwd=tmp_path)
        settled = await command(
            "resolve", "output/old", "jug", "--job-id", "x", "--rotated-key", proxy=proxy.url, cwd=tmp_path
        )
    for code, said in (bought, settled):
        assert code == 5, said
        assert b"the proxy refused the connection (ClientHttpProxyError): HTTP 407" in said
    written = b"".join(path.read_bytes() for path in (tmp_path / "output").rglob("*") if path.is_file())
    assert b"HTTP 407" in written, "the log says it too"
    whole = bought[1] + settled[1] + written
    assert not [secret for secret in (b"geheim", b"dXNlcjpnZWhlaW0=", KEY.encode()) if secret in whole]
