"""What a limit that runs share adds to an item: a claim in the shared books before each purchase."""

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import part, run
from benchmarks.table import Row

_AT_ONCE = (1, 64)
"""Items that are bought at the same time."""


def rows(folder: Path, items: int) -> Iterator[Row]:
    """Measure purchases with and without a month's budget: CPU, and the time before the intent."""
    for at_once in _AT_ONCE:
        count = items if at_once > 1 else max(items // 10, 10)  # alone, each commit waits for the disk by itself
        alone, shared = (
            run(part("sharing", how, count, at_once, folder / f"{how}-{at_once}")).json() for how in ("alone", "shared")
        )
        yield Row(
            f"CPU that a shared budget adds to an item, {at_once} at once", f"{shared['cpu'] - alone['cpu']:.0f} µs",
            f"an item's budget and intent without: {alone['cpu']:.0f} µs",
            (shared["cpu"] - alone["cpu"]) / alone["cpu"],
        )  # fmt: skip
        yield Row(
            f"time until an intent is on disk with a shared budget, {at_once} at once (p50, p99)",
            f"{shared['p50']:.2f} ms, {shared['p99']:.2f} ms", f"without: {alone['p50']:.2f} ms, {alone['p99']:.2f} ms",
            shared["p50"] / alone["p50"],
        )  # fmt: skip


def main() -> None:
    """Reserve, secure, record and charge so many purchases."""
    how, count, at_once, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    print(json.dumps(asyncio.run(_bought(folder, count, at_once, shared=how == "shared"))))


async def _bought(folder: Path, count: int, at_once: int, *, shared: bool) -> dict[str, float]:
    from contextlib import AsyncExitStack
    from decimal import Decimal

    from batchgen.core.clock import utc_now
    from batchgen.item_table import write_items
    from batchgen.journal import GroupRecorder, Journal
    from batchgen.policy.budget_port import Grant, Purchase
    from batchgen.session.sharing import open_budget, sharing
    from batchgen.settings import Settings
    from batchgen.shared_limits import SharedLimits
    from batchgen.virtual import make_items

    folder.mkdir()
    journal, limits = Journal(folder, create=True), SharedLimits(month=Decimal(10**6) if shared else None)
    write_items(folder / "items.sqlite3", make_items(count))
    journal.list_items(folder / "items.sqlite3")
    left = iter([work for _, work in journal.pending(0, count)])
    latencies: list[float] = []
    async with AsyncExitStack() as stack:
        taking_part = stack.enter_context(sharing(journal, limits, print))
        budget = await stack.enter_async_context(open_budget(journal, Settings(), taking_part, print))
        record = await stack.enter_async_context(GroupRecorder(journal))
        budget.confirm("key", "m", Decimal("0.05"), Decimal("0.05"))

        async def buy() -> None:
            for work in left:
                begun = time.perf_counter()
                grant = budget.reserve(work.key, "key", work.item.estimated)
                assert isinstance(grant, Grant)
                assert await budget.secure(grant, Purchase(work.item.id, 1, work.item.tags)) is None
                await record(journal.record_intent, work, "account", "tables", utc_now())
                latencies.append(time.perf_counter() - begun)
                budget.charge(grant, work.item.estimated)
                budget.ended(work.key)

        begun = time.process_time()
        await asyncio.gather(*(buy() for _ in range(at_once)))
        cpu = time.process_time() - begun
    journal.close()
    p99 = statistics.quantiles(latencies, n=100)[-1]
    return {"cpu": cpu / count * 1e6, "p50": statistics.median(latencies) * 1e3, "p99": p99 * 1e3}


if __name__ == "__main__":
    main()
