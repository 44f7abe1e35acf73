"""A run that is ready to go: everything that one run of the scheduler needs, and the seam to those who buy for it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Protocol

from batchgen.catalog import Catalog
from batchgen.client import DIRECT, Route
from batchgen.core.credentials import ApiKey
from batchgen.core.files import free_bytes
from batchgen.journal import Journal
from batchgen.scheduler import RunState
from batchgen.scheduler.workers import Workers
from batchgen.session.shards import Leased
from batchgen.session.sharing import Sharing
from batchgen.settings import Settings
from batchgen.store.pictures import PicturePlace


class Engine(Protocol):
    """Where workers run. What they are, a session need not know."""

    def workers(self, run: "OpenRun", run_state: RunState) -> AbstractAsyncContextManager[Workers | None]:
        """Give the workers of a run while the block runs; None where it needs none. Raises UsageError, OutsideError."""
        ...


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run folder that is owned, bound and listed, and everything that one run of the scheduler needs beside it."""

    name: str
    journal: Journal
    settings: Settings
    catalog: Catalog
    base_url: str
    key: ApiKey
    buying: bool
    asked_caps: Mapping[str, Decimal | None] = field(default_factory=dict)
    """The caps that were asked for, USD; without any, what `settings` has is the confirmed estimate."""
    only: Sequence[str] = ()
    """The patterns that select its items; none: all of them."""
    until: datetime | None = None
    """When it is to be over, in UTC; None: whenever it is."""
    wait_for_balance: bool = False
    ask_lost: bool = True
    """Whether lost jobs are asked for again, at no cost."""
    pictures: tuple[Path, PicturePlace] | None = None
    """The item table that names its local pictures, and the place where these get their addresses."""
    route: Route = DIRECT
    """The way to the API."""
    sharing: Sharing | None = None
    """The limits that it shares with other runs."""
    shard: Leased | None = None
    """The shard that it is, whose lease it holds."""
    engine: Engine | None = None
    """Where others buy for it; None: it buys alone."""
    free: Callable[[Path], int] = free_bytes
    """How many bytes are free on the disk of a folder."""

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.journal.path.parent
