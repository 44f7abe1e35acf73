"""The simulator's files: real media of the right shape and length, behind signed addresses on their own origin."""

import io
from fractions import Fraction
from typing import Any

import av
import pytest
from PIL import Image
from support.simulated import IMAGE, KEY, LONG, VIDEO, simulated

from batchgen.catalog import load_catalog, read_catalog
from batchgen.simulator.media import FPS, size_of

RATIOS = [o for o in load_catalog().models[IMAGE["model"]].parameter("aspect_ratio").options if o != "auto"]  # type: ignore[union-attr]
PICTURE = "https://example.com/kite.jpg"


def picture_of(raw: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(raw))
    picture.load()
    assert picture.format == "PNG"
    return picture


def shape(ratio: str) -> Fraction:
    across, down = ratio.split(":")
    return Fraction(int(across), int(down))


@pytest.mark.parametrize("ratio", RATIOS)
async def test_pictures_have_the_shape_and_number_that_were_asked_for(ratio: str) -> None:
    async with simulated(media="full") as api:
        sizes = []
        for resolution in ("1k", "2k"):
            job = await api.finished({**IMAGE, "aspect_ratio": ratio, "resolution": resolution, "num_images": 2})
            files = [await api.file(entry["url"]) for entry in job["data"]]
            assert {file.headers["Content-Type"] for file in files} == {"image/png"}
            assert files[0].raw != files[1].raw
            pictures = [picture_of(file.raw) for file in files]
            assert {Fraction(*picture.size) for picture in pictures} == {shape(ratio)}
            assert all(len(picture.convert("RGB").getcolors(10_000) or []) > 2 for picture in pictures)
            sizes.append(max(pictures[0].size))
        assert sizes[0] < sizes[1] <= 384


@pytest.mark.parametrize(
    ("body", "ratio", "seconds"),
    [
        (VIDEO, "16:9", 5),
        ({**VIDEO, "aspect_ratio": "9:16", "duration": 2}, "9:16", 2),
        ({**VIDEO, "aspect_ratio": "3:4", "duration": 3, "resolution": "1080p"}, "3:4", 3),
        ({"model": "zeus-1.0-image-to-video", "prompt": "x", "image": PICTURE, "duration": 8}, "16:9", 8),
        ({"model": "zeus-1.0-image-to-video-480p", "prompt": "x", "image": PICTURE}, "16:9", 5),
        ({"model": "hera-1.0-image-to-video", "prompt": "x", "image": PICTURE, "duration": 15}, "16:9", 15),
    ],
    ids=lambda value: value.get("model") if isinstance(value, dict) else None,
)
async def test_clips_have_the_shape_and_length_that_were_asked_for(
    body: dict[str, Any], ratio: str, seconds: int
) -> None:
    async with simulated(media="full") as api:
        file = await api.file((await api.finished(body))["data"][0]["url"])
    assert file.headers["Content-Type"] == "video/mp4"
    assert file.raw.index(b"moov") < file.raw.index(b"mdat")
    with av.open(io.BytesIO(file.raw), "r") as clip:
        stream = clip.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.width % 2 == stream.codec_context.height % 2 == 0
        assert Fraction(stream.codec_context.width, stream.codec_context.height) == shape(ratio)
        assert clip.duration == seconds * av.time_base
        frames = list(clip.decode(stream))
    assert len(frames) == seconds * FPS
    assert bytes(frames[0].planes[0]) != bytes(frames[-1].planes[0])


async def test_the_same_seed_gives_the_same_clip_and_none_gives_another() -> None:
    async def twice(body: dict[str, Any]) -> list[bytes]:
        return [(await api.file((await api.finished(body))["data"][0]["url"])).raw for _ in range(2)]

    async with simulated(media="full") as api:
        first, second = await twice({**VIDEO, "duration": 2, "seed": 7})
        assert first == second
        first, second = await twice({**VIDEO, "duration": 2})
        assert first != second


@pytest.mark.parametrize(
    "prompt", ["\U0001f3a8" * 2500, "\u202e\x01\n\t", "x" * 2500, "日本語のテキスト", "\u0301" * 40]
)
async def test_any_prompt_can_be_drawn(prompt: str) -> None:
    async with simulated(media="full") as api:
        url = (await api.finished({**IMAGE, "prompt": prompt, "aspect_ratio": "21:9"}))["data"][0]["url"]
        picture_of((await api.file(url)).raw)


def test_every_shape_fits_even_where_the_tables_grow() -> None:
    assert size_of("16:9", "720p", "video") == (256, 144)
    assert size_of("32:9", "8k", "image") == (256, 72)
    assert size_of("16:9", "None", "video") == (192, 108)
    assert size_of("21:9", "480p", "video") == (168, 72)


ODD = """
version = "odd"
[[models]]
id = "{output}-9.0"
title = "Odd"
family = "Odd"
endpoint = "/v1/odd/things"
output = "{output}"
description = "Parameters as no shipped model has them."
parameters = [
  {{ name = "prompt", type = "string", description = "What to show." }},
  {{ name = "aspect_ratio", type = "string", options = ["portrait", "1:99", "0:0"], description = "Its shape." }},
  {{ name = "resolution", type = "integer", options = [9, 99], description = "Its size." }},
  {{ name = "duration", type = "string", options = ["long", "5s"], description = "Its length." }},
]
[models.price]
unit = "run"
amounts = [{{ usd = "0.5" }}]
"""


@pytest.mark.parametrize("output", ["image", "video"])
@pytest.mark.parametrize("ratio", ["portrait", "1:99", "0:0"])
async def test_models_of_other_tables_are_drawn_too(output: str, ratio: str) -> None:
    body = {"model": f"{output}-9.0", "aspect_ratio": ratio, "resolution": 99, "duration": "long"}
    async with simulated(media="full", catalog=read_catalog(ODD.format(output=output))) as api:
        file = await api.file((await api.finished(body))["data"][0]["url"])
    assert file.headers["Content-Type"] == {"image": "image/png", "video": "video/mp4"}[output]


async def test_a_model_of_unknown_price_is_not_sold() -> None:
    tables = ODD.format(output="image").partition("[models.price]")[0] + 'price = "unknown"'
    async with simulated(catalog=read_catalog(tables)) as api:
        answer = await api.post({"model": "image-9.0", "prompt": "x"})
    assert (answer.status, answer.error) == (404, "model_not_found")


async def test_tiny_media_are_whole_files_and_shared() -> None:
    async with simulated() as api:
        job = await api.finished({**IMAGE, "num_images": 2})
        first, second = [(await api.file(entry["url"])).raw for entry in job["data"]]
        assert first == second
        assert len(first) < 2000
        picture_of(first)
        clip = (await api.file((await api.finished(VIDEO))["data"][0]["url"])).raw
        with av.open(io.BytesIO(clip), "r") as opened:
            assert len(list(opened.decode(video=0))) == FPS


async def test_files_are_kept_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchgen.simulator.storage._CACHE_BYTES", 20_000)
    async with simulated(media="full") as api:
        jobs = [await api.finished({**IMAGE, "num_images": 9, "prompt": f"kite {n}"}) for n in range(2)]
        urls = [entry["url"] for job in jobs for entry in job["data"]]
        first = [(await api.file(url)).raw for url in urls]
        studio = api.simulator._storage.studio
        assert studio._size == sum(map(len, studio._made.values())) <= 20_000
        assert len(studio._made) < len(urls)
        assert [(await api.file(url)).raw for url in urls] == first


async def test_the_storage_refuses_a_second_authorization_and_bad_signatures() -> None:
    async with simulated(url_ttl=100) as api:
        url = await api.signed((await api.finished(IMAGE))["data"][0]["url"])
        assert (await api.ask("GET", url, key=None)).status == 200
        assert (await api.ask("GET", url, key=KEY)).status == 400
        path, _, query = url.partition("?")
        expires, signature = (part.partition("=")[2] for part in query.split("&"))
        forged = [
            path,
            f"{path}?expires={expires}",
            f"{path}?expires={int(expires) + 1}&signature={signature}",
            f"{path}?expires=soon&signature={signature}",
            f"{path}?expires={expires}&signature=%C3%A9",
            url.replace("/0.png", "/1.png"),
        ]
        assert [(await api.ask("GET", address, key=None)).status for address in forged] == [403] * len(forged)
        assert (await api.ask("POST", url, key=None)).status == 405
        head = await api.ask("HEAD", url, key=None)
        assert (head.status, head.raw) == (200, b"")
        assert int(head.headers["Content-Length"]) > 0
        api.clock.advance(101)
        assert (await api.ask("GET", url, key=None)).status == 403
        counts = {c["status"] for c in (await api.books("requests"))["requests"] if c["endpoint"] == "GET storage"}
        assert counts == {"200", "400", "403"}


async def test_the_api_does_not_serve_files_nor_the_storage_the_api() -> None:
    async with simulated() as api:
        job = await api.accepted(IMAGE)
        api.clock.advance(LONG)
        url = await api.signed(f"/v1/files/{job['id']}")
        assert (await api.ask("GET", url.replace(api.simulator.files_url, api.simulator.url))).status == 404
        assert (await api.ask("GET", f"{api.simulator.files_url}/v1/jobs/{job['id']}", key=None)).status == 403
