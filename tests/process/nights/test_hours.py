"""When a run begins and when it is to be over, through the installed command and its session."""

import csv
import json
import signal
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO

import pytest
from support.running import FAST, batchgen, installed, simulator, start, summary_of

from batchgen import StopHandle, load
from batchgen.core.clock import utc_now


def manifest(folder: Path, count: int = 3) -> Path:
    path = folder / "job.yaml"
    items = [f"  - {{id: mug-{n}, prompt: Mug number {n} on marble}}" for n in range(count)]
    path.write_text(
        "\n".join(["version: 1", "name: job", "defaults: {model: hera-1.0-text-to-image}", "items:", *items]) + "\n",
        encoding="utf-8",
    )
    return path


def at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def line_with(words: str, stream: IO[str]) -> str:
    """Read until a line that holds these words."""
    return next(line for line in stream if words in line)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_nothing_is_asked_of_the_api_before_the_start_and_a_signal_ends_the_wait(
    tmp_path: Path, number: signal.Signals
) -> None:
    path = manifest(tmp_path)
    with simulator("--speed", 500, "--media", "tiny") as api:
        options = ("run", path, "--base-url", api.url, *FAST)
        process = start(*options, "--start-at", at(utc_now() + timedelta(hours=3)), cwd=tmp_path)
        assert process.stderr is not None
        assert "Ctrl-C ends the wait" in line_with("waiting until", process.stderr)
        second = batchgen(*options, cwd=tmp_path)
        assert second.returncode == 6, second.stderr
        process.send_signal(number)
        output, _ = process.communicate(timeout=20)
        assert process.returncode == 130
        assert json.loads(output)["stopped_because"] == "interrupted"
        assert json.loads(output)["pending"] == 3
        assert not api.jobs()
        assert summary_of(batchgen(*options, cwd=tmp_path))["done"] == 3


def test_a_run_starts_when_it_is_time(tmp_path: Path) -> None:
    path = manifest(tmp_path)
    with simulator("--speed", 500, "--media", "tiny") as api:
        begin = (utc_now() + timedelta(seconds=2)).replace(microsecond=0)
        result = batchgen("run", path, "--base-url", api.url, *FAST, "--start-at", at(begin), cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        with (tmp_path / "output" / "job" / "ledger.csv").open(encoding="utf-8", newline="") as lines:
            assert [row["submitted_at"] >= at(begin) for row in csv.DictReader(lines)] == [True] * 3
        assert summary_of(result)["done"] == 3


def test_a_stop_from_python_ends_the_wait(tmp_path: Path) -> None:
    stop = StopHandle()
    stop.stop()
    loaded = load(manifest(tmp_path))
    summary = loaded.run(simulate=True, output=tmp_path, stop=stop, start_at=utc_now() + timedelta(hours=3))
    assert (summary.exit_code, summary.stopped_because, summary.pending) == (130, "interrupted", 3)


def test_what_another_run_bought_during_the_wait_is_not_bought_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = manifest(tmp_path)
    with simulator("--speed", 500, "--media", "tiny") as api:
        options = ("run", path, "--base-url", api.url, *FAST)
        ended = []
        monkeypatch.setattr(
            StopHandle, "wait_until", lambda *_: ended.append(installed(*options, "--run", "other", cwd=tmp_path))
        )
        result = batchgen(*options, "--start-at", at(utc_now() + timedelta(hours=3)), cwd=tmp_path)
        assert [other.returncode for other in ended] == [0]
        assert result.returncode == 2, result.stdout
        assert "3 items of job ($0.168 in all) were already bought in" in result.stderr
        assert len(api.jobs()) == 3


def test_a_run_that_is_to_be_over_soon_buys_nothing_and_the_next_one_all(tmp_path: Path) -> None:
    path = manifest(tmp_path)
    with simulator("--speed", 500, "--media", "tiny") as api:
        options = ("run", path, "--base-url", api.url, *FAST)
        result = batchgen(*options, "--until", at(utc_now() + timedelta(minutes=5)), cwd=tmp_path)
        assert result.returncode == 3, result.stderr
        assert "nothing is submitted that would end after" in result.stderr
        assert summary_of(result)["stopped_because"] == "until"
        assert not api.jobs()
        result = batchgen(*options, "--until", at(utc_now() + timedelta(minutes=15)), cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        assert summary_of(result)["done"] == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--until", "7am"), "--until must be a time such as 07:00"),
        (("--start-at", "25:00"), "--start-at is not a time: hour must be in 0..23: '25:00'"),
        (("--until", "2020-01-01T07:00"), "--until 2020-01-01T07:00 has passed"),
        (("--start-at", "2020-01-01T07:00"), "--start-at 2020-01-01T07:00 has passed; leave it out to start at once"),
        (
            ("--start-at", "2099-01-02T07:00", "--until", "2099-01-01T07:00"),
            "--until 2099-01-01T07:00 is not after --start-at",
        ),
    ],
)
def test_a_time_that_cannot_be_meant_is_refused(tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    result = batchgen("run", manifest(tmp_path), "--base-url", "http://127.0.0.1:9", *FAST, *options, cwd=tmp_path)
    assert result.returncode == 2
    assert message in result.stderr
    assert not (tmp_path / "output").exists()
