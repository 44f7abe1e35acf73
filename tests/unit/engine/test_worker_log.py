"""What a start logs is told to its coordinator, and nothing that another start in the same process logs."""

import asyncio
import logging
from typing import Any

from batchgen.engine.worker.log import TellingHandler

log = logging.getLogger("batchgen")


class Told:
    """A link that keeps what it is told."""

    def __init__(self) -> None:
        self.steps: list[dict[str, Any]] = []

    def tell(self, step: dict[str, Any]) -> None:
        self.steps.append(step)


async def test_each_start_tells_what_it_logs_itself(caplog: Any) -> None:
    """A worker of Dask may have several threads, each with a start."""
    links = [Told(), Told()]
    both = asyncio.Barrier(2)

    async def start(number: int) -> None:
        with TellingHandler(links[number]):  # type: ignore[arg-type]
            await both.wait()
            log.warning("from %s", number)
            log.info("not worth a line")
            await asyncio.to_thread(log.error, "from a thread of %s", number)
            await both.wait()

    await asyncio.gather(start(0), start(1))
    log.warning("after the end")
    for number, link in enumerate(links):
        assert link.steps == [
            {"step": "log", "level": logging.WARNING, "text": f"from {number}"},
            {"step": "log", "level": logging.ERROR, "text": f"from a thread of {number}"},
        ]
