"""What `--engine` names."""

from pathlib import Path

import pytest
from support.running import batchgen

from batchgen.core.errors import UsageError
from batchgen.engine.cluster.address import DaskEngine, EngineAddress, LocalEngine, parse_engine


@pytest.mark.parametrize(
    ("text", "engine", "url"),
    [
        ("local:1", LocalEngine(1), None),
        ("local:16", LocalEngine(16), None),
        ("dask://127.0.0.1:8786", DaskEngine("127.0.0.1", 8786), "tcp://127.0.0.1:8786"),
        ("dask://scheduler.studio.example:1", DaskEngine("scheduler.studio.example", 1), None),
        ("dask://dask_scheduler:65535", DaskEngine("dask_scheduler", 65535), "tcp://dask_scheduler:65535"),
        ("dask://[::1]:8786", DaskEngine("[::1]", 8786), "tcp://[::1]:8786"),
        ("dask+tls://scheduler:8786", DaskEngine("scheduler", 8786, encrypted=True), "tls://scheduler:8786"),
    ],
)
def test_an_address_is_read_and_written_alike(text: str, engine: EngineAddress, url: str | None) -> None:
    assert parse_engine(text) == engine
    assert str(engine) == text
    if url is not None:
        assert isinstance(engine, DaskEngine)
        assert engine.url == url


MUST = "must be local:N (N processes on this machine) or dask://HOST:PORT"
NUMBER = "the number of processes must be from 1 to 1000"
PORT = "a port is a number from 1 to 65535"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", MUST),
        ("local", MUST),
        ("local:", MUST),
        ("local:two", MUST),
        ("local:-1", MUST),
        ("local:1.5", MUST),
        (" local:2", MUST),
        ("local:2\n", MUST),
        ("local:٢", MUST),
        ("LOCAL:2", MUST),
        ("local:0", NUMBER),
        ("local:1001", NUMBER),
        ("dask://scheduler", MUST),
        ("dask://:8786", MUST),
        ("dask://scheduler:8786/x", MUST),
        ("dask://ann@scheduler:8786", MUST),
        ("dask://scheduler:0", PORT),
        ("dask://scheduler:65536", PORT),
        ("tcp://scheduler:8786", MUST),
        ("scheduler:8786", MUST),
        ("ray://scheduler:10001", MUST),
    ],
)
def test_anything_else_is_refused_with_what_it_must_be(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_engine(text)
    assert message in str(caught.value)
    assert str(caught.value).startswith("--engine ")


def test_the_command_refuses_it_before_it_reads_a_manifest(tmp_path: Path) -> None:
    result = batchgen("run", "no-such-manifest.yaml", "--engine", "local:0", cwd=tmp_path)
    assert result.returncode == 2
    assert NUMBER in result.stderr
    result = batchgen("run", "no-such-manifest.yaml", "--engine", "local:1", cwd=tmp_path)
    assert "no-such-manifest.yaml" in result.stderr
