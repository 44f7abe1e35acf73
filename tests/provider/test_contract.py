"""One provider, two front ends: what a client is told is the same over HTTP and in memory, fault by fault."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.simulated import Clock

from batchgen.api import (
    Accepted,
    Api,
    Busy,
    Found,
    JobStatus,
    NoBalance,
    NotSent,
    OutputError,
    OutputGone,
    OutputMissing,
    OutputRefused,
    Rejected,
    Unauthorized,
    Unavailable,
    Unclear,
    Unknown,
)
from batchgen.catalog import load_catalog, price_of
from batchgen.client.http import HttpApi
from batchgen.core.digest import canonical_json, digest_of, filled, output_of
from batchgen.judging.checks import Expect, Ordered, flags_of
from batchgen.judging.look import distance, look_at
from batchgen.media import Damaged, Unfamiliar, inspect
from batchgen.provider import Books, Fault, Faults, Naming
from batchgen.provider.faults import NO_CONNECTION
from batchgen.simulator import Simulator, SimulatorSettings
from batchgen.virtual import FaultPlan, MemoryApi, Offer, VirtualClock, VirtualProvider

KEY = "api18_0123456789abcdef"
MODEL = "hera-1.0-text-to-image"
EDIT = "hera-1.0-image-edit"
CATALOG = load_catalog()
LONG = 100_000.0
"""Seconds in which any job that ends has ended."""


def body(prompt: str = "A red kite", outputs: int = 1) -> str:
    return canonical_json({"model": MODEL, "prompt": prompt, "num_images": outputs})


PRICE = price_of(CATALOG.models[MODEL], json.loads(body()))
PRICE_OF_THREE = price_of(CATALOG.models[MODEL], json.loads(body(outputs=3)))


@dataclass(frozen=True)
class Front:
    """A provider behind one of its front ends, with a clock that a test moves."""

    api: Api
    books: Books
    faults: Faults
    advance: Callable[[float], None]
    forget_files: Callable[[], None]
    now: Callable[[], float]

    async def bought(self, text: str | None = None) -> str:
        """The id of a job that was just accepted."""
        answer = await self.api.submit(text or body(), "/v1/generate", wait=False)
        assert isinstance(answer, Accepted), answer
        return answer.job.id

    async def asked(self, job_id: str) -> Any:
        answer = await self.api.poll(job_id)
        assert isinstance(answer, Found), answer
        return answer.job

    async def finished(self, text: str | None = None) -> Any:
        job_id = await self.bought(text)
        self.advance(LONG)
        return await self.asked(job_id)

    async def content(self, url: str) -> bytes:
        async with self.api.open_output(url) as output:
            data = b"".join([chunk async for chunk in output.chunks])
        if output.length is not None and output.length != len(data):
            raise OutputError("cut short")
        return data


@asynccontextmanager
async def http(rates: Mapping[Fault, float], **how: Any) -> AsyncIterator[Front]:
    clock = Clock()
    given = {fault.value: rate for fault, rate in rates.items()}
    settings = SimulatorSettings(**({"faults": given, "media": "tiny", "speed": 1.0, "strikes": None} | how))
    async with Simulator(settings, CATALOG, clock) as simulator:
        api = HttpApi(simulator.url, KEY)
        try:
            yield Front(
                api, simulator.books, simulator._faults, clock.advance, simulator._provider.forget_files,
                lambda: clock().timestamp(),
            )  # fmt: skip
        finally:
            await api.aclose()


@asynccontextmanager
async def memory(rates: Mapping[Fault, float], **how: Any) -> AsyncIterator[Front]:
    clock = VirtualClock()
    prices = {MODEL: how.pop("price", PRICE)}
    offer = Offer(prices=prices, latency=(0.0, 0.0), machines=how.pop("capacity", None))
    provider = VirtualProvider(clock, plan=FaultPlan(dict(rates)), offer=offer)
    yield Front(
        MemoryApi(provider, "key", clock.utc_now), provider.books, provider.faults, clock.advance,
        provider.core.forget_files, lambda: clock.seconds,
    )  # fmt: skip


FRONTS = {"http": http, "memory": memory}


@pytest.fixture(params=FRONTS)
def front(request: pytest.FixtureRequest) -> Any:
    return FRONTS[request.param]


# ---- nothing goes wrong ----------------------------------------------------------------------------------------------


async def test_a_job_is_accepted_charged_worked_on_and_delivered(front: Any) -> None:
    async with front({}) as it:
        answer = await it.api.submit(body(), "/v1/generate", wait=False)
        assert isinstance(answer, Accepted)
        assert (answer.job.status, answer.job.cost, answer.job.outputs) == (JobStatus.PROCESSING, PRICE, ())
        assert answer.job.input == json.loads(body())
        assert it.books.net(it.now()) == PRICE
        job = await it.asked(answer.job.id)
        assert (job.status, job.started_at, job.completed_at) == (JobStatus.PROCESSING, job.created_at, None)
        it.advance(LONG)
        job = await it.asked(answer.job.id)
        assert (job.status, job.cost, len(job.outputs)) == (JobStatus.COMPLETED, PRICE, 1)
        assert job.completed_at > job.started_at
        assert len(await it.content(job.outputs[0])) > 0


async def test_the_same_request_twice_is_two_jobs_and_two_charges(front: Any) -> None:
    async with front({}) as it:
        assert await it.bought() != await it.bought()
        totals = it.books.totals(it.now())
        assert (totals.accepted, totals.charged, totals.duplicates) == (2, 2 * PRICE, 1)


async def test_jobs_and_files_are_forgotten_once_they_expire(front: Any) -> None:
    async with front({}) as it:
        job = await it.finished()
        it.advance(8 * 86400.0)
        assert isinstance(await it.api.poll(job.id), Unknown)
        with pytest.raises(OutputMissing):
            await it.content(job.outputs[0])


async def test_an_unknown_job_is_unknown(front: Any) -> None:
    async with front({}) as it:
        assert isinstance(await it.api.poll("no-such-job"), Unknown)


async def test_jobs_beyond_the_capacity_wait_for_a_place(front: Any) -> None:
    async with front({}, capacity=1) as it:
        first, second = await it.bought(body("one")), await it.bought(body("two"))
        assert (await it.asked(first)).started_at is not None
        assert (await it.asked(second)).started_at is None
        it.advance(LONG)
        one, two = await it.asked(first), await it.asked(second)
        assert abs((two.started_at - one.completed_at).total_seconds()) < 0.002


# ---- faults ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault.LOST_BEFORE, Unclear),
        (Fault.STORM, Unclear),
        (Fault.UNAVAILABLE, Busy),
        (Fault.BUSY, Busy),
        (Fault.REJECTED, Rejected),
        (Fault.UNAUTHORIZED, Unauthorized),
        (Fault.NO_BALANCE, NoBalance),
        (Fault.NOT_SENT, NotSent),
    ],
)
async def test_what_strikes_before_the_charge_charges_nothing(front: Any, fault: Fault, kind: type) -> None:
    if front is http and fault in NO_CONNECTION:
        pytest.skip("a server never hears of it")
    async with front({fault: 1}) as it:
        answer = await it.api.submit(body(), "/v1/generate", wait=False)
        assert type(answer) is kind
        assert it.books.net(it.now()) == 0
        if isinstance(answer, Busy):
            assert (answer.retry_after is not None) == (fault is Fault.BUSY)
        assert it.faults.struck[fault] == 1


@pytest.mark.parametrize("fault", [Fault.LOST_ANSWER, Fault.GARBLED])
async def test_an_answer_without_a_job_is_charged(front: Any, fault: Fault) -> None:
    async with front({fault: 1}) as it:
        assert type(await it.api.submit(body(), "/v1/generate", wait=False)) is Unclear
        assert it.books.net(it.now()) == PRICE


@pytest.mark.parametrize(
    ("fault", "cost"),
    [
        (Fault.BARE_ANSWER, None),
        (Fault.COST_MISSING, None),
        (Fault.COST_LOW, PRICE / 2),
        (Fault.DRIFT, PRICE * 11 / 10),
    ],
)
async def test_what_an_answer_names_as_the_price(front: Any, fault: Fault, cost: Decimal | None) -> None:
    async with front({fault: 1}) as it:
        answer = await it.api.submit(body(), "/v1/generate", wait=False)
        assert isinstance(answer, Accepted)
        assert answer.job.cost == cost
        charged = PRICE * 11 / 10 if fault is Fault.DRIFT else PRICE
        assert (await it.asked(answer.job.id)).cost == charged == it.books.net(it.now())


@pytest.mark.parametrize(
    ("rates", "naming"),
    [({Fault.COST_MISSING: 1.0}, Naming()), ({Fault.BARE_ANSWER: 1.0}, Naming()), ({}, Naming(posted={MODEL: None}))],
    ids=["by a fault", "with an id only", "always"],
)
def test_an_answer_that_names_no_price_names_none_for_a_finished_job_either(
    rates: Mapping[Fault, float], naming: Naming
) -> None:
    clock = VirtualClock()
    provider = VirtualProvider(clock, plan=FaultPlan(rates), offer=Offer(prices={MODEL: PRICE}, naming=naming))
    accepted = provider.accept(body(), "key")
    assert provider.core.price_at_post(accepted, clock.seconds) is None
    clock.advance(LONG)
    assert accepted.job.status(clock.seconds) == "completed"
    assert provider.core.price_at_post(accepted, clock.seconds) is None
    assert provider.core.price(accepted.job, clock.seconds) == PRICE


async def test_a_download_in_memory_is_cut_short_in_every_way_that_a_client_can_meet() -> None:
    met = set()
    async with memory({Fault.TRUNCATED: 1}) as it:
        job = await it.finished()
        for _ in range(40):
            async with it.api.open_output(job.outputs[0]) as output:
                arrived = [await anext(output.chunks)]
                try:
                    arrived += [chunk async for chunk in output.chunks]
                except OutputError:
                    met.add("reset")
                else:
                    met.add("unannounced" if output.length is None else "short")
            assert len(arrived) == 1
    assert met == {"unannounced", "short", "reset"}


async def test_a_foreign_answer_shows_another_request(front: Any) -> None:
    async with front({Fault.FOREIGN_ANSWER: 1}) as it:
        answer = await it.api.submit(body(), "/v1/generate", wait=False)
        assert isinstance(answer, Accepted)
        assert answer.job.input["prompt"] != "A red kite"
        assert answer.job.id not in it.books.jobs
        assert isinstance(await it.api.poll(answer.job.id), Unknown)
        assert it.books.net(it.now()) == PRICE


async def test_an_answer_with_the_same_id_names_a_job_that_was_asked_for(front: Any) -> None:
    async with front({Fault.SAME_ID: 1}) as it:
        first = await it.bought(body("one"))
        assert first in it.books.jobs
        await it.asked(first)
        assert await it.bought(body("two")) == first
        assert it.books.net(it.now()) == 2 * PRICE


async def test_a_failed_job_is_refunded(front: Any) -> None:
    async with front({Fault.FAILED: 1}) as it:
        job_id = await it.bought()
        assert it.books.net(it.now()) == PRICE
        it.advance(LONG)
        job = await it.asked(job_id)
        assert (job.status, job.outputs) == (JobStatus.FAILED, ())
        assert job.error
        assert it.books.net(it.now()) == 0


async def test_a_slow_job_takes_twenty_times_as_long(front: Any) -> None:
    async def took(rates: Mapping[Fault, float]) -> float:
        async with front(rates) as it:
            job = await it.finished()
            return float((job.completed_at - job.started_at).total_seconds())

    assert await took({Fault.SLOW: 1}) == pytest.approx(20 * await took({}), abs=0.05)


async def test_a_stuck_job_never_ends(front: Any) -> None:
    async with front({Fault.STUCK: 1}) as it:
        assert (await it.finished()).status is JobStatus.PROCESSING
        assert it.books.net(it.now()) == PRICE


async def test_a_forgotten_job_is_known_at_first_and_stays_charged(front: Any) -> None:
    async with front({Fault.FORGOTTEN: 1}) as it:
        job_id = await it.bought()
        assert (await it.asked(job_id)).status is JobStatus.PROCESSING
        it.advance(LONG)
        assert isinstance(await it.api.poll(job_id), Unknown)
        assert it.books.net(it.now()) == PRICE


@pytest.mark.parametrize(
    ("fault", "at_first", "in_the_end"),
    [
        (Fault.EMPTY, "", ""),
        (Fault.OUTPUTS_LATE, "", "xxx"),
        (Fault.OUTPUTS_ONE_BY_ONE, "x", "xxx"),
        (Fault.FEWER_OUTPUTS, "xx", "xx"),
        (Fault.FIRST_OUTPUT_MISSING, "-xx", "-xx"),
        (Fault.MORE_OUTPUTS, "xxxx", "xxxx"),
    ],
)
async def test_which_outputs_are_listed(front: Any, fault: Fault, at_first: str, in_the_end: str) -> None:
    def shape(job: Any) -> str:
        return "".join("-" if url is None else "x" for url in job.outputs)

    async with front({fault: 1}, **({"price": PRICE_OF_THREE} if front is memory else {})) as it:
        job_id = await it.bought(body(outputs=3))
        ends = it.books.jobs[job_id].ends_at
        it.advance(ends - it.now() + 0.1)
        assert shape(await it.asked(job_id)) == at_first
        it.advance(60.0)
        job = await it.asked(job_id)
        assert shape(job) == in_the_end
        for url in job.outputs:
            if url is not None:
                await it.content(url)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault.POLL_ERROR, Unavailable),
        (Fault.POLL_LIMITED, Unavailable),
        (Fault.POLL_UNREACHED, Unavailable),
        (Fault.POLL_UNKNOWN, Unknown),
    ],
)
async def test_polls_that_find_no_job(front: Any, fault: Fault, kind: type) -> None:
    if front is http and fault in NO_CONNECTION:
        pytest.skip("a server never hears of it")
    async with front({fault: 1}) as it:
        answer = await it.api.poll(await it.bought())
        assert type(answer) is kind
        if isinstance(answer, Unavailable):
            assert answer.reached == (fault is not Fault.POLL_UNREACHED)
            assert (answer.retry_after is not None) == (fault is Fault.POLL_LIMITED)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.GONE, OutputGone),
        (Fault.LATE_FILE, OutputMissing),
        (Fault.FILE_LIMITED, OutputError),
        (Fault.FILE_UNREACHED, OutputError),
    ],
)
async def test_files_that_cannot_be_had(front: Any, fault: Fault, error: type[Exception]) -> None:
    if front is http and fault in NO_CONNECTION:
        pytest.skip("a server never hears of it")
    async with front({fault: 1}) as it:
        job = await it.finished()
        with pytest.raises(OutputError) as caught:
            await it.content(job.outputs[0])
        assert type(caught.value) is error
        it.advance(21.0)
        if fault is Fault.LATE_FILE:
            assert await it.content(job.outputs[0])
        else:
            with pytest.raises(error):
                await it.content(job.outputs[0])


async def test_a_refused_key_for_a_file(front: Any) -> None:
    async with front({}) as it:
        job = await it.finished()
        it.faults.change({Fault.UNAUTHORIZED: 1})
        with pytest.raises(OutputRefused):
            await it.content(job.outputs[0])
        assert isinstance(await it.api.poll(job.id), Unauthorized)


@pytest.mark.parametrize(
    ("fault", "found"), [(Fault.HTML, Damaged), (Fault.TRUNCATED, Damaged), (Fault.FOREIGN_FILE, Unfamiliar)]
)
async def test_files_that_are_not_what_they_should_be(front: Any, fault: Fault, found: type, tmp_path: Any) -> None:
    async with front({fault: 1}) as it:
        job = await it.finished()
        try:
            data = await it.content(job.outputs[0])
        except OutputError:
            assert fault is Fault.TRUNCATED, "the length that was announced tells"
            return
        path = tmp_path / "file"
        path.write_bytes(data)
        with pytest.raises((Damaged, Unfamiliar)) as caught:
            inspect(path)
        assert type(caught.value) is found


NOT_WANTED = Expect(blank=False, black=False, frozen=False)
VIDEO = {
    "model": "centaurus-1.0-text-to-video",
    "prompt": "Waves",
    "duration": 5,
    "aspect_ratio": "16:9",
    "resolution": "720p",
}


@pytest.mark.parametrize(
    ("fault", "of_image", "of_video"),
    [
        (None, (), ()),
        (Fault.BLANK, ("blank",), ("blank", "frozen")),
        (Fault.BLACK, ("blank", "black"), ("blank", "black", "frozen")),
        (Fault.FROZEN, (), ("frozen",)),
        (Fault.SMALL, ("small",), ("small",)),
        (Fault.TALL, ("aspect",), ("aspect",)),
        (Fault.SHORT, (), ("duration",)),
    ],
)
async def test_files_that_are_not_what_was_ordered(
    front: Any, fault: Fault | None, of_image: tuple[str, ...], of_video: tuple[str, ...], tmp_path: Any
) -> None:
    if front is memory:
        pytest.skip("a picture in memory is one grey pixel, and has nothing to do with what was ordered")
    image = {"model": MODEL, "prompt": "A red kite", "aspect_ratio": "16:9", "resolution": "2k"}
    async with front({fault: 1} if fault else {}, media="full") as it:
        for ordered, expected in ((image, of_image), (VIDEO, of_video)):
            job = await it.finished(canonical_json(ordered))
            path = tmp_path / "file"
            path.write_bytes(await it.content(job.outputs[0]))
            media = inspect(path)
            path = path.rename(tmp_path / f"file.{media.extension}")
            look = look_at(path, media.kind)
            assert flags_of(NOT_WANTED, Ordered.of(ordered, job.scale), media.facts, look, ()) == expected


async def test_files_of_one_prompt_that_look_alike(front: Any, tmp_path: Any) -> None:
    if front is memory:
        pytest.skip("a picture in memory is one grey pixel, whatever was ordered")

    image = {"model": MODEL, "prompt": "A red kite", "num_images": 2}
    orders = [image, image, {**VIDEO, "seed": 1}, {**VIDEO, "seed": 2}]

    async def apart(rates: Mapping[Fault, float]) -> list[int]:
        looks: dict[str, list[str]] = {"image": [], "video": []}
        async with front(rates, media="full") as it:
            for ordered in orders:
                for url in (await it.finished(canonical_json(ordered))).outputs:
                    path = tmp_path / "file"
                    path.write_bytes(await it.content(url))
                    media = inspect(path)
                    path = path.rename(tmp_path / f"file.{media.extension}")
                    looks[media.kind].append(look_at(path, media.kind).hash)
        return [
            min(distance(one, other) for n, one in enumerate(seen) for other in seen[:n]) for seen in looks.values()
        ]

    assert await apart({Fault.DUPLICATE: 1}) == [0, 0]
    assert min(await apart({})) > 8


async def test_an_output_that_is_not_listed_cannot_be_had(front: Any) -> None:
    async with front({Fault.FIRST_OUTPUT_MISSING: 1}) as it:
        job = await it.finished(body(outputs=3))
        first = job.outputs[1].replace("/2", "/1").replace("n=1", "n=0")
        assert first != job.outputs[1]
        with pytest.raises(OutputMissing):
            await it.content(first)


# ---- outputs as input images -----------------------------------------------------------------------------------------


def chained(*addresses: str) -> str:
    return canonical_json({"model": EDIT, "prompt": "In blue", "images": [*addresses]})


@asynccontextmanager
async def with_two_pictures(front: Any, **how: Any) -> AsyncIterator[tuple[Front, list[str], list[str]]]:
    """A front, the addresses of two pictures of one job, and where they lie in public."""
    async with front({}, **({"price": PRICE_OF_THREE} if front is memory else {}), **how) as it:
        own = [*(await it.finished(body(outputs=3))).outputs[1:]]
        yield it, own, [await it.api.public_address(address) for address in own]


async def rejected(it: Front, text: str) -> Rejected:
    before = len(it.books.jobs)
    answer = await it.api.submit(text, "/v1/generate", wait=False)
    assert isinstance(answer, Rejected), answer
    assert answer.error_type == "invalid_request"
    assert all(path in answer.message for path in answer.paths)
    assert len(it.books.jobs) == before
    return answer


async def test_an_output_is_an_input_image_by_its_public_address(front: Any) -> None:
    async with with_two_pictures(front) as (it, own, public):
        assert public[0] != public[1]
        assert not {*own} & {*public}
        assert [await it.api.public_address(address) for address in public] == public
        assert await it.bought(chained(*public)) in it.books.jobs


async def test_an_address_that_needs_the_key_is_no_input_image(front: Any) -> None:
    async with with_two_pictures(front) as (it, own, public):
        assert (await rejected(it, chained(public[0], own[1]))).paths == ("images.1",)


async def test_a_signature_lapses_and_a_new_one_is_given(front: Any) -> None:
    async with with_two_pictures(front) as (it, own, public):
        it.advance(1000.0)
        assert (await rejected(it, chained(*public))).paths == ("images.0",)
        assert await it.bought(chained(*[await it.api.public_address(address) for address in own]))


async def test_a_file_that_is_not_there_is_no_input_image(front: Any) -> None:
    async with with_two_pictures(front) as (it, _, public):
        it.faults.change({Fault.GONE: 1})
        it.forget_files()
        assert (await rejected(it, chained(*public))).paths == ("images.0",)


async def test_a_file_can_expire_before_its_job(front: Any) -> None:
    async with front({Fault.FILE_EXPIRED: 1}) as it:
        job_id = await it.bought()
        it.advance(it.books.jobs[job_id].ends_at - it.now() + 3500.0)
        (address,) = (await it.asked(job_id)).outputs
        assert await it.content(address)
        public = await it.api.public_address(address)
        it.advance(200.0)
        assert (await it.asked(job_id)).status is JobStatus.COMPLETED
        with pytest.raises(OutputGone):
            await it.content(address)
        with pytest.raises(OutputGone):
            await it.api.public_address(address)
        assert (await rejected(it, chained(public))).paths == ("images.0",)


async def test_an_input_image_that_is_there_may_be_out_of_reach_for_the_provider(front: Any) -> None:
    async with with_two_pictures(front) as (it, _, public):
        it.faults.change({Fault.INPUT_UNFETCHED: 1})
        assert (await rejected(it, chained(*public))).paths == ("images.0",)
        assert await it.bought(body("nothing to fetch"))
        it.faults.change({})
        assert await it.bought(chained(*public))


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.UNAUTHORIZED, OutputRefused),
        (Fault.GONE, OutputGone),
        (Fault.LATE_FILE, OutputMissing),
        (Fault.FILE_LIMITED, OutputError),
        (Fault.FILE_UNREACHED, OutputError),
    ],
)
async def test_a_public_address_that_cannot_be_had(front: Any, fault: Fault, error: type[Exception]) -> None:
    if front is http and fault in NO_CONNECTION:
        pytest.skip("a server never hears of it")
    async with front({}) as it:
        job = await it.finished()
        it.faults.change({fault: 1})
        with pytest.raises(OutputError) as caught:
            await it.api.public_address(job.outputs[0])
        assert type(caught.value) is error
        assert (caught.value.retry_after is not None) == (fault is Fault.FILE_LIMITED)


async def test_a_request_is_known_again_whenever_its_input_images_were_addressed(front: Any) -> None:
    """So that a second purchase of a chained item is seen, although no two of its requests are alike."""
    async with with_two_pictures(front) as (it, own, public):
        first = it.books.jobs[await it.bought(chained(*public))]
        it.advance(100.0)
        again = [await it.api.public_address(address) for address in own]
        assert not {*again} & {*public}
        second = it.books.jobs[await it.bought(chained(*again))]
        swapped = it.books.jobs[await it.bought(chained(*reversed(again)))]
        assert first.digest == second.digest != swapped.digest
        source = next(iter(it.books.jobs.values())).digest
        values = {f"images/{n}": output_of(source, n + 2) for n in range(2)}
        assert first.digest == digest_of(filled(chained("", ""), values))
        assert it.books.totals(it.now()).duplicates == 1


def test_every_fault_has_its_case_here() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert [fault.name for fault in Fault if f"Fault.{fault.name}" not in text] == []
