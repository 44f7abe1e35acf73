"""The thread that commits claims, for all that arrive meanwhile together."""

from collections.abc import Sequence
from typing import Self

from batchgen.core.batching import BatchWorker, Outcome
from batchgen.core.clock import UtcNow
from batchgen.shared_limits.books import SharedBooks
from batchgen.shared_limits.limits import SharedLimits
from batchgen.shared_limits.orders import Answer, Changes, Order


class BooksWriter:
    """Serves the orders of one run; an async context manager. On leaving, all have been served."""

    def __init__(self, books: SharedBooks, run: str, limits: SharedLimits, utc_now: UtcNow) -> None:
        self._books, self._run, self._limits, self._utc_now = books, run, limits, utc_now
        self._worker: BatchWorker[Order, Sequence[Order]] = BatchWorker(_as_they_are, self._serve, "shared limits")

    async def __aenter__(self) -> Self:
        await self._worker.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._worker.__aexit__()

    async def __call__(self, order: Order) -> Answer | None:
        """Serve one order, and return the answer to its claim once that is on disk. Raises DiskError."""
        answer: Answer | None = await self._worker(order)
        return answer

    def _serve(self, orders: Sequence[Order]) -> list[Outcome]:
        changes = Changes()
        for changed, _ in orders:
            changes.join(changed)
        claims = [claim for _, claim in orders if claim is not None]
        now_ms = round(self._utc_now().timestamp() * 1000)
        try:
            answers = iter(self._books.serve(self._run, self._limits, now_ms, changes, claims))
        except Exception as error:  # noqa: BLE001 - raised again where the answer is awaited
            return [(None, error) for _ in orders]
        return [(None if claim is None else next(answers), None) for _, claim in orders]


def _as_they_are(orders: Sequence[Order]) -> Sequence[Order]:
    return orders
