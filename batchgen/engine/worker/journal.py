"""The journal of a start: its purchases have the names that the coordinator gave them, and each step is told."""

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from batchgen.engine.messages import Granted
from batchgen.engine.tells import told
from batchgen.engine.worker.link import Link
from batchgen.journal import Attempt, Journal, PurchaseName, Recorder, SentInput, Work


class StartJournal(Journal):
    """A journal of items that another one has lent."""

    def __init__(self, folder: Path) -> None:
        """Make a new one. Raises DiskError, RunFolderError."""
        super().__init__(folder, create=True)
        self.granted: dict[int, Granted] = {}
        """The last leave to buy, by item."""

    def record_intent(
        self, work: Work, account: str, catalog_version: str, now: datetime, *,
        reserved: Decimal | None = None,  # noqa: ARG002 - the coordinator's price counts
        price_key: str = "", inputs: Sequence[SentInput] = (),
        name: PurchaseName | None = None, lent_to: str | None = None,
    ) -> Attempt:  # fmt: skip
        """As `Journal.record_intent`, for what the coordinator has granted: by its name, and at its price."""
        granted = self.granted[work.key]
        return super().record_intent(
            work, account, catalog_version, now, reserved=granted.reserved, price_key=price_key, inputs=inputs,
            name=name or granted.name, lent_to=lent_to,
        )  # fmt: skip


class TellingRecorder:
    """See `batchgen.journal.Recorder`: tells the coordinator of each step, once it is on disk."""

    def __init__(self, record: Recorder, link: Link) -> None:
        self._record = record
        self._link = link

    async def __call__(self, operation: Callable[..., Any], *args: Any, **options: Any) -> Any:
        result = await self._record(operation, *args, **options)
        step = told(operation, args, options)
        if step is not None:
            self._link.tell(step)
        return result
