"""The command line and a simulator, for tests that see batchgen as its users do: in this process, or in their own."""

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Coroutine, Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from batchgen.catalog import load_catalog
from batchgen.cli.boundary import guarded
from batchgen.cli.process import stopping_signals
from batchgen.cli.runs import simulate
from batchgen.simulator import Simulator, SimulatorSettings
from batchgen.simulator.fault_rates import parse_faults

KEY = "api18_Acceptance000000"
COMMAND = str(Path(sys.executable).parent / "batchgen")
_LIMITING = (
    "import os, resource, sys; kind, soft, hard = map(int, sys.argv[1:4]); "
    "resource.setrlimit(kind, (soft, hard)); os.execv(sys.argv[4], sys.argv[4:])"
)
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


def batchgen(
    *arguments: object, cwd: Path, key: str | None = KEY, stdin: str = "", **more: str
) -> subprocess.CompletedProcess[str]:
    """Run one command line to its end in this process, from its parsing to its exit code.

    That spares the start of an interpreter, half a second each; `installed` is for what only a process shows.
    """
    words = [str(argument) for argument in arguments]
    variables = environment(**({"API18_KEY": key} if key else {}), **more)
    output, errors, piped = io.StringIO(), io.StringIO(), io.TextIOWrapper(io.BytesIO(stdin.encode()))
    with (
        chdir(cwd), patch.dict(os.environ, variables, clear=True), patch.object(sys, "stdin", piped),
        handlers_put_back(), redirect_stdout(output), redirect_stderr(errors),
    ):  # fmt: skip
        code = guarded(words)
    return subprocess.CompletedProcess(words, code, output.getvalue(), errors.getvalue())


@contextmanager
def handlers_put_back() -> Iterator[None]:
    """Let a command set the handlers of the signals that stop it, until the block is left."""
    before = {number: signal.getsignal(number) for number in stopping_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def installed(*arguments: object, cwd: Path, key: str | None = KEY, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command to its end, in a process of its own."""
    variables = environment(**({"API18_KEY": key} if key else {}), **more)
    return subprocess.run(
        [COMMAND, *map(str, arguments)],
        cwd=cwd, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip


def limited(resource: int, soft: int, hard: int) -> list[str]:
    """Words before a command's own that set a limit (setrlimit(2)) for it, and for nobody else.

    A program of its own does that: what runs between fork and exec of a process with threads may hang.
    """
    return [sys.executable, "-c", _LIMITING, str(int(resource)), str(soft), str(hard)]


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
    """A simulator in a thread of its own, with options of `batchgen simulate`; ended with the block.

    Unless it is `marked`, its money counts as real.
    """
    settings = simulator_settings(*([] if marked else ["--unmarked"]), *options)

    async def opened() -> Simulator:
        return await Simulator(settings, load_catalog()).__aenter__()

    with loop_in_a_thread() as loop:
        serving = _done(opened(), loop)
        try:
            yield Simulated(serving.url)
        finally:
            _done(serving.__aexit__(), loop)


def simulator_settings(*options: object) -> SimulatorSettings:
    """Return what `batchgen simulate` would make of its options, on any free port."""
    given = simulate.command.make_context("simulate", ["--port", "0", *map(str, options)]).params
    for name in ("list_faults", "quiet", "until_stdin_closes", "catalog"):
        del given[name]
    faults, keys = parse_faults(given.pop("faults")), frozenset(given.pop("keys"))
    return SimulatorSettings(faults=faults, keys=keys, **given)


@contextmanager
def loop_in_a_thread() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop that runs beside the test until the block is left."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        _done(loop.shutdown_default_executor(), loop)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _done(work: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop) -> Any:
    return asyncio.run_coroutine_threadsafe(work, loop).result(timeout=30)


def summary_of(result: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The summary that `run --json` printed."""
    return dict(json.loads(result.stdout))


FAST = ("--poll-min", "0.05", "--poll-max", "0.2", "--yes", "--json", "--quiet")
"""Flags for a run against a simulator at high speed."""
