"""A simulator says what it is: a run that buys from it is marked, wherever it was started."""

import csv
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.running import FAST, KEY, Simulated, batchgen, simulator, summary_of

from batchgen.cli.boundary import guarded
from batchgen.client import is_simulator
from batchgen.core.errors import UsageError


@pytest.fixture(scope="module")
def api() -> Iterator[Simulated]:
    with simulator("--speed", 1000, "--media", "tiny", marked=True) as running:
        yield running


def test_a_simulator_may_pass_for_the_real_thing() -> None:
    with simulator() as unmarked:
        assert is_simulator(unmarked.url) is False


@contextmanager
def answering(raw: bytes) -> Iterator[str]:
    """A server that gives this answer to one connection, whatever is asked."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                assert KEY.encode() not in connection.recv(65536)
                connection.sendall(raw)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


def page(body: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def test_the_simulator_is_known_for_what_it_is(api: Simulated) -> None:
    assert is_simulator(api.url) is True
    assert is_simulator(api.url.replace("127.0.0.1", "localhost")) is True


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        page("<html>"),
        page('{"simulator": "another"}'),
        page('["batchgen"]'),
        page("[" * 4000),
        b"no HTTP\r\n\r\n",
    ],
)
def test_what_answers_otherwise_is_none(raw: bytes) -> None:
    with answering(raw) as url:
        assert is_simulator(url) is False


def test_nothing_is_known_of_what_does_not_answer_and_other_machines_are_not_asked() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    assert is_simulator(f"http://127.0.0.1:{free}") is None
    assert is_simulator("https://api18.dev") is None
    assert is_simulator(f"https://127.0.0.1:{free}") is None
    with pytest.raises(UsageError):
        is_simulator("ftp://127.0.0.1")


def test_a_run_against_a_simulator_is_marked_and_bound_to_it(
    tmp_path: Path, api: Simulated, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "job.yaml").write_text(
        "version: 1\nname: job\nitems: [{id: mug, model: hera-1.0-text-to-image, prompt: A mug}]\n", encoding="utf-8"
    )
    ended = batchgen("run", "job.yaml", "--base-url", api.url, *FAST, cwd=tmp_path)
    assert summary_of(ended)["simulated"] is True, ended.stderr
    with (tmp_path / "output" / "job" / "ledger.csv").open(encoding="utf-8", newline="") as lines:
        assert [row["simulated"] for row in csv.DictReader(lines)] == ["true"]
    for command in ("status", "plan"):
        assert guarded([command, "job.yaml", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["simulated"] is True
    for command in ("status", "plan", "ledger"):
        assert guarded([command, "job.yaml"]) == 0
        assert "simulated" in capsys.readouterr().out.splitlines()[0]

    # Nobody listens there: it is refused before anything is asked.
    monkeypatch.setenv("API18_KEY", KEY)
    assert guarded(["run", "job.yaml", "--base-url", "http://127.0.0.1:9", *FAST]) == 6
    assert f"1 purchase made at {api.url}, not at http://127.0.0.1:9" in capsys.readouterr().err
    monkeypatch.setenv("API18_KEY", "api18_AnotherAccount00")
    for words in (("run", "job.yaml", "--base-url", api.url, *FAST), ("collect", "job.yaml")):
        assert guarded(list(words)) == 6
        assert "1 purchase of another account" in capsys.readouterr().err
