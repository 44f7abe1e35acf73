"""What travels between worker and coordinator comes back as it was, and what is garbled is refused in one way only."""

from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.engine.wires import absences, files, findings, garbled, is_fit_for_a_journal, jobs, junk, wire, works

from batchgen.api import Job, JobStatus
from batchgen.core.records import StoredFile
from batchgen.engine import codec
from batchgen.engine.codec import UnreadableError, get_bytes, get_money, put_bytes, put_money, reading
from batchgen.journal import Work
from batchgen.journal.delivered import Findings
from batchgen.policy.absence import Absence
from batchgen.policy.echo import foreign

# ---- there and back ----------------------------------------------------------------------------------------------


@given(st.integers(-1, 10**9), works)
def test_an_item_comes_back(position: int, work: Work) -> None:
    assert codec.get_work(wire(codec.put_work(position, work))) == (position, work)


@given(jobs)
def test_a_job_comes_back(job: Job) -> None:
    assert codec.get_job(wire(codec.put_job(job))) == job


def test_of_the_echo_of_a_request_only_what_is_judged_travels() -> None:
    """It may hold pictures of many megabytes. See `batchgen.policy.echo.foreign`."""
    body = '{"model":"hera","prompt":"A mug"}'
    for shown in (
        {"model": "hera", "prompt": "A jug"},
        {"model": "ajax"},
        {"prompt": "A mug", "image": "x" * 10**6},
        None,
    ):
        job = Job("j", JobStatus.PROCESSING, input=shown)
        told = wire(codec.put_job(job))
        assert len(str(told)) < 1000
        assert foreign(body, None, codec.get_job(told).input) == foreign(body, None, shown)


@given(files)
def test_a_file_comes_back(file: StoredFile) -> None:
    assert codec.get_file(wire(codec.put_file(file))) == file


@given(findings)
def test_findings_come_back(found: Findings) -> None:
    assert codec.get_findings(wire(codec.put_findings(found))) == found


@given(absences)
def test_an_absence_comes_back(absence: Absence) -> None:
    assert codec.get_absence(wire(codec.put_absence(absence))) == absence


@given(st.binary(max_size=200))
def test_bytes_come_back(data: bytes) -> None:
    assert get_bytes(wire(put_bytes(data))) == data


def test_everything_about_a_job_and_a_file_travels() -> None:
    """A field that is added to these values is either put into the message, or this says that it is not."""
    assert {f.name for f in fields(Job)} == set(codec.put_job(Job("j", JobStatus.PROCESSING)))
    assert {f.name for f in fields(StoredFile)} == set(codec.put_file(StoredFile(1, "files/a", 1, "0")))


# ---- amounts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("amount", ["0", "0.056", "12345.000000001", "1.50", "0.00"])
def test_money_keeps_its_digits(amount: str) -> None:
    text = put_money(Decimal(amount))
    assert text == amount
    assert str(get_money(wire(text))) == amount


@pytest.mark.parametrize(
    "amount",
    ["NaN", "sNaN", "Infinity", "-Infinity", "-0.01", "1e3", "1e999999999", "1_000", " 1", "", "٣", "9" * 16, 1, 0.5,
     True, [], {}],
)  # fmt: skip
def test_what_is_no_amount_is_refused(amount: Any) -> None:
    with pytest.raises(UnreadableError):
        reading(lambda content: get_money(content["amount"]), {"amount": amount})
    with pytest.raises(UnreadableError):
        reading(codec.get_job, codec.put_job(Job("j", JobStatus.PROCESSING)) | {"cost": amount})


# ---- paths -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["", "files", "/etc/passwd", "files/../receipts.jsonl", "files/./a", "files//a", "files/a/..", "superseded/..",
     "../files/a", "receipts.jsonl", "journal.sqlite3", "workers/a", "files/a\0b", "files/\ud800", "C:/files/a", None,
     5, ["files/a"]],
)  # fmt: skip
def test_paths_that_leave_the_place_of_outputs_are_refused(path: Any) -> None:
    with pytest.raises(UnreadableError):
        reading(codec.get_file, codec.put_file(StoredFile(1, "files/a", 1, "0")) | {"path": path})


@pytest.mark.parametrize("path", ["files/mug.png", "files/a/b@2.png", "superseded/mug.png", "files/..a", "files/ä ö"])
def test_paths_of_outputs_are_taken(path: str) -> None:
    assert codec.get_file(codec.put_file(StoredFile(1, path, 1, "0"))).path == path


# ---- what is garbled ---------------------------------------------------------------------------------------------


def job_values(job: Job) -> list[object]:
    """What of a job a journal may be given; its input is compared and never stored."""
    return [getattr(job, f.name) for f in fields(job) if f.name != "input"]


def work_values(found: tuple[int, Work]) -> list[object]:
    position, work = found
    return [position, work.key, work.attempts, *(getattr(work.item, f.name) for f in fields(work.item))]


READERS: list[tuple[Callable[..., Any], st.SearchStrategy[Any], Callable[[Any], list[object]]]] = [
    (codec.get_work, st.builds(codec.put_work, st.integers(0, 9), works), work_values),
    (codec.get_job, jobs.map(codec.put_job), job_values),
    (codec.get_file, files.map(codec.put_file), lambda f: [f.output, f.path, f.bytes, f.sha256]),
    (
        codec.get_findings,
        findings.map(codec.put_findings),
        lambda found: [found.flags, *(getattr(found.facts, f.name) for f in fields(found.facts))],
    ),
    (codec.get_absence, absences.map(codec.put_absence), lambda absence: [absence.answers, absence.seconds]),
]


@pytest.mark.parametrize(("read", "messages", "values"), READERS, ids=["item", "job", "file", "findings", "absence"])
@given(data=st.data())
def test_what_is_garbled_is_unreadable_or_fit_for_a_journal(
    read: Any, messages: Any, values: Any, data: st.DataObject
) -> None:
    content = wire(data.draw(garbled(data.draw(messages))))
    try:
        found = reading(read, content)
    except UnreadableError:
        return
    assert is_fit_for_a_journal(values(found))


@given(junk)
def test_what_is_no_message_at_all_is_unreadable(content: Any) -> None:
    for read in (codec.get_work, codec.get_job, codec.get_file, codec.get_findings, codec.get_absence):
        with pytest.raises(UnreadableError):
            reading(read, content)


def test_times_are_whole_milliseconds_since_1970() -> None:
    at = datetime(2026, 1, 31, 23, 59, 58, 999000, tzinfo=UTC)
    assert codec.put_time(at) == 1769903998999
    assert codec.get_time(1769903998999) == at
    for value in (10**30, "1769903998999", True, 1.5, [], float("nan")):
        with pytest.raises(UnreadableError):
            reading(lambda content: codec.get_time(content["at"]), {"at": value})
