"""Reading the API's answers: whatever comes is a job, an error, or unreadable, and never anything else."""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchgen.api import ApiError, Job, JobStatus, Unreadable, read_error, read_job

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=20)
    | st.sampled_from(["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "\ud800", "1e999999999999999999999"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KEYS = (
    "id", "status", "model", "cost_usd", "created_at", "completed_at", "expires_at", "timings", "error", "data",
    "input", "type", "message", "details", "url", "inference_ms",
)  # fmt: skip
JOB_LIKE = st.dictionaries(st.sampled_from(KEYS), ANYTHING | st.dictionaries(st.sampled_from(KEYS), ANYTHING))


def job(**fields: Any) -> Job:
    return read_job(json.dumps({"id": "j1", **fields}).encode())


def raw_job(field: str, literal: str) -> Job:
    return read_job(f'{{"id": "j1", "{field}": {literal}}}'.encode())


def storable(text: str) -> None:
    text.encode("utf-8")


# ---- a job ---------------------------------------------------------------------------------------------------------


def test_a_job_as_the_reference_shows_it() -> None:
    assert job(
        object="generation",
        model="hera-1.0-text-to-image",
        output_kind="image",
        status="completed",
        created_at="2026-01-31T12:00:00Z",
        started_at=None,
        completed_at="2026-01-31T13:00:30.250+01:00",
        expires_at="2026-02-07T12:00:00",
        retention_days=7,
        error=None,
        cost_usd=0.30,
        input={"prompt": "A mug"},
        timings={"inference_ms": 2750},
        urls={"get": "https://api18.dev/v1/jobs/j1"},
        data=[{"url": "https://api18.dev/v1/files/j1"}, {"url": "https://api18.dev/v1/files/j1?n=2"}],
    ) == Job(
        id="j1",
        status=JobStatus.COMPLETED,
        model="hera-1.0-text-to-image",
        cost=Decimal("0.3"),
        created_at=datetime(2026, 1, 31, 12, tzinfo=UTC),
        completed_at=datetime(2026, 1, 31, 12, 0, 30, 250_000, tzinfo=UTC),
        expires_at=datetime(2026, 2, 7, 12, tzinfo=UTC),
        inference_ms=2750,
        error=None,
        outputs=("https://api18.dev/v1/files/j1", "https://api18.dev/v1/files/j1?n=2"),
        input={"prompt": "A mug"},
    )


def test_an_id_alone_is_a_job_under_way() -> None:
    assert job() == Job(id="j1", status=JobStatus.PROCESSING)


@pytest.mark.parametrize(
    ("status", "read"),
    [("failed", JobStatus.FAILED), ("queued", JobStatus.PROCESSING), ("COMPLETED", JobStatus.PROCESSING),
     (None, JobStatus.PROCESSING), (["failed"], JobStatus.PROCESSING), ({}, JobStatus.PROCESSING)],
)  # fmt: skip
def test_only_the_documented_words_are_ends(status: object, read: JobStatus) -> None:
    assert job(status=status).status is read


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"\xff\xfe", b"<html>", b"null", b"[]", b'"j1"', b"{}", b'{"id": 7}', b'{"id": null}', b'{"id": ""}',
        b'{"id": "a b"}', b'{"id": "."}', b'{"id": ".."}', b'{"id": "\\u0000"}', b'{"id": "\xc3\xa9"}',
        b'{"id": "j1"', b"[" * 100_000, b'{"id": "' + b"x" * 257 + b'"}',
    ],
)  # fmt: skip
def test_without_a_usable_id_there_is_no_job(raw: bytes) -> None:
    with pytest.raises(Unreadable):
        read_job(raw)


# ---- money: never a float, never absurd ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("literal", "amount"),
    [("0", "0"), ("0.1", "0.1"), ("0.30", "0.30"), ("1e-3", "0.001"), ("2.5E1", "25"), ('"0.056"', "0.056"),
     ("0.1000000000000000055", None), ("999999999.99", "999999999.99")],
)  # fmt: skip
def test_money_is_read_exactly(literal: str, amount: str | None) -> None:
    cost = raw_job("cost_usd", literal).cost
    assert cost == (None if amount is None else Decimal(amount))
    assert cost is None or isinstance(cost, Decimal)


@pytest.mark.parametrize(
    "literal",
    ["-0.01", "1000000000", "1e9", "1e99999999999999999999", "1e-99999999999999999999", "NaN", "Infinity", "-Infinity",
     "true", "null", "[]", "{}", '"NaN"', '"sNaN"', '"Infinity"', '"1_0"', '" 1 "', '"1e3"', '"-1"', '"\u0661"', '""',
     "9" * 4000],
)  # fmt: skip
def test_what_is_no_price_reads_as_none_and_the_job_stays(literal: str) -> None:
    assert raw_job("cost_usd", literal) == Job(id="j1", status=JobStatus.PROCESSING)


@given(st.decimals(min_value=0, max_value=999_999_999, places=6))
def test_any_price_of_six_places_survives_the_way(amount: Decimal) -> None:
    assert raw_job("cost_usd", format(amount, "f")).cost == amount
    assert raw_job("cost_usd", f'"{amount:f}"').cost == amount


# ---- time ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["", "soon", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-02-30",
     "\ud800", "9" * 5000],
)  # fmt: skip
def test_what_is_no_time_reads_as_none(text: str) -> None:
    assert job(expires_at=text, created_at=text, completed_at=text) == Job(id="j1", status=JobStatus.PROCESSING)


@given(st.datetimes(), st.integers(-14 * 60, 14 * 60))
def test_any_time_reads_as_the_same_moment_in_utc(naive: datetime, offset: int) -> None:
    moment = naive.replace(tzinfo=timezone(timedelta(minutes=offset)))
    read = job(expires_at=moment.isoformat()).expires_at
    if read is not None:
        assert read == moment
        assert read.utcoffset() == timedelta(0)
    else:
        assert moment.year in (1, 9999)


@pytest.mark.parametrize(
    ("literal", "milliseconds"),
    [("1234", 1234), ("1234.9", 1234), ("0", 0), ("-5", None), ("true", None), ('"5"', None), ("1e99", None),
     ("9" * 4000, None), ("NaN", None)],
)  # fmt: skip
def test_durations(literal: str, milliseconds: int | None) -> None:
    assert raw_job("timings", f'{{"inference_ms": {literal}}}').inference_ms == milliseconds


# ---- outputs -------------------------------------------------------------------------------------------------------


def test_outputs_are_the_addresses_as_given_in_order() -> None:
    assert job(data=[{"url": "b"}, {"url": "a", "n": 1}, {"url": "b"}]).outputs == ("b", "a", "b")
    assert job(data=[{"url": 1}, "x", None, {}, {"url": "a"}]).outputs == (None, None, None, None, "a")
    assert job(data=[{"url": None}, {"url": "b"}, {"url": ""}, {"url": "c"}]).outputs == (None, "b", None, "c")


@pytest.mark.parametrize("data", [None, {}, "x", 3, [[]]])
def test_data_of_another_form_is_no_output(data: object) -> None:
    assert not any(job(data=data).outputs)


# ---- errors --------------------------------------------------------------------------------------------------------


def test_an_error_as_the_reference_shows_it_with_its_details() -> None:
    details = [{"path": "duration", "message": "too long"}, {"path": "seed", "message": "not an integer"}]
    raw = json.dumps({"error": {"type": "invalid_request", "message": "no", "details": details}}).encode()
    assert read_error(raw) == ApiError(
        "invalid_request", "no (duration: too long; seed: not an integer)", ("duration", "seed")
    )


@pytest.mark.parametrize("details", [None, "x", {}, [], [1, None, "x"], [{"path": 1, "message": []}], [{}]])
def test_details_of_another_form_are_left_out(details: object) -> None:
    raw = json.dumps({"error": {"type": "t", "message": "m", "details": details}}).encode()
    assert read_error(raw) == ApiError("t", "m")


def test_the_details_are_bounded() -> None:
    details = [{"path": "p", "message": "m"}] * 1000
    raw = json.dumps({"error": {"type": "t", "message": "m", "details": details}}).encode()
    assert read_error(raw).message.count("p: m") == 20


@pytest.mark.parametrize(
    "raw",
    [b"", b"Bad Gateway", b"null", b"[]", b"7", b'{"error": "no"}', b'{"error": null}', b'{"error": {"type": "t"}}',
     b'{"error": {"type": 1, "message": "m"}}', b'{"error": {"type": "t", "message": null}}', b"[" * 100_000],
)  # fmt: skip
def test_another_form_is_unreadable(raw: bytes) -> None:
    with pytest.raises(Unreadable):
        read_error(raw)


# ---- anything at all -----------------------------------------------------------------------------------------------


@given(JOB_LIKE | ANYTHING)
@example({"id": "j1", "error": "\ud800", "model": "\udfff", "data": [{"url": "\ud800"}]})
@example({"error": {"type": "\ud800", "message": "\udfff", "details": [{"path": "\ud800", "message": ""}]}})
def test_any_json_is_read_or_unreadable_and_its_texts_can_be_stored(answer: object) -> None:
    raw = json.dumps(answer).encode()
    try:
        read = read_job(raw)
    except Unreadable:
        pass
    else:
        for text in (read.id, read.model, read.error, *filter(None, read.outputs)):
            storable(text or "")
        assert read.cost is None or (read.cost.is_finite() and 0 <= read.cost < 10**9)
        assert read.inference_ms is None or read.inference_ms >= 0
    try:
        error = read_error(raw)
        for text in (error.type, error.message, *error.paths):
            storable(text)
    except Unreadable:
        pass


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_unreadable(raw: bytes) -> None:
    for read in (read_job, read_error):
        with suppress(Unreadable):
            read(raw)


@pytest.mark.parametrize("depth", range(100, 1100, 50))
def test_nesting_near_the_limit_of_recursion_is_read_or_unreadable(depth: int) -> None:
    nested = b"[" * depth + b"]" * depth
    raw = b'{"id": "j1", "input": {"a": %b}, "error": {"type": "t", "message": "m", "details": [{"path": %b}]}}'
    for read in (read_job, read_error):
        with suppress(Unreadable):
            read(raw % (nested, nested))
