"""Each fault of the simulator: what it does, what it costs, that trying again helps, and that the seed decides it."""

import math
from decimal import Decimal
from statistics import median
from typing import Any

import aiohttp
import pytest
from support.simulated import IMAGE, LONG, VIDEO, Caller, simulated

from batchgen.catalog import load_catalog
from batchgen.core.errors import UsageError
from batchgen.provider import Dice, Fault, Faults
from batchgen.provider.faults import (
    ADDRESS,
    ANSWER,
    BEFORE,
    DRAWN,
    FETCH,
    FILE,
    INPUT,
    JOB,
    MEANINGS,
    NO_CONNECTION,
    POLL,
)
from batchgen.simulator.fault_rates import FAULTS, parse_faults


async def attempt(api: Caller, body: Any = IMAGE) -> str:
    """What came back for one submission: a status, or that nothing did."""
    try:
        return str((await api.post(body)).status)
    except aiohttp.ClientError as error:
        return type(error).__name__


@pytest.mark.parametrize(
    ("fault", "status", "error"),
    [("unavailable", 502, "generation_unavailable"), ("busy", 429, "rate_limited")],
)
async def test_a_provider_that_says_try_again_charges_nothing(fault: str, status: int, error: str) -> None:
    async with simulated(faults={fault: 1}) as api:
        answer = await api.post(IMAGE)
        assert (answer.status, answer.error) == (status, error)
        assert answer.headers.get("Retry-After") == ("1" if fault == "busy" else None)
        assert (await api.books())["charged"] == "0"
        assert [await attempt(api) for _ in range(3)] == [str(status), str(status), "202"]
        assert (await api.books())["accepted"] == 1


async def test_a_storm_is_a_page_and_charges_nothing() -> None:
    async with simulated(faults={"storm": 1}) as api:
        answer = await api.post(IMAGE)
        assert (answer.status, answer.headers["Content-Type"]) == (500, "text/html; charset=utf-8")
        assert answer.raw.startswith(b"<!doctype html>")
        assert (await api.books())["charged"] == "0"


async def test_a_connection_lost_before_is_reset_and_charges_nothing() -> None:
    async with simulated(faults={"lost_before": 1}) as api:
        with pytest.raises(aiohttp.ClientOSError, match="reset"):
            await api.post(IMAGE)
        assert (await api.books())["charged"] == "0"
        assert [await attempt(api) for _ in range(3)][-1] == "202"


async def test_a_lost_answer_is_charged() -> None:
    async with simulated(faults={"lost_answer": 1}) as api:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await api.post(IMAGE)
        books = await api.books()
        assert (books["charged"], books["accepted"]) == ("0.056", 1)
        assert {c["status"] for c in (await api.books("requests"))["requests"]} == {"closed"}
        assert [await attempt(api) for _ in range(3)] == [*["ServerDisconnectedError"] * 2, "202"]
        assert (await api.books())["duplicates"] == 1


async def test_a_garbled_answer_is_charged_and_names_no_job() -> None:
    async with simulated(faults={"garbled": 1}) as api:
        answer = await api.post(IMAGE)
        assert answer.status == 200
        with pytest.raises(ValueError, match="Unterminated string"):
            _ = answer.json
        row = (await api.books("jobs"))["jobs"][0]
        assert row["id"].encode() not in answer.raw
        assert (await api.books())["charged"] == "0.056"


async def test_a_slow_job_takes_twenty_times_as_long() -> None:
    async def took(**settings: Any) -> int:
        async with simulated(speed=1, **settings) as api:
            return int((await api.finished(IMAGE))["timings"]["inference_ms"])

    assert await took(faults={"slow": 1}) == pytest.approx(20 * await took(), abs=20)


async def test_a_stuck_job_never_ends_but_frees_its_place() -> None:
    async with simulated(faults={"stuck": 1}, capacity=1) as api:
        job = await api.finished(IMAGE)
        assert job["status"] == "processing"
        assert (await api.accepted(VIDEO))["started_at"] is not None
        books = await api.books()
        assert (books["in_progress"], books["refunded"]) == (2, "0")


async def test_a_forgotten_job_is_known_first_and_stays_charged() -> None:
    async with simulated(faults={"forgotten": 1}) as api:
        job = await api.accepted(VIDEO)
        assert (await api.job(job["id"]))["status"] == "processing"
        api.clock.advance(LONG)
        for path in (f"/v1/jobs/{job['id']}", f"/v1/files/{job['id']}"):
            assert (await api.ask("GET", path)).error == "job_not_found"
        assert (await api.books())["net"] == "1.00"


async def test_a_forgotten_stuck_job_is_forgotten_too() -> None:
    async with simulated(faults={"forgotten": 1, "stuck": 1}) as api:
        job = await api.accepted(VIDEO)
        api.clock.advance(4 * 86400)
        assert (await api.ask("GET", f"/v1/jobs/{job['id']}")).status == 404


async def test_an_empty_job_completes_without_outputs() -> None:
    async with simulated(faults={"empty": 1}) as api:
        job = await api.finished(IMAGE)
        assert (job["status"], job["data"]) == ("completed", [])
        assert (await api.ask("GET", f"/v1/files/{job['id']}")).status == 404


async def test_drift_charges_a_tenth_more() -> None:
    async with simulated(faults={"drift": 1}, balance=Decimal("1.05")) as api:
        assert (await api.post(VIDEO)).status == 402
        assert (await api.accepted(IMAGE))["cost_usd"] == Decimal("0.0616")
        assert Decimal((await api.books())["net"]) == Decimal("0.0616")


async def test_a_poll_error_passes() -> None:
    async with simulated(faults={"poll_error": 1}) as api:
        job = await api.accepted(IMAGE)
        statuses = [(await api.ask("GET", f"/v1/jobs/{job['id']}")).status for _ in range(9)]
        assert statuses == [500, 500, 500, 200, 500, 500, 500, 200, 500]


async def test_a_late_file_comes() -> None:
    async with simulated(faults={"late_file": 1}, speed=1) as api:
        job = await api.accepted(IMAGE)
        late = 0
        for _ in range(120):
            api.clock.advance(1)
            shown = await api.job(job["id"])
            answer = await api.ask("GET", f"/v1/files/{job['id']}")
            if answer.status == 302:
                break
            assert (answer.status, answer.error) == (404, "file_not_ready")
            late += shown["status"] == "completed"
        assert 19 <= late <= 20
        assert len(shown["data"]) == 1


async def test_a_file_that_is_gone_stays_gone() -> None:
    async with simulated(faults={"gone": 1}) as api:
        url = (await api.finished(IMAGE))["data"][0]["url"]
        answers = [await api.ask("GET", url) for _ in range(5)]
        assert [(answer.status, answer.error) for answer in answers] == [(410, "file_gone")] * 5


async def test_a_file_that_expires_early_is_gone_where_its_address_was_given_out_too() -> None:
    async with simulated(faults={"file_expired": 1}, url_ttl=10_000, speed=1) as api:
        job = await api.accepted(IMAGE)
        api.clock.advance(1000.0)
        url = (await api.job(job["id"]))["data"][0]["url"]
        signed = await api.signed(url)
        assert (await api.ask("GET", signed, key=None)).status == 200
        api.clock.advance(3600.0)
        assert (await api.ask("GET", signed, key=None)).status == 410
        assert (await api.ask("GET", url)).error == "file_gone"
        assert (await api.job(job["id"]))["status"] == "completed"


async def test_a_page_in_place_of_a_file_passes() -> None:
    async with simulated(faults={"html": 1}) as api:
        url = (await api.finished(IMAGE))["data"][0]["url"]
        files = [await api.file(url) for _ in range(4)]
        assert [file.status for file in files] == [200] * 4
        assert [file.raw.startswith(b"\x89PNG") for file in files] == [False, False, False, True]
        assert files[0].headers["Content-Type"] == "text/html; charset=utf-8"


async def test_a_truncated_file_is_short_with_and_without_a_length() -> None:
    async with simulated(faults={"truncated": 1}) as api:
        seen = set()
        for n in range(12):
            url = (await api.finished({**VIDEO, "prompt": f"waves {n}"}))["data"][0]["url"]
            short = []
            for _ in range(3):
                try:
                    file = await api.file(url)
                    assert "Content-Length" not in file.headers
                    short.append(file.raw)
                    seen.add("close-delimited")
                except aiohttp.ClientPayloadError:
                    seen.add("announced")
            whole = (await api.file(url)).raw
            assert all(half == whole[: len(whole) // 2] for half in short)
        assert seen == {"close-delimited", "announced"}


# ---- the draws ------------------------------------------------------------------------------------------------------


async def outcomes(api: Caller, bodies: list[dict[str, Any]]) -> dict[str, list[tuple[Any, ...]]]:
    """All that the seed decides, by prompt."""
    for body in bodies:
        for _ in range(8):
            if await attempt(api, body) == "202":
                break
    api.clock.advance(LONG)
    seen: dict[str, list[tuple[Any, ...]]] = {body["prompt"]: [] for body in bodies}
    for row in (await api.books("jobs"))["jobs"]:
        body = next(b for b in bodies if b["prompt"] in row["body"])
        answers = [(await api.ask("GET", f"/v1/jobs/{row['id']}")).raw for _ in range(3)]
        took = await _inference(api, row["id"])
        seen[body["prompt"]].append((row["id"], row["state"], row["faults"], row["cost"], took, *map(len, answers)))
    return seen


async def _inference(api: Caller, job_id: str) -> Any:
    for _ in range(4):
        answer = await api.ask("GET", f"/v1/jobs/{job_id}")
        if answer.status == 200:
            return answer.json["timings"]["inference_ms"]
    return answer.status


async def test_outcomes_depend_on_the_seed_and_the_request_alone() -> None:
    faults = {name: 0.08 for name in FAULTS if name not in (*FILE, *DRAWN, *FETCH, *ADDRESS)}
    bodies: list[dict[str, Any]] = [{**(IMAGE, VIDEO)[n % 2], "prompt": f"<{n}> kite"} for n in range(24)]
    results = []
    for order, seed in ((1, 5), (-1, 5), (1, 6)):
        async with simulated(faults=faults, seed=seed) as api:
            results.append(await outcomes(api, bodies[::order]))
    assert results[0] == results[1]
    assert results[0] != results[2]
    assert any(len(jobs) > 1 for jobs in results[0].values())
    assert {name for jobs in results[0].values() for job in jobs for name in job[2]} == set(JOB)


async def test_each_acceptance_of_a_request_draws_anew() -> None:
    async with simulated(faults={"failed": 0.5}) as api:
        jobs = [await api.finished(IMAGE) for _ in range(30)]
        assert {job["status"] for job in jobs} == {"completed", "failed"}
        assert len({job["timings"]["inference_ms"] for job in jobs}) > 20


@pytest.mark.parametrize(
    ("body", "low", "high"),
    [(IMAGE, 8, 15), ({**IMAGE, "resolution": "2k"}, 8, 15), (VIDEO, 60, 180), ({**VIDEO, "duration": 15}, 60, 180)],
)
async def test_durations_spread_around_the_providers(body: dict[str, Any], low: float, high: float) -> None:
    async with simulated(speed=1, balance=Decimal(10_000)) as api:
        times = [(await api.finished(body))["timings"]["inference_ms"] / 1000 for _ in range(80)]
    assert low * 0.85 <= median(times) <= high
    spread = [abs(math.log(float(t) / float(median(times)))) for t in times]
    assert 0.1 < median(spread) < 0.3


def test_rates_are_kept() -> None:
    faults = Faults(Dice(1), {Fault.FAILED: 0.1, Fault.STUCK: 0.02}, strikes=3)
    drawn = [faults.lasting(JOB, f"{n:064x}\n1", now=0.0, subject="") for n in range(5000)]
    assert sum("failed" in job for job in drawn) / 5000 == pytest.approx(0.1, abs=0.015)
    assert sum("stuck" in job for job in drawn) / 5000 == pytest.approx(0.02, abs=0.007)


@pytest.mark.parametrize(("rate", "strikes"), [(1.0, 3), (0.9, 3), (0.6, 1), (1.0, 0)])
def test_no_transient_fault_strikes_more_often_in_a_row_than_allowed(rate: float, strikes: int) -> None:
    faults = Faults(Dice(3), {Fault.BUSY: rate, Fault.STORM: rate / 2}, strikes=strikes)
    row = longest = 0
    for number in range(1, 400):
        row = row + 1 if faults.strike(BEFORE, "a request", number) else 0
        longest = max(longest, row)
    assert longest == strikes


def test_an_outage_has_no_bound() -> None:
    faults = Faults(Dice(0), {Fault.UNAVAILABLE: 1})
    assert {faults.strike(BEFORE, "a request", number) for number in range(1, 100)} == {"unavailable"}


def test_every_fault_has_its_moment() -> None:
    assert {*BEFORE, *INPUT, *ANSWER, *JOB, *POLL, *FILE, *DRAWN, *ADDRESS, *FETCH} == set(MEANINGS) == set(Fault)
    assert {*FAULTS, *NO_CONNECTION} == set(Fault)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("faild=0.1", "did you mean failed"),
        ("zzz=0.1", "the faults are lost_before, storm"),
        ("failed", "NAME=RATE"),
        ("failed=often", "NAME=RATE"),
        ("failed=1.5", "from 0 to 1"),
        ("failed=nan", "from 0 to 1"),
        ("=0.5", "unknown fault"),
    ],
)
def test_a_fault_that_cannot_be_read_is_a_usage_error(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_faults([text])


def test_faults_are_read() -> None:
    assert parse_faults(["failed=0.05", "stuck=1"]) == {"failed": 0.05, "stuck": 1.0}


def test_the_model_tables_have_what_durations_need() -> None:
    for model in load_catalog().models.values():
        assert model.output == "image" or model.parameter("duration") is not None
