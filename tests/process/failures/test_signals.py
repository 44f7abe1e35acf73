"""Ctrl-C, SIGTERM and SIGHUP, once and twice: what was paid for is recorded, and the next run goes on."""

import csv
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.held import AT_ONCE, HELD, ITEMS
from support.running import FAST, KEY, Simulated, batchgen, environment, simulator, start, summary_of

SIGNALS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


def started(folder: Path, api: Simulated) -> tuple[subprocess.Popen[str], tuple[object, ...]]:
    """A run with as many POSTs under way as it may have."""
    lines = [
        "version: 1",
        "name: job",
        "run: {submit: wait}",
        "defaults: {model: centaurus-1.0-text-to-video, duration: 2}",
        "items:",
    ]
    lines += [f"  - {{id: mug-{number}, prompt: Mug number {number}}}" for number in range(ITEMS)]
    (folder / "job.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    options = ("run", "job.yaml", "--base-url", api.url, "--concurrency", AT_ONCE, *FAST)
    process = start(*options, cwd=folder)
    while api.account()["accepted"] < AT_ONCE and process.poll() is None:
        time.sleep(0.01)
    assert process.poll() is None
    return process, options


def books_agree(folder: Path, api: Simulated) -> None:
    with (folder / "output" / "job" / "ledger.csv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    net = sum((Decimal(row["net_usd"]) for row in rows), Decimal(0))
    doubt = sum((Decimal(row["in_doubt_usd"]) for row in rows), Decimal(0))
    assert net <= Decimal(api.account()["net"]) <= net + doubt
    assert max(Counter(job["body"] for job in api.jobs()).values()) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_once_waits_for_the_answers_and_ends_with_books(tmp_path: Path, number: signal.Signals) -> None:
    with simulator(*HELD) as api:
        process, options = started(tmp_path, api)
        process.send_signal(number)
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 130, errors
        summary = json.loads(output)
        assert (summary["stopped_because"], summary["exit_code"]) == ("interrupted", 130)
        assert (summary["in_doubt"], summary["in_flight"], summary["pending"]) == (0, AT_ONCE, ITEMS - AT_ONCE)
        assert json.loads((tmp_path / "output" / "job" / "summary.json").read_text()) == summary
        assert len(api.jobs()) == AT_ONCE, "nothing is bought after the signal"
        books_agree(tmp_path, api)
        books: dict[str, Any] = api.account()
        assert Decimal(summary["net_usd"]) == Decimal(books["net"])
        last = batchgen(*options, cwd=tmp_path, BATCHGEN_SUBMIT="poll")
        assert summary_of(last)["done"] == ITEMS, last.stderr
        books_agree(tmp_path, api)


def test_twice_ends_at_once_and_loses_nothing_that_was_recorded(tmp_path: Path) -> None:
    with simulator(*HELD) as api:
        process, options = started(tmp_path, api)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        while "once more" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 130
        run = tmp_path / "output" / "job"
        told = f"{AT_ONCE - 1} requests have no answer yet, may be charged, and are in doubt: look in the provider's"
        assert f"{told} billing, then `batchgen resolve {run}`" in errors
        last = batchgen(*options, cwd=tmp_path, BATCHGEN_SUBMIT="poll")
        assert last.returncode == 4, last.stderr
        summary = summary_of(last)
        # The first one went out alone and without a wait, to confirm the price: its answer had come.
        assert (summary["done"], summary["in_doubt"]) == (ITEMS - AT_ONCE + 1, AT_ONCE - 1)
        books_agree(tmp_path, api)


@SIGNALS
def test_a_signal_before_anything_is_bought_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    lines = ["version: 1", "name: job", "items:"]
    lines += [f"  - {{model: hera-1.0-text-to-image, prompt: Mug number {number}}}" for number in range(60_000)]
    (tmp_path / "job.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    process = start("run", "job.yaml", "--base-url", "http://127.0.0.1:9", *FAST, cwd=tmp_path, TMPDIR=str(scratch))
    while not list(scratch.glob("*/*")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(number)
    output, errors = process.communicate(timeout=20)
    assert (process.returncode, json.loads(output)["error"], errors) == (130, "interrupted", "\ninterrupted\n")
    assert not list(scratch.iterdir())
    assert not (tmp_path / "output").exists()


@SIGNALS
def test_a_signal_while_the_ledger_is_written_is_an_interruption_too(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "job.yaml").write_text(
        "version: 1\nname: job\nitems: [{id: mug, model: hera-1.0-text-to-image, prompt: Mug}]\n", encoding="utf-8"
    )
    # After the event loop, which had handlers of its own.
    script = (
        "import os, signal, sys, batchgen.session.checks.unchanged as unchanged\n"
        f"unchanged.write_ledger = lambda *_: os.kill(os.getpid(), {int(number)})\n"
        "from batchgen.__main__ import main\nmain()\n"
    )
    with simulator("--speed", 1000, "--media", "tiny") as api:
        ended = subprocess.run(
            [sys.executable, "-c", script, "run", "job.yaml", "--base-url", api.url, *FAST],
            cwd=tmp_path, env=environment(API18_KEY=KEY), capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert (ended.returncode, ended.stderr) == (130, "\ninterrupted\n")
        assert json.loads(ended.stdout)["error"] == "interrupted"
        last = batchgen("run", "job.yaml", "--base-url", api.url, *FAST, cwd=tmp_path)
        assert summary_of(last)["done"] == 1
        books_agree(tmp_path, api)
