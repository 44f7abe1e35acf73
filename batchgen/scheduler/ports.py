"""What a run is given: the outside world, and the conditions on which it buys."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchgen.api import Api
from batchgen.core.clock import UtcNow
from batchgen.core.descriptors import PLENTY, Shares
from batchgen.core.records import Item
from batchgen.download import Offload
from batchgen.item_table.pictures import Picture, picture_file
from batchgen.journal import Journal, Recorder
from batchgen.policy.until import Until
from batchgen.scheduler.judging.judgement import AS_IT_COMES, Standards
from batchgen.settings import Settings
from batchgen.store import OutputStore
from batchgen.store.pictures import PictureChangedError, PicturePlace


def always() -> bool:
    """Return that nobody else can: the run folder is locked."""
    return True


@dataclass(frozen=True, slots=True)
class PictureSource:
    """Where the local pictures of a run are, and where they get their addresses."""

    item_table: Path
    place: PicturePlace
    wait: Callable[..., Awaitable[Any]]
    """Calls a function outside the event loop, few at a time."""

    def address(self, picture: Picture) -> str:
        """Return an address of a picture. Raises PictureChangedError, StoreError, UsageError."""
        file = picture_file(self.item_table, picture)
        if file is None:
            raise PictureChangedError(f"the manifest names no file for the picture {picture.name}")
        return self.place.address(picture.name, file)


@dataclass(frozen=True, slots=True)
class RunPorts:
    """The outside world, handed in."""

    api: Api
    journal: Journal
    record: Recorder
    store: OutputStore
    utc_now: UtcNow
    random: random.Random
    offload: Offload
    """Runs what touches files outside the event loop; in virtual time, at once."""
    decode: Callable[..., Awaitable[Any]] = asyncio.to_thread
    """Runs a function outside the event loop, for what takes much of a processor."""
    upload: Offload | None = None
    """Runs what waits for a remote store, several calls at a time; None: outputs go to the disk."""
    pictures: PictureSource | None = None
    """Where local pictures are; None: no item needs one."""
    holds: Callable[[], bool] = always
    """Whether no other process can be buying the same items by now; asked before each request that costs money."""

    @property
    def wait(self) -> Offload:
        """Runs what asks something of the store."""
        return self.upload or self.offload


@dataclass(frozen=True, slots=True)
class RunPolicy:
    """What is bought, and on which conditions."""

    settings: Settings
    account: str
    catalog_version: str
    endpoints: Mapping[str, str]
    """Path of the create endpoint by model."""
    kinds: Mapping[str, str]
    """`image` or `video` by model."""
    price_key: Callable[[Item], str]
    """Names what the price of an item depends on (`batchgen.catalog.price_key`)."""
    shape: Callable[[str, str], str] = lambda model, _: model
    """Names what the items of a model and a body (as JSON) have in common (`batchgen.catalog.shape_of`)."""
    outputs: Callable[[Item], int] = lambda _: 1
    """How many outputs an item orders (`batchgen.catalog.outputs_of`)."""
    standards: Standards = AS_IT_COMES
    """What files are judged by."""
    unjudged: bool = False
    """Whether earlier invocations left files to be judged."""
    chained: bool = True
    """Whether there may be items that need outputs of others."""
    buying: bool = True
    wait_for_balance: bool = False
    """Whether to wait for an empty balance to be refilled, instead of stopping submissions."""
    shares: Shares = PLENTY
    """How many requests and files may be open at once, whatever the settings allow."""
    until: Until | None = None
    """When the run is to be over; None: whenever it is."""
    ask_lost: bool = False
    """Whether to ask for lost jobs once more."""
