"""The key turns up nowhere: a run with one of its own, with everything that can fail, and then a look at every byte."""

import asyncio
import json
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from support.running import COMMAND, FAST, environment, simulator

from batchgen.cli.boundary import guarded
from batchgen.client.http import HttpApi
from batchgen.core.credentials import ApiKey, find_key
from batchgen.core.errors import UsageError

SECRET = "c4N4rYs1ngs2L0ud"  # noqa: S105 - nobody's
KEY = f"api18_{SECRET}"
OTHER = "api18_1111111111111111"
DEVELOPING = {"PYTHONDEVMODE": "1", "PYTHONASYNCIODEBUG": "1", "PYTHONWARNINGS": "always"}
"""Everything that makes Python and its libraries talk more."""


class Nest:
    """A folder in which everything happens that the key could be left in."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys
        self.scratch = folder / "scratch"
        self.scratch.mkdir()
        self.run = folder / "output" / "job"
        lines = [f"{{id: mug-{number}, model: hera-1.0-text-to-image, prompt: Mug {number}}}" for number in range(6)]
        text = f"version: 1\nname: job\nrun: {{give_up_after: 0.3}}\nitems: [{', '.join(lines)}]\n"
        (folder / "job.yaml").write_text(text, encoding="utf-8")
        self._said = b""

    def variables(self, **more: str) -> dict[str, str]:
        return environment(TMPDIR=str(self.scratch), **DEVELOPING, **more)

    def batchgen(
        self, *arguments: object, script: str = "from batchgen.__main__ import main; main()", **more: str
    ) -> int:
        """Run a command line and keep what it said."""
        ended = subprocess.run(
            [sys.executable, "-c", script, *map(str, arguments)],
            cwd=self.folder, env=self.variables(**more), stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
            check=False,
        )  # fmt: skip
        self.hear(ended.stdout + ended.stderr)
        return ended.returncode

    def look(self, *arguments: str) -> int:
        """Run a command line that changes nothing, in this process."""
        code = guarded(list(arguments))
        said = self._capsys.readouterr()
        self.hear(f"{said.out}{said.err}".encode())
        return code

    def hear(self, said: bytes) -> None:
        self._said += said

    @property
    def said(self) -> str:
        return self._said.decode(errors="replace")

    def silent(self, *, but: tuple[str, ...] = ()) -> None:
        """Assert that neither the key nor its distinctive part is anywhere, except for the files that gave it."""
        assert self._said, "nothing was said at all"
        places = [self._said, *(path.read_bytes() for path in self.files() if path.name not in but)]
        names = [str(path).encode() for path in self.files()]
        for content in places + names:
            for spelled in (SECRET, SECRET[::-1], SECRET.encode().hex()):
                assert spelled.encode().lower() not in content.lower()

    def files(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file()]


@pytest.fixture
def nest(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Nest:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("API18_KEY", KEY)
    return Nest(tmp_path, capsys)


def test_a_run_with_all_that_can_fail_after_it_was_sent(nest: Nest) -> None:
    faults = ("garbled", "lost_answer", "unavailable", "busy", "storm", "failed", "poll_error", "truncated", "html")
    rates = [word for fault in faults for word in ("--fault", f"{fault}=0.2")]
    with simulator("--speed", 500, "--media", "tiny", "--seed", 5, *rates) as api:
        code = nest.batchgen("run", "job.yaml", "--base-url", api.url, *FAST, API18_KEY=KEY)
        assert code in (1, 4, 5), nest.said
        nest.batchgen("collect", "job.yaml", *FAST[:4], API18_KEY=KEY)
    for command in (("status", "--json"), ("status",), ("ledger",), ("verify", "--json"), ("plan", "--json")):
        assert nest.look(command[0], "job.yaml", *command[1:]) in (0, 1)
    assert nest.look("resolve", "job.yaml", "--export", "doubts.csv") == 0
    nest.silent()
    assert (nest.run / "journal.sqlite3").exists()
    assert (nest.run / "batchgen.log").read_text(encoding="utf-8")


@pytest.mark.parametrize("source", [".env", "the-key"])
def test_a_key_from_a_file_stays_there(nest: Nest, source: str) -> None:
    line = f"OTHER=1\nexport API18_KEY='{KEY}'\n" if source == ".env" else f"{KEY}\n"
    (nest.folder / source).write_text(line, encoding="utf-8")
    options = () if source == ".env" else ("--api-key-file", source)
    with simulator("--speed", 500, "--media", "tiny", "--fault", "failed=0.5", "--fault", "garbled=0.5") as api:
        assert nest.batchgen("run", "job.yaml", "--base-url", api.url, *FAST, *options) in (1, 4, 5)
    nest.silent(but=(source,))


def test_a_key_that_is_wrong_or_of_another_account(nest: Nest) -> None:
    run = ("run", "job.yaml", *FAST)
    with simulator("--speed", 500, "--media", "tiny", "--key", "api18_0000000000000000") as api:
        assert nest.batchgen(*run, "--base-url", api.url, API18_KEY=KEY) == 5
        assert "401" in nest.said or "refuses the key" in nest.said
    with simulator("--speed", 0.01, "--media", "tiny") as api:
        with started(nest, api.url) as process:
            while not api.jobs() and process.poll() is None:
                pass
        assert nest.batchgen(*run, "--base-url", api.url, API18_KEY=OTHER) == 6
        assert nest.look("verify", "job.yaml", "--refetch") == 0
        assert nest.look("resolve", "job.yaml", "mug-0", "--job-id", "x") == 2
    nest.silent()


@pytest.mark.parametrize(
    "malformed", [f"{KEY}x", f" {SECRET}", f"Bearer {KEY}", f"{KEY}\t{KEY}", f"ключ{SECRET}", f"{KEY}\xff"]
)
def test_a_malformed_key_is_refused_without_being_shown(tmp_path: Path, malformed: str) -> None:
    content = malformed.encode("latin-1" if malformed.endswith("\xff") else "utf-8")
    (tmp_path / "the-key").write_bytes(content)
    (tmp_path / ".env").write_bytes(b"API18_KEY=" + content)
    for places in ((None, tmp_path / "the-key", {}), (tmp_path, None, {}), (None, None, {"API18_KEY": malformed})):
        with pytest.raises(UsageError) as refused:
            find_key(*places)
        shown = f"{refused.value!r} {refused.value} {refused.value.__cause__!r}"
        assert SECRET not in shown


@contextmanager
def started(nest: Nest, url: str) -> Iterator[subprocess.Popen[bytes]]:
    """A run that is interrupted at the end of the block."""
    with subprocess.Popen(
        [sys.executable, COMMAND, "run", "job.yaml", "--base-url", url, *FAST],
        cwd=nest.folder, env=nest.variables(API18_KEY=KEY), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        yield process
        process.send_signal(signal.SIGINT)
        nest.hear(process.communicate(timeout=30)[0])
        assert process.returncode == 130


class _Echo(BaseHTTPRequestHandler):
    """Answers with what it was sent, headers and all, as a confused proxy may."""

    protocol_version = "HTTP/1.1"
    status = 500

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        said = json.dumps({"error": {"type": "echo", "message": str(self.headers)}}).encode()
        self.send_response(self.status, "no")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_GET = do_POST = answer  # noqa: N815 - http.server's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""


class _Nonsense(_Echo):
    """Speaks no HTTP: aiohttp's error then holds the request, headers and all."""

    def answer(self) -> None:
        self.wfile.write(b"HTTP/1.1 what\r\n\r\n")
        self.close_connection = True

    do_GET = do_POST = answer  # noqa: N815 - http.server's names


@contextmanager
def serving(handler: type[_Echo] = _Echo, *, tls: Path | None = None) -> Iterator[str]:
    """A server whose address is given; with `tls`, one whose certificate nobody trusts."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_no_connection_no_trust_and_no_sense(nest: Nest) -> None:
    run = ("run", "job.yaml", *FAST)
    assert nest.batchgen(*run, "--base-url", "http://127.0.0.1:9", API18_KEY=KEY) == 5
    pair = nest.folder / "pair.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-subj", "/CN=127.0.0.1", "-days", "1",
         "-keyout", pair, "-out", nest.folder / "certificate.pem"],
        capture_output=True, check=False,
    )  # fmt: skip
    if made.returncode == 0:
        pair.write_bytes(pair.read_bytes() + (nest.folder / "certificate.pem").read_bytes())
        with serving(tls=pair) as url:
            assert nest.batchgen(*run, "--run", "tls", "--base-url", url, API18_KEY=KEY) == 5
        assert "Cert" in nest.said
    for handler in (_Echo, _Nonsense):
        with serving(handler) as url:
            assert nest.batchgen(*run, "--run", handler.__name__.lower()[1:], "--base-url", url, API18_KEY=KEY) == 5
    for address in (f"https://{KEY}@127.0.0.1", f"http://127.0.0.1:9/?key={KEY}"):
        assert nest.look(*run, "--run", "address", "--base-url", address) == 2
    for wrong in ((f"--api-key={KEY}",), (KEY,), ("--api-key-file", KEY)):
        assert nest.look(*run, *wrong) == 2
    nest.silent()


BUG = """
import batchgen.{module} as module
def fail(*arguments, **named):
    raise RuntimeError("a bug", *(a for a in arguments if type(a).__name__ == "ApiKey" or "api18_" in str(a)))
{target} = fail
from batchgen.__main__ import main
main()
"""
"""The exception holds the key where there is one at hand, as those of other people's libraries may."""


@pytest.mark.parametrize(
    ("module", "target"),
    [
        ("client.http", "module.HttpApi.submit"),
        ("client.http", "module.HttpApi"),
        ("session.connection.account", "module.ApiAccount"),
    ],
)
def test_a_bug_is_reported_without_it(nest: Nest, module: str, target: str) -> None:
    with simulator("--speed", 500, "--media", "tiny") as api:
        script = BUG.format(module=module, target=target)
        code = nest.batchgen("run", "job.yaml", "--base-url", api.url, *FAST, script=script, API18_KEY=KEY)
    assert code == 70, nest.said
    reports = list(nest.scratch.glob("batchgen-bug-*.log"))
    assert len(reports) == 1
    assert "RuntimeError" in reports[0].read_text(encoding="utf-8")
    nest.silent()


async def test_no_exception_and_no_repr_of_the_client_shows_it() -> None:
    shown: list[str] = []
    asyncio.get_running_loop().set_debug(True)
    api = HttpApi("http://127.0.0.1:9", KEY)
    try:
        shown += [repr(api), str(api)]
        answer = await api.submit("{}", "/v1/generate", wait=False)
        shown.append(repr(answer))
        shown.append(repr(await api.poll("job")))
        with pytest.raises(Exception, match=r"127\.0\.0\.1") as caught:
            async with api.open_output("http://127.0.0.1:9/file"):
                pass
        error: BaseException | None = caught.value
        while error is not None:
            shown += [repr(error), str(error), repr(vars(error))]
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        shown += [repr(task) for task in asyncio.all_tasks()]
    finally:
        await api.aclose()
    key = ApiKey(KEY)
    shown += [repr(key), str(key), f"{key}", f"{key!r:>40}", "%s" % key, repr([key]), repr({"key": key})]  # noqa: UP031
    with pytest.raises(UsageError) as refused:
        HttpApi("http://127.0.0.1:9", f"{KEY}\n")
    shown += [repr(refused.value), str(refused.value)]
    assert SECRET not in "\n".join(shown)
