"""When a run begins and when it is to be over, and which options the same command needs."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click
import pytest

from batchgen.catalog import load_catalog
from batchgen.cli.runs import run
from batchgen.core.errors import UsageError
from batchgen.policy.wall_time import WallTime
from batchgen.session.request import Hours, RunRequest

NOW = datetime(2026, 11, 26, 18, tzinfo=UTC)


def hours(start_at: str | None, until: str | None) -> Hours:
    request = RunRequest(
        Path("job.yaml"),
        {},
        load_catalog(),
        start_at=None if start_at is None else WallTime.parse(start_at),
        until=None if until is None else WallTime.parse(until),
    )
    return request.hours(NOW)


@pytest.mark.parametrize(
    ("start_at", "until", "start", "over"),
    [
        (None, None, None, None),
        (None, "07:00Z", None, "2026-11-27T07:00"),
        ("22:00Z", None, "2026-11-26T22:00", None),
        ("22:00Z", "07:00Z", "2026-11-26T22:00", "2026-11-27T07:00"),
        ("22:00Z", "21:00Z", "2026-11-26T22:00", "2026-11-27T21:00"),  # counts from the start
        ("2026-11-28T22:00Z", "07:00Z", "2026-11-28T22:00", "2026-11-29T07:00"),
        ("2026-11-28T22:00Z", "2026-11-30T07:00Z", "2026-11-28T22:00", "2026-11-30T07:00"),
    ],
)
def test_the_end_counts_from_the_start(
    start_at: str | None, until: str | None, start: str | None, over: str | None
) -> None:
    def moment(text: str | None) -> datetime | None:
        return None if text is None else datetime.fromisoformat(text).replace(tzinfo=UTC)

    assert hours(start_at, until) == Hours(moment(start), moment(over))


@pytest.mark.parametrize(
    ("start_at", "until", "message"),
    [
        ("2026-11-26T17:00Z", None, "--start-at 2026-11-26T17:00Z has passed; leave it out to start at once"),
        (None, "2026-11-26T18:00Z", "--until 2026-11-26T18:00Z has passed"),
        ("22:00Z", "2026-11-26T21:00Z", "--until 2026-11-26T21:00Z is not after --start-at"),
    ],
)
def test_a_time_that_has_passed_is_refused(start_at: str | None, until: str | None, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        hours(start_at, until)
    assert str(caught.value) == message


def lasting(environment: Mapping[str, str] = MappingProxyType({}), **given: Any) -> list[str]:
    """The options that are noted of `batchgen run m.yaml` with these ones."""
    options = run.command.make_context("run", ["m.yaml"]).params | given
    return RunRequest.of(Path("m.yaml"), environment, load_catalog(), options).lasting_options


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"output": "out"}, ["--output", "{here}/out"]),
        ({"name": "x"}, ["--run", "x"]),
        ({"catalog": Path("tables.toml")}, ["--catalog", "{here}/tables.toml"]),
        ({"api_key_file": Path("/keys/mine")}, ["--api-key-file", "/keys/mine"]),
        ({"skip_bought": (Path("a.csv"), Path("/b"))}, ["--skip-bought", "{here}/a.csv", "--skip-bought", "/b"]),
        ({"proxy": "http://proxy.example:3128"}, ["--proxy", "http://proxy.example:3128"]),
        ({"proxy": "http://ann:secret@proxy.example:3128"}, ["--proxy", "URL"]),
        ({"lease": "leases"}, ["--lease", "{here}/leases"]),
        ({"lease": "s3://bucket/leases"}, ["--lease", "s3://bucket/leases"]),
        ({"engine": "dask://10.0.0.5:8786"}, ["--engine", "dask://10.0.0.5:8786"]),
        ({"shard": "auto/4"}, ["--shard", "2/4"]),
        ({"max_cost": "5.00"}, ["--max-cost", "5.00"]),
        ({"budget": Decimal(2)}, ["--budget", "2"]),
        ({"max_new": 3}, ["--max-new", "3"]),
        ({"max_failures": "5%"}, ["--max-failures", "5%"]),
        ({"canary": "0"}, ["--canary", "0"]),
        ({"locked": True, "strict": True, "wait_for_balance": True}, ["--strict", "--locked", "--wait-for-balance"]),
        ({"yes": True, "buy_again": True, "again": ("*",), "retry": "failed", "renamed": "buy"}, []),
        ({"start_at": "22:00", "until": "07:00", "quiet": True, "notify": "https://hooks.example/secret"}, []),
    ],
    ids=str,
)
def test_what_the_same_command_needs_is_noted_and_nothing_else(given: dict[str, Any], words: list[str]) -> None:
    assert lasting({"JOB_COMPLETION_INDEX": "2"}, **given) == [
        word.replace("{here}", str(Path.cwd())) for word in words
    ]


def test_the_output_folder_of_the_environment_is_noted() -> None:
    assert lasting({"BATCHGEN_OUTPUT": "/srv/out"}) == ["--output", "/srv/out"]
    assert lasting({"BATCHGEN_OUTPUT": "/srv/out"}, output="/out") == ["--output", "/out"]
    assert lasting({"BATCHGEN_OUTPUT": ""}) == []


def test_each_option_of_run_is_noted_or_left_out_on_purpose() -> None:
    once = {"retry", "again", "renamed", "buy_again", "yes", "start_at", "until"}
    elsewhere = {"manifest", "only", "simulate", "base_url"}  # facts of their own
    of_no_consequence = {"rotated_key", "ping", "notify", "on_exit", "as_json", "quiet"}
    for option in run.command.params:
        assert option.name is not None
        value: Any = "0/2" if option.name == "shard" else "x"
        if isinstance(option, click.Option) and (option.is_flag or option.multiple):
            value = True if option.is_flag else ("x",)
        if option.name not in once | elsewhere | of_no_consequence and option.expose_value:
            assert any(word in option.opts for word in lasting(**{option.name: value})), option.name
