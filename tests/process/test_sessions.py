"""Sessions as other programs run them: in threads, in event loops, several at once, stopped by their handle."""

import asyncio
import gc
import logging
import os
import resource
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.held import AT_ONCE, HELD, ITEMS
from support.running import KEY, Simulated, simulator

from batchgen.catalog import load_catalog
from batchgen.core.credentials import ApiKey
from batchgen.core.errors import ConsentNeeded, DeclinedError, RunFolderError, UsageError
from batchgen.policy.stopping import Stop
from batchgen.session.connection.account import Access
from batchgen.session.consent import NoConsent, Spending
from batchgen.session.host import Ended, Event, Host, Notice, Planned, Snapshot, Started, StopHandle
from batchgen.session.prepare import prepare
from batchgen.session.request import RunRequest
from batchgen.session.session import CollectSession, RunSession
from batchgen.session.summary import Summary

CAP = {"max_cost": "10"}
QUICK = {"poll_min": "0.05", "poll_max": "0.2"}


@pytest.fixture(scope="module")
def api() -> Iterator[Simulated]:
    with simulator("--speed", 1000, "--media", "tiny") as running:
        yield running


def access(api: Simulated, key: str = KEY) -> Access:
    return Access(find_key=lambda: ApiKey(key), base_url=api.url)


@contextmanager
def session(
    folder: Path, api: Simulated, host: Host | None = None, *, name: str = "job", items: int = 3, **flags: str
) -> Iterator[RunSession]:
    manifest = folder / f"{name}.yaml"
    lines = [f"version: 1\nname: {name}\ndefaults: {{model: hera-1.0-text-to-image}}\nitems:"]
    lines += [f"  - {{id: {name}-{number}, prompt: The {name} number {number}}}" for number in range(items)]
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    request = RunRequest(manifest, {"BATCHGEN_REGISTER": ""}, load_catalog(), flags=QUICK | flags)
    with prepare(request) as prepared:
        yield RunSession(access=access(api), host=host or Host(), prepared=prepared)


def items_of(summary: Summary) -> int:
    return sum(summary.counts.values())


def heard(into: list[Event]) -> Host:
    return Host(listen=into.append)


# ---- where it runs --------------------------------------------------------------------------------------------------


def test_in_another_thread(tmp_path: Path, api: Simulated) -> None:
    events: list[Event] = []
    with session(tmp_path, api, heard(events), **CAP) as job, ThreadPoolExecutor(1) as pool:
        summary = pool.submit(job.run).result()
    assert (summary.exit_code, items_of(summary), summary.stop) == (0, 3, None)
    told = [type(event) for event in events]
    assert told[:2] == [Planned, Started]
    assert told[-2:] == [Snapshot, Ended]
    last = events[-2]
    assert isinstance(last, Snapshot)
    assert (last.items, last.done, last.in_flight) == (3, 3, 0)


async def test_beside_a_running_loop(tmp_path: Path, api: Simulated) -> None:
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(turn())
    with session(tmp_path, api, **CAP) as job:
        summary = await job.run_async()
    other.cancel()
    assert summary.exit_code == 0
    assert turns > 100, "the loop went on meanwhile"


async def test_called_from_within_a_running_loop(tmp_path: Path, api: Simulated) -> None:
    with session(tmp_path, api, **CAP) as job:
        assert job.run().exit_code == 0


async def test_two_at_once_keep_their_books_and_logs_apart(tmp_path: Path, api: Simulated) -> None:
    """The second one starts while the first runs, and ends after it."""
    begun = threading.Event()

    def listen(event: Event) -> None:
        if isinstance(event, Started):
            begun.set()

    names = ("mug", "jug")
    with (
        session(tmp_path, api, Host(listen=listen), name="mug", items=20, **CAP) as first,
        session(tmp_path, api, name="jug", items=40, **CAP) as second,
    ):
        one = asyncio.create_task(first.run_async())
        await asyncio.to_thread(begun.wait, 30)
        two = asyncio.create_task(second.run_async())
        summaries = (await one, await two)
    assert [(summary.exit_code, items_of(summary)) for summary in summaries] == [(0, 20), (0, 40)]
    for name, summary, other in zip(names, summaries, reversed(names), strict=True):
        log = (summary.folder / "batchgen.log").read_text(encoding="utf-8")
        assert log.count(f"{name}-0 was accepted") == 1
        assert f"{other}-" not in log
        assert "finished with exit code 0" in log, "whoever ends first takes no level away from the other"


async def test_one_folder_is_for_one_session(tmp_path: Path, api: Simulated) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def hold(event: Event) -> None:
        if isinstance(event, Planned):
            begun.set()
            go_on.wait(30)

    with session(tmp_path, api, Host(listen=hold), **CAP) as first, session(tmp_path, api, **CAP) as second:
        one = asyncio.create_task(first.run_async())
        await asyncio.to_thread(begun.wait, 30)
        with pytest.raises(RunFolderError, match="in use by another batchgen"):
            await second.run_async()
        go_on.set()
        assert (await one).exit_code == 0


def test_what_is_paid_for_is_collected_in_a_thread(tmp_path: Path, api: Simulated) -> None:
    with session(tmp_path, api, **CAP) as job:
        folder = job.run().folder
    collect = CollectSession(access=access(api), folder=folder, catalog=load_catalog(), environment={})
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(collect.run).result().exit_code == 0


def test_what_was_unusual_about_the_folder_is_told_although_no_key_is_found(tmp_path: Path, api: Simulated) -> None:
    """The opening repairs it, so that no later session would find it any more."""

    def no_key() -> ApiKey:
        raise UsageError("no API key")

    with session(tmp_path, api, **CAP) as job:
        folder = job.run().folder
    without_key, events = Access(find_key=no_key, base_url=api.url), list[Event]()
    collect = CollectSession(
        access=without_key, host=heard(events), folder=folder, catalog=load_catalog(), environment={}
    )
    with session(tmp_path, api, heard(events), **CAP) as job:
        for again in (collect, replace(job, access=without_key)):
            events.clear()
            (folder / "receipts.jsonl").unlink()
            with pytest.raises(UsageError, match="no API key"):
                again.run()
            assert [event.text for event in events if isinstance(event, Notice)] == [
                "receipts.jsonl was missing; it was rewritten from the journal"
            ]


def test_a_simulated_run_in_a_thread_asks_for_no_key(tmp_path: Path) -> None:
    def no_key() -> ApiKey:
        raise AssertionError("a key was asked for")

    (tmp_path / "job.yaml").write_text(
        "version: 1\nname: job\nitems: [{id: mug, model: hera-1.0-text-to-image, prompt: Mug}]\n", encoding="utf-8"
    )
    request = RunRequest(tmp_path / "job.yaml", {"BATCHGEN_REGISTER": ""}, load_catalog(), simulate=True, flags=QUICK)
    with prepare(request) as prepared, ThreadPoolExecutor(1) as pool:
        summary = pool.submit(RunSession(access=Access(find_key=no_key), prepared=prepared).run).result()
    assert (summary.exit_code, summary.simulated, summary.run) == (0, True, "job.simulated")


def state_of_the_process() -> dict[str, Any]:
    log = logging.getLogger("batchgen")
    return {
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)],
        "collections": (gc.get_threshold(), gc.get_freeze_count()),
        "descriptors": resource.getrlimit(resource.RLIMIT_NOFILE),
        "log": (log.level, log.propagate, list(log.handlers)),
        "threads": threading.active_count(),
    }


def test_the_process_is_left_as_it_was_and_stays_so_meanwhile(
    tmp_path: Path, api: Simulated, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    meanwhile: list[dict[str, Any]] = []

    def listen(event: Event) -> None:
        if isinstance(event, Snapshot):
            meanwhile.append(state_of_the_process())

    before = state_of_the_process()
    with session(tmp_path, api, Host(listen=listen), **CAP) as job, ThreadPoolExecutor(1) as pool:
        pool.submit(job.run).result()
    assert state_of_the_process() == before
    assert meanwhile
    for name in ("signals", "collections", "descriptors"):
        assert [state[name] for state in meanwhile] == [before[name]] * len(meanwhile)
    assert capfd.readouterr() == ("", "")
    assert not caplog.records, "a program that hears warnings only hears no more than these"


def test_a_program_hears_the_log_as_it_asked_to(
    tmp_path: Path, api: Simulated, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with session(tmp_path, api, **CAP) as job:
        job.run()
    assert "job-0 was accepted" in caplog.text


# ---- stopping it ----------------------------------------------------------------------------------------------------


@contextmanager
def held(folder: Path, host: Host) -> Iterator[tuple[RunSession, Simulated]]:
    """A session whose POSTs stay open for a second each, and its API."""
    with (
        simulator(*HELD) as api,
        session(folder, api, host, items=ITEMS, submit="wait", concurrency=str(AT_ONCE), **CAP) as job,
    ):
        yield job, api


def when_under_way(api: Simulated, act: Callable[[], None]) -> None:
    """Do something once as many POSTs are under way as may be."""
    while api.account()["accepted"] < AT_ONCE:
        pass
    act()


def bought_once(api: Simulated) -> None:
    assert max(Counter(job["body"] for job in api.jobs()).values()) == 1


def test_a_stop_from_another_thread_waits_for_the_answers(tmp_path: Path) -> None:
    stop = StopHandle()
    with held(tmp_path, Host(stop=stop)) as (job, api):
        with ThreadPoolExecutor(1) as pool:
            stopping = pool.submit(when_under_way, api, stop.stop)
            summary = job.run()
            stopping.result()
        assert (summary.stop, summary.exit_code) == (Stop.INTERRUPTED, 130)
        assert (summary.in_flight, summary.totals.in_doubt) == (AT_ONCE, 0)
        assert summary.totals.charged == Decimal(api.account()["net"])
        assert len(api.jobs()) == AT_ONCE, "nothing is bought after it"
        log = (summary.folder / "batchgen.log").read_text(encoding="utf-8")
        assert "stopping (interrupted)" in log, "the run's log hears of it, whichever thread stops"


def test_a_stop_at_once_leaves_doubts_that_are_not_bought_again(tmp_path: Path) -> None:
    stop = StopHandle()
    with held(tmp_path, Host(stop=stop)) as (job, api):
        with ThreadPoolExecutor(1) as pool:
            stopping = pool.submit(when_under_way, api, stop.stop_now)
            summary = job.run()
            stopping.result()
        assert (summary.stop, summary.exit_code) == (Stop.INTERRUPTED, 130)
        net = Decimal(api.account()["net"])
        assert summary.totals.charged <= net <= summary.totals.charged + summary.totals.in_doubt
        assert summary.totals.in_doubt > 0
        with session(tmp_path, api, items=ITEMS, **CAP) as again:
            assert again.run().exit_code == 4
        bought_once(api)


def test_a_stop_before_it_runs_buys_nothing(tmp_path: Path, api: Simulated) -> None:
    stop, before = StopHandle(), len(api.jobs())
    stop.stop()
    with session(tmp_path, api, Host(stop=stop), **CAP) as job:
        summary = job.run()
    assert (summary.stop, summary.exit_code, len(api.jobs())) == (Stop.INTERRUPTED, 130, before)


async def test_a_cancellation_is_a_stop_and_what_was_bought_is_recorded(tmp_path: Path) -> None:
    with held(tmp_path, Host()) as (job, api):
        running = asyncio.create_task(job.run_async())
        await asyncio.to_thread(when_under_way, api, lambda: None)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert len(api.jobs()) == AT_ONCE, "nothing is bought after it"
        with session(tmp_path, api, items=ITEMS, **CAP) as again:
            summary = again.run()
        assert (summary.exit_code, summary.totals.in_doubt) == (0, 0)
        bought_once(api)


def test_ctrl_c_in_a_program_without_handlers_is_a_stop_too(tmp_path: Path) -> None:
    """Python's own event loop cancels what it runs, and raises KeyboardInterrupt once that has ended."""
    with held(tmp_path, Host()) as (job, api):
        with ThreadPoolExecutor(1) as pool:
            pressing = pool.submit(when_under_way, api, lambda: os.kill(os.getpid(), signal.SIGINT))
            with pytest.raises(KeyboardInterrupt):
                job.run()
            pressing.result()
        assert len(api.jobs()) == AT_ONCE, "nothing is bought after it"
        with session(tmp_path, api, items=ITEMS, **CAP) as again:
            summary = again.run()
        assert (summary.exit_code, summary.totals.in_doubt) == (0, 0)
        bought_once(api)


# ---- what it asks ---------------------------------------------------------------------------------------------------


class Asked(NoConsent):
    """Answers about spending."""

    def __init__(self, answer: bool) -> None:
        self.answer = answer
        self.questions: list[Spending] = []

    def spend(self, question: Spending) -> bool:
        self.questions.append(question)
        return self.answer


def test_real_money_without_a_cap_needs_a_confirmation(tmp_path: Path, api: Simulated) -> None:
    before = len(api.jobs())
    with session(tmp_path, api) as job, pytest.raises(ConsentNeeded, match="no max_cost or budget is set"):
        job.run()
    no, yes = Asked(answer=False), Asked(answer=True)
    with session(tmp_path, api, Host(consent=no)) as job, pytest.raises(DeclinedError):
        job.run()
    assert not (tmp_path / "output" / "job").exists()
    assert len(api.jobs()) == before
    with session(tmp_path, api, Host(consent=yes)) as job:
        assert job.run().exit_code == 0
    assert [(question.capped, question.edited) for question in yes.questions] == [(False, ())]
