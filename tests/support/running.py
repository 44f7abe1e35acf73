"""The installed command and the simulator as processes, for tests that see batchgen as its users do."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

KEY = "api18_Acceptance000000"
COMMAND = str(Path(sys.executable).parent / "batchgen")
ROOT = Path(__file__).parents[2]
OUR_PROMPTS = ROOT / "tests" / "support" / "prompts.tsv"
REAL_PROMPTS = ROOT.parent / "shared" / "data" / "parti-prompts.tsv"
"""Published prompts, where somebody has put them beside the repository."""
PROMPTS = (
    OUR_PROMPTS,
    pytest.param(
        REAL_PROMPTS,
        marks=pytest.mark.skipif(not REAL_PROMPTS.exists(), reason="no published prompts beside the repository"),
    ),
)


def environment(**more: str) -> dict[str, str]:
    """This process's environment without anything that steers batchgen, and with `more`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BATCHGEN_", "API18_"))}
    return kept | {"NO_COLOR": "1", "BATCHGEN_REGISTER": ""} | more


def batchgen(*arguments: object, cwd: Path, key: str | None = KEY, **more: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    variables = environment(**({"API18_KEY": key} if key else {}), **more)
    return subprocess.run(
        [COMMAND, *map(str, arguments)],
        cwd=cwd, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip


def start(*arguments: object, cwd: Path, **more: str) -> subprocess.Popen[str]:
    """Start a command that the caller ends."""
    return subprocess.Popen(
        [COMMAND, *map(str, arguments)],
        cwd=cwd, env=environment(API18_KEY=KEY, **more), text=True, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


class Simulated:
    """A running simulator, asked over its admin pages."""

    def __init__(self, url: str) -> None:
        self.url = url

    def account(self) -> dict[str, Any]:
        return self._get("account")

    def jobs(self) -> list[dict[str, Any]]:
        return list(self._get("jobs")["jobs"])

    def _get(self, page: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/_simulator/{page}", timeout=30) as answer:  # noqa: S310 - loopback
            return json.loads(answer.read())


@contextmanager
def simulator(*options: object, marked: bool = False) -> Iterator[Simulated]:
    """A simulator of its own process; ended with the block. Unless it is `marked`, its money counts as real."""
    with subprocess.Popen(
        [COMMAND, "simulate", "--port", "0", "--quiet", *([] if marked else ["--unmarked"]), *map(str, options)],
        env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("listening on "), process.stderr and process.stderr.read()
            yield Simulated(line.removeprefix("listening on ").strip())
        finally:
            process.terminate()
            process.wait(timeout=10)


def summary_of(result: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The summary that `run --json` printed."""
    return dict(json.loads(result.stdout))


FAST = ("--poll-min", "0.05", "--poll-max", "0.2", "--yes", "--json", "--quiet")
"""Flags for a run against a simulator at high speed."""
