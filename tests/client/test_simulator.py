"""The client against the simulator: from the purchase to the file on disk."""

import asyncio
from pathlib import Path

import pytest
from support.simulated import IMAGE, KEY, LONG, VIDEO, simulated

from batchgen.api import (
    Accepted,
    Found,
    JobStatus,
    OutputError,
    Rejected,
    Unauthorized,
    Unknown,
)
from batchgen.client.http import HttpApi
from batchgen.core.digest import canonical_json
from batchgen.download import Memory, check_file, fetch, stem_of
from batchgen.store import LocalDisk


async def not_in_the_way(path: str) -> None:
    raise AssertionError(f"{path} is in the way")


@pytest.mark.parametrize(
    ("body", "kind", "outputs"), [(IMAGE, "image", 1), (IMAGE | {"num_images": 3}, "image", 3), (VIDEO, "video", 1)]
)
@pytest.mark.parametrize("media", ["tiny", "full"])
async def test_from_the_purchase_to_the_file(
    tmp_path: Path, body: dict[str, object], kind: str, outputs: int, media: str
) -> None:
    async with simulated(media=media) as caller:
        api = HttpApi(caller.simulator.url, KEY)
        try:
            accepted = await api.submit(canonical_json(body), "/v1/generate", wait=False)
            assert isinstance(accepted, Accepted)
            caller.clock.advance(LONG)
            found = await api.poll(accepted.job.id)
            assert isinstance(found, Found)
            assert found.job.status is JobStatus.COMPLETED
            assert len(found.job.outputs) == outputs
            for number, url in enumerate(found.job.outputs, 1):
                stem = stem_of("mug", number, outputs)
                fetched = await fetch(
                    api, url, LocalDisk(tmp_path), stem, number,
                    kind=kind, move_aside=not_in_the_way, offload=asyncio.to_thread, memory=Memory(),
                )  # fmt: skip
                stored = fetched.file
                assert stored.path.startswith(f"files/{stem}.")
                assert check_file(LocalDisk(tmp_path), stored, hash=True) is None
            assert len(list((tmp_path / "files").iterdir())) == outputs
        finally:
            await api.aclose()


async def test_definite_refusals() -> None:
    async with simulated() as caller:
        api, stranger = HttpApi(caller.simulator.url, KEY), HttpApi(caller.simulator.url, "api18_unknown")
        try:
            assert isinstance(await api.submit('{"model":"none","prompt":"x"}', "/v1/generate", wait=False), Rejected)
            assert isinstance(await api.submit("{}", "/v1/generate", wait=False), Rejected)
            assert isinstance(await api.poll("no-such-job"), Unknown)
            with pytest.raises(OutputError):
                async with api.open_output(f"{caller.simulator.url}/v1/files/none"):
                    raise AssertionError("there is no such file")
            answer = await stranger.submit(canonical_json(IMAGE), "/v1/generate", wait=False)
            assert isinstance(answer, Unauthorized)
            assert isinstance(await stranger.poll("no-such-job"), Unauthorized)
        finally:
            await api.aclose()
            await stranger.aclose()
