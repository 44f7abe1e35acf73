"""Streams whose reader is gone, that were never open, or whose terminal was closed: none of them changes a run."""

import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.held import AT_ONCE, HELD, ITEMS
from support.running import COMMAND, KEY, Simulated, environment, simulator

QUICK = ("--poll-min", "0.05", "--poll-max", "0.2", "--yes")


@pytest.fixture(scope="module")
def api() -> Iterator[Simulated]:
    with simulator("--speed", 1000, "--media", "tiny") as running:
        yield running


@pytest.fixture
def held() -> Iterator[Simulated]:
    with simulator(*HELD) as running:
        yield running


def command_for(folder: Path, url: str, *more: str, submit: str = "poll") -> list[str]:
    items = ", ".join(f"{{id: mug-{number}, prompt: Mug number {number}}}" for number in range(ITEMS))
    (folder / "job.yaml").write_text(
        f"version: 1\nname: job\nrun: {{submit: {submit}}}\ndefaults: {{model: hera-1.0-text-to-image}}\n"
        f"items: [{items}]\n",
        encoding="utf-8",
    )
    return [COMMAND, "run", "job.yaml", "--base-url", url, "--concurrency", str(AT_ONCE), *QUICK, *more]


def started(command: list[str], folder: Path, stdout: int, stderr: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        command, cwd=folder, env=environment(API18_KEY=KEY), start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
    )  # fmt: skip


def summary_in(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "output" / "job" / "summary.json").read_text(encoding="utf-8")))


def ended_well(folder: Path) -> None:
    summary = summary_in(folder)
    assert (summary["done"], summary["exit_code"]) == (ITEMS, 0)
    ledger = (folder / "output" / "job" / "ledger.csv").read_text(encoding="utf-8")
    assert len(ledger.splitlines()) == 1 + ITEMS


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_obeyed_though_nobody_reads_what_is_said_of_it(
    tmp_path: Path, held: Simulated, number: signal.Signals
) -> None:
    reader, writer = os.pipe()
    process = started(command_for(tmp_path, held.url, submit="wait"), tmp_path, subprocess.DEVNULL, writer)
    os.close(writer)
    while held.account()["accepted"] < AT_ONCE and process.poll() is None:
        time.sleep(0.01)
    os.close(reader)
    process.send_signal(number)
    assert process.wait(timeout=20) == 130
    assert len(held.jobs()) == AT_ONCE, "nothing is bought after the signal"
    assert summary_in(tmp_path)["stopped_because"] == "interrupted"


def test_a_reader_of_both_streams_that_goes_away_changes_nothing(tmp_path: Path, api: Simulated) -> None:
    reader, writer = os.pipe()
    process = started(command_for(tmp_path, api.url), tmp_path, writer, writer)
    os.close(writer)
    assert os.read(reader, 1)
    os.close(reader)
    assert process.wait(timeout=60) == 0
    ended_well(tmp_path)


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_streams_that_were_never_open_change_nothing(tmp_path: Path, api: Simulated, closed: str) -> None:
    command = command_for(tmp_path, api.url, "--json")
    ended = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *command],
        cwd=tmp_path, env=environment(API18_KEY=KEY), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stderr.count("bug")) == (0, 0), ended.stderr
    if closed == "2>&-":
        assert json.loads(ended.stdout) == summary_in(tmp_path)
    ended_well(tmp_path)


@pytest.mark.parametrize(
    ("words", "closed", "code"), [("--help", ">&-", 0), ("models", ">&-", 0), ("nonsense", "2>&-", 2)]
)
def test_commands_end_as_they_would_without_a_stream(tmp_path: Path, words: str, closed: str, code: int) -> None:
    shell = ["sh", "-c", f'exec "$@" {closed}', "sh", COMMAND, words]
    assert subprocess.run(shell, cwd=tmp_path, capture_output=True, timeout=60, check=False).returncode == code


def test_a_terminal_that_was_closed_takes_nothing_from_a_good_run(tmp_path: Path, api: Simulated) -> None:
    terminal, line = pty.openpty()
    process = started(command_for(tmp_path, api.url), tmp_path, line, line)
    os.close(line)
    assert os.read(terminal, 1)
    os.close(terminal)
    assert process.wait(timeout=60) == 0
    ended_well(tmp_path)


def test_a_hangup_that_is_ignored_from_the_start_ends_nothing(tmp_path: Path, held: Simulated) -> None:
    command = ["sh", "-c", "trap '' HUP; exec \"$@\"", "sh", *command_for(tmp_path, held.url, submit="wait")]
    process = started(command, tmp_path, subprocess.DEVNULL, subprocess.DEVNULL)
    while held.account()["accepted"] < AT_ONCE and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=60) == 0
    ended_well(tmp_path)


def test_the_simulator_ends_in_order_at_a_hangup_whose_stderr_is_gone(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    process = started([COMMAND, "simulate", "--port", "0"], tmp_path, subprocess.PIPE, writer)
    os.close(writer)
    os.close(reader)
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b"http://127.0.0.1:")
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=20) == 0
    process.stdout.close()
