"""The simulator's API: every endpoint, every error, the shape of a job."""

import asyncio
import re
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from support.simulated import IMAGE, KEY, LONG, OTHER_KEY, VIDEO, simulated

from batchgen.api import JobStatus, read_error, read_job
from batchgen.catalog import load_catalog
from batchgen.core.errors import UsageError
from batchgen.simulator import SimulatorSettings

PICTURE = "https://example.com/kite.jpg"
REQUIRED: dict[str, Any] = {"prompt": "A kite", "image": PICTURE, "images": [PICTURE]}
ONE_OF_EACH = [
    {"model": model.id, **{p.name: REQUIRED[p.name] for p in model.parameters if p.required}}
    for model in load_catalog().models.values()
]


async def test_a_job_says_the_scale_that_its_files_are_drawn_in() -> None:
    for media, scale in (("full", "1/4"), ("tiny", "0")):
        async with simulated(media=media) as api:
            assert (await api.post(IMAGE)).json["simulated_scale"] == scale


async def test_a_job_has_the_documented_shape_from_acceptance_to_the_end() -> None:
    body = {**IMAGE, "num_images": 2}
    async with simulated(speed=1) as api:
        answer = await api.post(body)
        assert answer.status == 202
        job = answer.json
        assert [name for name in job if name != "simulated_scale"] == [
            *("id", "object", "model", "output_kind", "status", "created_at", "started_at", "completed_at"),
            *("expires_at", "retention_days", "error", "cost_usd", "input", "timings", "urls", "data"),
        ]
        assert job["object"] == "generation"
        assert (job["model"], job["output_kind"], job["status"]) == (IMAGE["model"], "image", "processing")
        assert job["created_at"] == job["started_at"] == "2026-03-01T12:00:00.500Z"
        assert job["expires_at"] == "2026-03-08T12:00:00.500Z"
        assert (job["completed_at"], job["error"], job["data"]) == (None, None, [])
        assert job["timings"] == {"inference_ms": None}
        assert job["retention_days"] == 7
        assert job["input"] == body
        assert job["urls"] == {"get": f"{api.simulator.url}/v1/jobs/{job['id']}"}
        assert await api.job(job["id"]) == job

        api.clock.advance(LONG)
        done = await api.job(job["id"])
        files = f"{api.simulator.url}/v1/files/{job['id']}"
        assert done["data"] == [{"url": files}, {"url": f"{files}?n=1"}]
        took = datetime.fromisoformat(done["completed_at"]) - datetime.fromisoformat(done["started_at"])
        assert abs(done["timings"]["inference_ms"] - took / timedelta(milliseconds=1)) <= 1
        changed = {"status", "completed_at", "timings", "data"}
        assert {name for name in job if done[name] != job[name]} == changed
        assert done["status"] == "completed"


async def test_the_clients_reader_understands_jobs_and_errors() -> None:
    async with simulated() as api:
        accepted = await api.accepted(VIDEO)
        api.clock.advance(LONG)
        job = read_job((await api.ask("GET", f"/v1/jobs/{accepted['id']}")).raw)
        assert (job.status, job.cost, len(job.outputs)) == (JobStatus.COMPLETED, Decimal("1.00"), 1)
        assert job.input == VIDEO
        assert read_error((await api.post({**VIDEO, "duration": 99})).raw).type == "invalid_request"


@pytest.mark.parametrize("body", ONE_OF_EACH, ids=lambda body: body["model"])
async def test_every_model_is_served_at_the_shared_endpoint_and_its_own(body: dict[str, Any]) -> None:
    own = load_catalog().models[body["model"]].endpoint
    other = {"/v1/video/generations", "/v1/images/generations"} - {own}
    async with simulated() as api:
        assert (await api.post(body)).status == 202
        assert (await api.post(body, own)).status == 202
        refused = await api.post(body, other.pop())
        assert (refused.status, refused.error) == (400, "invalid_request")
        assert refused.json["error"]["details"][0]["path"] == "model"
        assert (await api.books())["accepted"] == 2


async def test_the_cost_is_written_with_exact_decimal_digits() -> None:
    async with simulated() as api:
        raw = (await api.post({**VIDEO, "duration": 3})).raw
        assert b'"cost_usd":0.60,' in raw
        assert b'"cost_usd":0.168,' in (await api.post({**IMAGE, "num_images": 3})).raw


@pytest.mark.parametrize(
    ("header", "error"),
    [
        (None, "missing_authorization"),
        ("", "missing_authorization"),
        ("Basic YTpi", "missing_authorization"),
        ("Bearer", "invalid_api_key"),
        ("Bearer api18_short", "invalid_api_key"),
        (f"Bearer {KEY}0", "invalid_api_key"),
        (f"Bearer  {KEY}", "invalid_api_key"),
        ("Bearer api17_0123456789abcdef", "invalid_api_key"),
        (f"Bearer {OTHER_KEY}", "invalid_api_key"),
    ],
)
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/generate"), ("GET", "/v1/jobs/abc"), ("GET", "/v1/files/abc")]
)
async def test_a_missing_or_wrong_key_is_refused(method: str, path: str, header: str | None, error: str) -> None:
    async with simulated(keys=frozenset({KEY})) as api:
        answer = await api.ask(method, path, key=None, headers={} if header is None else {"Authorization": header})
        assert (answer.status, answer.error) == (401, error)
        assert (await api.books())["accepted"] == 0


async def test_without_given_keys_every_well_formed_key_is_an_account_of_its_own() -> None:
    async with simulated() as api:
        job = await api.accepted(IMAGE)
        await api.accepted(IMAGE, key=OTHER_KEY)
        for path in (f"/v1/jobs/{job['id']}", f"/v1/files/{job['id']}"):
            answer = await api.ask("GET", path, key=OTHER_KEY)
            assert (answer.status, answer.error) == (404, "job_not_found")
        books = await api.books()
        assert len(books["accounts"]) == 2
        assert books["duplicates"] == 0


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b"", ""),
        (b"{", ""),
        (b"[]", ""),
        (b'"text"', ""),
        (b"\xff", ""),
        (b'\xef\xbb\xbf{"model": "hera-1.0-text-to-image", "prompt": "x"}', ""),
        (b'{"model": "hera-1.0-text-to-image", "prompt": "x", "prompt": "y"}', ""),
        (b'{"model": "hera-1.0-text-to-image", "prompt": "x", "num_images": NaN}', ""),
        (b'{"model": "hera-1.0-text-to-image", "prompt": "x", "num_images": 1e999}', ""),
        (b'{"model": "hera-1.0-text-to-image", "prompt": "x", "num_images": 2.0}', "num_images"),
        (b'{"model": "hera-1.0-text-to-image", "prompt": "\\ud800"}', ""),
        (b'{"model": "hera-1.0-text-to-image", "prompt": ' + b"[" * 100_000 + b"}", ""),
        (b'{"model": "hera-1.0-text-to-image", "prompt": "x", "seed": ' + b"9" * 5000 + b"}", ""),
        ({"prompt": "x"}, "model"),
        ({"model": 5, "prompt": "x"}, "model"),
        ({"model": IMAGE["model"]}, "prompt"),
        ({**IMAGE, "prompt": ""}, "prompt"),
        ({**IMAGE, "prompt": "x" * 2501}, "prompt"),
        ({**IMAGE, "num_images": 10}, "num_images"),
        ({**IMAGE, "num_images": True}, "num_images"),
        ({**IMAGE, "num_images": "1"}, "num_images"),
        ({**IMAGE, "aspect_ratio": "5:4"}, "aspect_ratio"),
        ({**IMAGE, "seed": 1}, "seed"),
        ({**VIDEO, "duration": 5.0}, "duration"),
        ({**VIDEO, "duration": 16}, "duration"),
        ({"model": "hera-1.0-image-to-video", "prompt": "x", "image": "kite.jpg"}, "image"),
        ({"model": "hera-1.0-image-to-video", "prompt": "x", "image": PICTURE, "duration": 5.0}, "duration"),
        ({"model": "hera-1.0-image-edit", "prompt": "x", "images": [PICTURE] * 4}, "images"),
        ({"model": "hera-1.0-image-edit", "prompt": "x", "images": [PICTURE, "data:image/png;base64,"]}, "images.1"),
    ],
)
async def test_a_bad_body_is_refused_with_its_place_and_costs_nothing(body: Any, path: str) -> None:
    async with simulated() as api:
        answer = await api.post(body)
        assert (answer.status, answer.error) == (400, "invalid_request")
        assert answer.json["error"]["details"][0]["path"] == path
        assert answer.json["error"]["details"][0]["message"]
        assert (await api.books())["accepted"] == 0


async def test_every_fault_of_a_body_is_named() -> None:
    async with simulated() as api:
        answer = await api.post({"model": IMAGE["model"], "num_images": 0, "size": "big"})
        assert {d["path"] for d in answer.json["error"]["details"]} == {"prompt", "num_images", "size"}


async def test_content_type_and_size_are_checked() -> None:
    async with simulated() as api:
        answer = await api.ask("POST", "/v1/generate", data=b"{}", headers={"Content-Type": "text/plain"})
        assert (answer.status, answer.error) == (400, "invalid_request")
        answer = await api.post({**VIDEO, "negative_prompt": "x" * 300_000})
        assert (answer.status, answer.error) == (400, "invalid_request")
        assert "larger than" in answer.json["error"]["details"][0]["message"]
        utf8 = {"Content-Type": "application/json; charset=utf-8"}
        answer = await api.ask("POST", "/v1/generate", data=b'{"model":"x","prompt":""}', headers=utf8)
        assert (answer.status, answer.error) == (404, "model_not_found")


async def test_unknown_models_jobs_pages_and_methods() -> None:
    async with simulated() as api:
        cases = [
            (await api.post({"model": "hera-9", "prompt": "x"}), 404, "model_not_found"),
            (await api.ask("GET", "/v1/jobs/nobody"), 404, "job_not_found"),
            (await api.ask("GET", "/v1/files/nobody"), 404, "job_not_found"),
            (await api.ask("GET", "/v2/generate"), 404, "not_found"),
            (await api.ask("GET", "/v1/generate"), 405, "method_not_allowed"),
            (await api.ask("DELETE", "/v1/jobs/nobody"), 405, "method_not_allowed"),
            (await api.post(IMAGE, "/v1/generate?wait=maybe"), 400, "invalid_request"),
        ]
        assert [(answer.status, answer.error) for answer, *_ in cases] == [tuple(wanted) for _, *wanted in cases]


async def test_the_input_is_echoed_as_it_was_sent() -> None:
    raw = '{ "prompt": "Ein Drache \\ud83c\\udfa8 über dem Feld",\n "model": "hera-1.0-text-to-image" }'.encode()
    async with simulated() as api:
        job = await api.accepted(raw)
        assert job["input"]["prompt"] == "Ein Drache 🎨 über dem Feld"
        assert (await api.books("jobs"))["jobs"][0]["body"] == raw.decode()


async def test_wait_answers_200_when_the_job_ends_inside_the_budget_and_202_when_not() -> None:
    from batchgen.core.clock import utc_now

    async with simulated(speed=2000, clock=utc_now) as api:
        for path in ("/v1/generate?wait=true", "/v1/images/generations?wait=true"):
            answer = await api.post(IMAGE, path)
            assert (answer.status, answer.json["status"]) == (200, "completed")
            assert len(answer.json["data"]) == 1
    async with simulated(speed=1, wait_budget=0.05, clock=utc_now) as api:
        answer = await api.post(VIDEO, "/v1/video/generations?wait=true")
        assert (answer.status, answer.json["status"]) == (202, "processing")
        assert (await api.job(answer.json["id"]))["id"] == answer.json["id"]
        assert (await api.post(VIDEO, "/v1/generate?wait=false")).status == 202


async def test_stopping_answers_those_who_wait() -> None:
    async with aiohttp.ClientSession() as session:
        async with simulated(speed=1) as api:
            api.session = session
            waiting = asyncio.create_task(api.post(VIDEO, "/v1/generate?wait=true"))
            while (await api.books())["accepted"] == 0:
                await asyncio.sleep(0)
        assert (await waiting).status == 202


async def test_files_redirect_once_they_are_ready() -> None:
    async with simulated() as api:
        job = await api.accepted({**IMAGE, "num_images": 3})
        answer = await api.ask("GET", f"/v1/files/{job['id']}")
        assert (answer.status, answer.error) == (404, "file_not_ready")
        api.clock.advance(LONG)
        targets = {await api.signed(entry["url"]) for entry in (await api.job(job["id"]))["data"]}
        assert len(targets) == 3
        assert all(target.startswith(f"{api.simulator.files_url}/") for target in targets)
        assert api.simulator.files_url != api.simulator.url
        for n in ("3", "-1", "x", "99999999999"):
            answer = await api.ask("GET", f"/v1/files/{job['id']}?n={n}")
            assert (answer.status, answer.error) == (404, "file_not_found")


async def test_jobs_and_files_expire_with_their_retention() -> None:
    async with simulated(retention_days=0.5) as api:
        job = await api.accepted(IMAGE)
        assert job["retention_days"] == Decimal("0.5")
        api.clock.advance(43_000)
        address = await api.signed(f"/v1/files/{job['id']}")
        assert (await api.ask("GET", address, key=None)).status == 200
        api.clock.advance(200.5)
        for path in (f"/v1/jobs/{job['id']}", f"/v1/files/{job['id']}"):
            answer = await api.ask("GET", path)
            assert (answer.status, answer.error) == (404, "job_not_found")
        assert (await api.ask("GET", address, key=None)).status == 403


async def test_a_full_provider_queues_and_starts_in_order() -> None:
    async with simulated(capacity=2, speed=1) as api:
        jobs = [await api.accepted({**IMAGE, "prompt": f"kite {n}"}) for n in range(5)]
        assert [job["started_at"] is None for job in jobs] == [False, False, True, True, True]
        api.clock.advance(LONG)
        done = [await api.job(job["id"]) for job in jobs]
        starts = [job["started_at"] for job in done]
        assert starts == sorted(starts)
        for job in done:
            running = [o for o in done if o["started_at"] <= job["started_at"] < o["completed_at"]]
            assert len(running) <= 2


async def test_a_chained_input_must_be_a_signed_picture() -> None:
    body = {"model": "hera-1.0-image-to-video", "prompt": "It turns"}
    async with simulated() as api:
        picture = (await api.finished(IMAGE))["data"][0]["url"]
        clip = (await api.finished(VIDEO))["data"][0]["url"]
        good = await api.signed(picture)
        assert (await api.post({**body, "image": good})).status == 202
        for bad in (picture, await api.signed(clip), good[:-1] + "!", f"{api.simulator.files_url}/x"):
            answer = await api.post({**body, "image": bad})
            assert answer.status == 400
            assert answer.json["error"]["details"][0]["path"] == "image"
        api.clock.advance(1000)
        assert (await api.post({**body, "image": good})).status == 400
        assert (await api.post({"model": "hera-1.0-image-edit", "prompt": "x", "images": [good]})).status == 400


@pytest.mark.parametrize(
    "wrong",
    [
        {"speed": 0},
        {"speed": float("nan")},
        {"retention_days": -1},
        {"url_ttl": 0},
        {"wait_budget": -1},
        {"balance": Decimal(-1)},
        {"capacity": 0},
        {"strikes": -1},
        {"keys": frozenset({"secret"})},
        {"faults": {"failed": 2}},
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as refused:
        SimulatorSettings(**wrong)
    assert "secret" not in str(refused.value)


async def test_a_port_that_is_taken_is_a_usage_error() -> None:
    async with simulated() as api:
        port = int(re.sub(r".*:", "", api.simulator.url))
        with pytest.raises(UsageError, match=str(port)):
            async with simulated(port=port):
                pass
