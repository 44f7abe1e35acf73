"""What a start logs is told by that start alone, from whichever thread it comes."""

import asyncio
import contextvars
import logging
from typing import Any

from batchgen.engine.worker.link import Link
from batchgen.engine.worker.log import TellingHandler


class Told(Link):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.steps: list[dict[str, Any]] = []

    def tell(self, step: dict[str, Any]) -> None:
        self.steps.append(step)


async def test_two_starts_of_one_worker_tell_each_its_own() -> None:
    log = logging.getLogger("batchgen")
    first, second = Told(), Told()

    async def start(link: Told, name: str) -> None:
        with TellingHandler(link):
            log.warning("%s warns", name)
            await asyncio.sleep(0)
            await asyncio.to_thread(log.warning, "%s warns from a thread", name)
            await asyncio.sleep(0)

    await asyncio.gather(
        asyncio.create_task(start(first, "one"), context=contextvars.copy_context()),
        asyncio.create_task(start(second, "two"), context=contextvars.copy_context()),
    )
    assert [step["text"] for step in first.steps] == ["one warns", "one warns from a thread"]
    assert [step["text"] for step in second.steps] == ["two warns", "two warns from a thread"]
    assert first.steps[0]["level"] == logging.WARNING
