"""`batchgen verify --refetch`: downloads again, buys nothing, destroys nothing."""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.bought import MODEL, Buyer, item, journal_of
from support.kept import keep, png
from support.simulated import IMAGE, KEY, LONG, simulated

from batchgen.api import (
    Accepted,
    Found,
    Job,
    JobStatus,
    Output,
    OutputError,
    OutputMissing,
    OutputRefused,
    PollAnswer,
    SubmitAnswer,
    Unauthorized,
    Unavailable,
    Unknown,
)
from batchgen.cli.runs.verify import command
from batchgen.client.http import HttpApi
from batchgen.core.batching import BatchedCalls
from batchgen.core.credentials import SIMULATED_KEY
from batchgen.core.errors import OutsideError, RunFolderError, UsageError
from batchgen.core.records import StoredFile
from batchgen.journal import SIMULATOR, Journal, own
from batchgen.scheduler.refetch import Difference, RefetchPorts, refetch
from batchgen.session.connection.embedded_simulator import simulator
from batchgen.session.repair.verification import check
from batchgen.store import LocalDisk


@dataclass
class Provider:
    """Answers polls and downloads as it is told; refuses to sell anything."""

    answers: dict[str, list[PollAnswer]] = field(default_factory=dict)
    """By job; the last one stays."""
    files: dict[str, list[bytes | OutputError]] = field(default_factory=dict)
    """By address; the last one stays."""
    polls: list[str] = field(default_factory=list)
    clock_offset: timedelta | None = None

    async def submit(self, body: str, endpoint: str, *, wait: bool) -> SubmitAnswer:
        raise AssertionError("verify bought something")

    async def poll(self, job_id: str) -> PollAnswer:
        self.polls.append(job_id)
        answers = self.answers[job_id]
        return answers.pop(0) if len(answers) > 1 else answers[0]

    @asynccontextmanager
    async def open_output(self, url: str) -> AsyncIterator[Output]:
        found = self.files[url].pop(0) if len(self.files[url]) > 1 else self.files[url][0]
        if isinstance(found, OutputError):
            raise found

        async def chunks() -> AsyncIterator[bytes]:
            yield found

        yield Output(len(found), chunks())

    async def aclose(self) -> None:
        pass


def completed(job_id: str, *urls: str) -> Found:
    return Found(Job(job_id, JobStatus.COMPLETED, outputs=urls))


async def no_sleep(seconds: float) -> None:
    assert 0 <= seconds < 700


async def repaired(
    folder: Path, api: Provider | HttpApi, sleep: Callable[[float], Awaitable[None]] = no_sleep
) -> dict[str, str | bool | None]:
    """By file: True where it was downloaded again, else why not."""
    damaged: list[Difference] = []
    check(folder, quick=False, found=damaged.append)
    async with BatchedCalls("files") as offload:
        with closing(Journal(folder)) as journal:
            store, kinds = LocalDisk(folder), {MODEL: "image"}
            outcomes = await refetch(
                RefetchPorts(api, store, journal, kinds, random.Random(1), offload, sleep=sleep), damaged
            )
    assert [o.row for o in outcomes] == [d.row for d in damaged]
    return {o.row.file.path: o.refetched or o.detail for o in outcomes}


def differing(folder: Path) -> list[str]:
    found: list[Difference] = []
    check(folder, quick=False, found=found.append)
    return [difference.row.file.path for difference in found]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    with journal_of(tmp_path, [item("jar"), item("spin", "Spin")]) as journal:
        buyer = Buyer(journal)
        keep(journal, buyer, tmp_path, "jar", outputs=3)
        keep(journal, buyer, tmp_path, "spin")
    return tmp_path


def whole() -> Provider:
    return Provider(
        {"job-jar-1": [completed("job-jar-1", "u1", "u2", "u3")], "job-spin-1": [completed("job-spin-1", "s1")]},
        {"u1": [png(1)], "u2": [png(2)], "u3": [png(3)], "s1": [png(1)]},
    )


async def test_missing_and_damaged_files_come_back(run: Path) -> None:
    (run / "files" / "jar@1.png").unlink()
    (run / "files" / "jar@3.png").write_bytes(b"retouched by hand")
    (run / "files" / "spin.png").write_bytes(b"")
    provider = whole()
    assert await repaired(run, provider) == {
        "files/jar@1.png": True,
        "files/jar@3.png": True,
        "files/spin.png": True,
    }
    assert provider.polls == ["job-jar-1", "job-spin-1"]
    assert differing(run) == []
    assert (run / "superseded" / "jar@3.png").read_bytes() == b"retouched by hand"
    assert (run / "files" / "jar@3.png").read_bytes() == png(3)
    assert not list(run.rglob("*.part"))


async def test_other_bytes_and_another_format_are_recorded(run: Path) -> None:
    (run / "files" / "spin.png").unlink()
    gif = (
        b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff"
        b",\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
    )
    provider = whole()
    provider.files["s1"] = [gif]
    assert await repaired(run, provider) == {"files/spin.png": True}
    assert differing(run) == []
    assert (run / "files" / "spin.gif").read_bytes() == gif


async def test_a_superseded_file_comes_back_beside_the_one_that_took_its_name(run: Path) -> None:
    journal = Journal(run)
    with journal.transaction():
        journal.move_file("files/spin.png", "superseded/spin.png")
    journal.close()
    (run / "files" / "spin.png").write_bytes(b"the new one")
    assert await repaired(run, whole()) == {"superseded/spin.png": True}
    digest = item("spin", "Spin").digest
    assert (run / "files" / f"spin~{digest[:8]}.png").read_bytes() == png(1)
    assert (run / "files" / "spin.png").read_bytes() == b"the new one"
    assert differing(run) == []


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        ([Unknown("no such job")], "the provider no longer knows its job"),
        ([Found(Job("job-spin-1", JobStatus.COMPLETED))], "the provider does not list it"),
        ([Found(Job("job-spin-1", JobStatus.PROCESSING, outputs=("s1",)))], "the provider does not list it"),
        ([Unavailable("503")], "the API gave no usable answer: 503"),
        ([Unavailable("503"), Unavailable("x", 9.0, reached=False), completed("job-spin-1", "s1")], True),
    ],
)
async def test_what_a_poll_can_say(run: Path, answers: list[PollAnswer], outcome: str | bool) -> None:
    (run / "files" / "spin.png").unlink()
    (run / "files" / "jar@2.png").unlink()
    provider = whole()
    provider.answers["job-spin-1"] = answers
    assert await repaired(run, provider) == {"files/jar@2.png": True, "files/spin.png": outcome}
    assert differing(run) == ([] if outcome is True else ["files/spin.png"])


async def test_retry_after_of_a_download_is_kept(run: Path) -> None:
    (run / "files" / "spin.png").write_bytes(b"half")
    provider = whole()
    provider.files["s1"] = [OutputError("429", 300.0), OutputError("429", 90_000.0), png(1)]
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    assert await repaired(run, provider, sleep) == {"files/spin.png": True}
    first, second = waits
    assert 300 <= first < 301
    assert 600 <= second < 602, "as far as it is obeyed"


@pytest.mark.parametrize(
    ("files", "outcome"),
    [
        ([OutputMissing("404")], "the provider no longer has it"),
        ([b"<html>Sorry</html>"], "the download failed: the file is not an image or video: it begins with '<html>"),
        ([OutputError("reset"), OutputError("reset"), png(1)], True),
        ([OutputError("reset")] * 4, "the download failed: reset"),
    ],
)
async def test_what_a_download_can_be(run: Path, files: list[bytes | OutputError], outcome: str | bool) -> None:
    (run / "files" / "spin.png").write_bytes(b"half")
    provider = whole()
    provider.files["s1"] = files
    result = (await repaired(run, provider))["files/spin.png"]
    if outcome is True:
        assert result is True
    else:
        assert str(result).startswith(str(outcome))
        assert (run / "files" / "spin.png").read_bytes() == b"half"  # nothing is lost for a download that failed


@pytest.mark.parametrize(
    ("answer", "file", "message"),
    [
        (Unauthorized("invalid_api_key", "bad key"), png(1), "refuses the key: check API18_KEY"),
        (Unavailable("connection refused", reached=False), png(1), "cannot be reached: connection refused"),
        (completed("job-spin-1", "s1"), OutputRefused("401"), "refuses the key for a download"),
    ],
)
async def test_trouble_that_concerns_all_ends_it(
    run: Path, answer: PollAnswer, file: bytes | OutputError, message: str
) -> None:
    (run / "files" / "spin.png").unlink()
    provider = whole()
    provider.answers["job-spin-1"], provider.files["s1"] = [answer], [file]
    with pytest.raises(OutsideError, match=message):
        await repaired(run, provider)
    assert differing(run) == ["files/spin.png"]
    assert await repaired(run, whole()) == {"files/spin.png": True}


async def test_with_the_simulator_over_http(tmp_path: Path) -> None:
    async with simulated() as api:
        bought = await api.finished({**IMAGE, "num_images": 2})
        urls = [output["url"] for output in bought["data"]]
        with journal_of(tmp_path, [item("kite")]) as journal:
            buyer = Buyer(journal)
            attempt = journal.accept(buyer.intend("kite"), Job(bought["id"], JobStatus.PROCESSING), b"{}", buyer.tick())
            journal.complete(attempt, Job(bought["id"], JobStatus.COMPLETED, outputs=tuple(urls)), 1, 1, buyer.tick())
            for number, url in enumerate(urls, 1):
                content = (await api.file(url)).raw
                digest = hashlib.sha256(content).hexdigest()
                journal.record_file(attempt, StoredFile(number, f"files/kite@{number}.png", len(content), digest))
        client = HttpApi(api.simulator.url, KEY)
        try:
            assert await repaired(tmp_path, client) == {"files/kite@1.png": True, "files/kite@2.png": True}
            assert differing(tmp_path) == []
            (tmp_path / "files" / "kite@2.png").unlink()
            api.clock.advance(LONG * 100)
            assert await repaired(tmp_path, client) == {"files/kite@2.png": "the provider no longer knows its job"}
        finally:
            await client.aclose()
        assert sum(n for (name, _), n in api.simulator.requests.items() if name.startswith("POST")) == 1


def verified(*arguments: str | Path, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(
        command, ["--refetch", *map(str, arguments)], standalone_mode=False, env={"API18_KEY": None, **(env or {})}
    )


def test_a_whole_run_needs_no_key(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run)  # where no .env is
    assert verified(run).return_value == 0
    (run / "files" / "spin.png").unlink()
    result = verified(run)
    assert isinstance(result.exception, UsageError)
    assert "API18_KEY" in str(result.exception)


def test_another_account_is_refused_before_anything_is_asked(run: Path) -> None:
    (run / "files" / "spin.png").unlink()
    result = verified(run, env={"API18_KEY": KEY})
    assert isinstance(result.exception, RunFolderError)
    assert "--rotated-key" in str(result.exception)
    assert KEY not in str(result.exception)


def test_it_owns_the_folder(run: Path) -> None:
    with own(run, datetime(2026, 1, 1, tzinfo=UTC)):
        result = verified(run)
    assert isinstance(result.exception, RunFolderError)
    assert "in use" in str(result.exception)


async def bought(folder: Path, url: str) -> None:
    """One item, bought from a simulator, with its file on disk."""
    api = HttpApi(url, SIMULATED_KEY.reveal())
    kite = item("kite")
    try:
        answer = await api.submit(kite.body, "/v1/generate", wait=True)
        assert isinstance(answer, Accepted)
        job = answer.job
        while job.status is JobStatus.PROCESSING:
            polled = await api.poll(job.id)
            assert isinstance(polled, Found)
            job = polled.job
        with journal_of(folder, [kite]) as journal:
            journal.note(api=SIMULATOR, account=SIMULATED_KEY.fingerprint)
            buyer = Buyer(journal)
            attempt = journal.accept(buyer.intend("kite"), job, b"{}", buyer.tick())
            journal.complete(attempt, job, 1, 1, buyer.tick())
            async with api.open_output(job.outputs[0]) as output:
                content = b"".join([chunk async for chunk in output.chunks])
            (folder / "files").mkdir()
            (folder / "files" / "kite.png").write_bytes(content)
            journal.record_file(
                attempt, StoredFile(1, "files/kite.png", len(content), hashlib.sha256(content).hexdigest())
            )
    finally:
        await api.aclose()


def test_the_command_repairs_a_simulated_run(tmp_path: Path) -> None:
    with simulator(tmp_path) as url:
        asyncio.run(bought(tmp_path, url))
    whole_file = (tmp_path / "files" / "kite.png").read_bytes()
    (tmp_path / "files" / "kite.png").write_bytes(whole_file[:-1])
    result = verified(tmp_path)
    assert result.return_value == 0, result.exception
    lines = result.stdout.splitlines()
    assert lines[0].startswith("files/kite.png has ")
    assert lines[0].endswith("; downloaded again")
    assert (tmp_path / "files" / "kite.png").read_bytes() == whole_file
    assert hashlib.sha256(whole_file).hexdigest() in (tmp_path / "ledger.csv").read_text(encoding="utf-8")


def fewer(folder: Path) -> None:
    """A purchase of three outputs of which the first came."""
    buyer_items = [item("set", num_images=3)]
    with journal_of(folder, buyer_items) as journal:
        buyer = Buyer(journal)
        attempt = buyer.accept("set")
        job = Job(str(attempt.job_id), JobStatus.COMPLETED, outputs=("u1",))
        journal.complete(attempt, job, 1, 1000, buyer.tick(), ordered=3)
        data = png(1)
        (folder / "files").mkdir()
        (folder / "files/set@1.png").write_bytes(data)
        file = StoredFile(1, "files/set@1.png", len(data), hashlib.sha256(data).hexdigest())
        assert not journal.record_file(attempt, file)
        assert journal.accept_fewer_outputs(attempt, "1 of 3")


async def test_what_never_came_is_brought_where_it_is_there_now(tmp_path: Path) -> None:
    run = tmp_path / "spring"
    fewer(run)
    assert differing(run) == ["files/set@2.*", "files/set@3.*"]
    provider = Provider()
    provider.answers["job-set-1"] = [completed("job-set-1", "u1", "u2")]
    provider.files["u2"] = [png(2)]
    assert await repaired(run, provider) == {"files/set@2.*": True, "files/set@3.*": "the provider does not list it"}
    assert differing(run) == ["files/set@3.*"]
    with closing(Journal(run)) as journal:
        assert journal.fewer_outputs() == 1
    provider.answers["job-set-1"] = [completed("job-set-1", "u1", "u2", "u3")]
    provider.files["u3"] = [b"\0\1\2 of a format to come"]
    assert await repaired(run, provider) == {"files/set@3.*": True}
    assert differing(run) == []
    assert (run / "files/set@3.bin").exists()
    with closing(Journal(run)) as journal:
        assert journal.fewer_outputs() == 0
        assert journal.db.execute("SELECT state, error_type FROM attempt").fetchall() == [("done", None)]
