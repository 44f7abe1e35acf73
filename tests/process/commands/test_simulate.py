"""`batchgen simulate` as a process: what it prints, how it ends, and what a killed one still knows."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.simulated import IMAGE, KEY

COMMAND = [sys.executable, "-m", "batchgen", "simulate", "--port", "0"]


@contextmanager
def simulate(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and its address; killed at the end where it still runs."""
    with subprocess.Popen(
        [*COMMAND, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            first = process.stdout.readline().rstrip("\n")
            assert first.startswith("http://127.0.0.1:"), process.stderr and process.stderr.read()
            yield process, first
        finally:
            if process.poll() is None:
                process.kill()


def ask(url: str, body: Any = None, key: str = KEY) -> Any:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=60) as answer:  # noqa: S310 - loopback
        return json.loads(answer.read())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly_even_while_someone_waits(number: signal.Signals) -> None:
    with ThreadPoolExecutor(1) as pool, simulate("--speed", "0.01") as (process, url):
        ask(f"{url}/v1/generate", IMAGE)
        waiting = pool.submit(ask, f"{url}/v1/generate?wait=true", IMAGE)
        while ask(f"{url}/_simulator/account")["accepted"] < 2:
            time.sleep(0.02)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)  # the job would take far longer
        assert process.returncode == 0
        assert waiting.result(60)["status"] == "processing"
    assert f"batchgen run MANIFEST --base-url {url}" in errors
    assert "export API18_KEY=api18_" in errors
    assert "Traceback" not in errors


def test_it_ends_with_its_standard_input_and_can_be_quiet() -> None:
    with simulate("--until-stdin-closes", "--quiet") as (process, _):
        assert process.stdin is not None
        process.stdin.write("this says nothing\n")
        process.stdin.flush()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        output, errors = process.communicate(timeout=60)
        assert (process.returncode, output, errors) == (0, "", "")


def test_it_ends_at_once_where_there_is_no_standard_input() -> None:
    done = subprocess.run(
        [*COMMAND, "--until-stdin-closes", "--quiet"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_killed_simulator_knows_every_answer_it_gave(tmp_path: Path) -> None:
    options = ("--state", str(tmp_path / "books.sqlite3"), "--speed", "0.001", "--quiet")
    with simulate(*options) as (process, url):
        jobs = [ask(f"{url}/v1/generate", {**IMAGE, "prompt": f"kite {n}"})["id"] for n in range(25)]
        before = ask(f"{url}/_simulator/account")
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    with simulate(*options) as (_, url):
        assert ask(f"{url}/_simulator/account") == before
        assert [ask(f"{url}/v1/jobs/{job}")["id"] for job in jobs] == jobs
        assert [row["id"] for row in ask(f"{url}/_simulator/jobs")["jobs"]] == jobs


def test_its_options_reach_it() -> None:
    other = "api18_fedcba9876543210"
    options = (
        "--key",
        KEY,
        "--balance",
        "0.10",
        "--promo",
        "3",
        "--retention-days",
        "2",
        "--fault",
        "failed=1",
        "--speed",
        "1e6",
    )
    with simulate(*options, "--capacity", "3", "--wait-budget", "0", "--media", "tiny", "--seed", "9", "--quiet") as (
        _,
        url,
    ):
        with pytest.raises(urllib.error.HTTPError, match="401"):
            ask(f"{url}/v1/generate", IMAGE, key=other)
        job = ask(f"{url}/v1/generate", IMAGE)
        assert job["retention_days"] == 2
        while ask(f"{url}/v1/jobs/{job['id']}")["status"] == "processing":
            time.sleep(0.01)
        books = ask(f"{url}/_simulator/account")
        assert (books["balance"], books["promo"], books["failed"]) == ("0.100", "3", 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--fault", "faild=0.1"], "did you mean failed"),
        (["--fault", "failed"], "NAME=RATE"),
        (["--balance", "1e3"], "amount in USD"),
        (["--balance", "-1"], "amount in USD"),
        (["--speed", "0"], "speed must be larger than 0"),
        (["--key", "secret"], "16 letters or digits"),
        (["--capacity", "0"], "--capacity"),
        (["--media", "none"], "--media"),
        (["--state", os.devnull + "/books"], "state file"),
    ],
)
def test_a_wrong_option_is_a_usage_error(options: list[str], message: str) -> None:
    done = subprocess.run([*COMMAND, *options], capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


def test_missing_encoders_name_the_extra() -> None:
    script = "import sys; sys.modules['av'] = None; from batchgen.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script, "simulate", "--port", "0"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 2
    assert "pip install 'batchgen-api18[sim]'" in done.stderr


def test_the_faults_can_be_listed() -> None:
    from batchgen.simulator.fault_rates import FAULTS

    done = subprocess.run([*COMMAND, "--list-faults"], capture_output=True, text=True, timeout=20, check=True)
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(FAULTS)
