"""A machine that is frozen while another takes over its shard, and comes back: nothing is bought twice."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.shards.machines import Account, ShardWorld, freeze
from support.worlds import in_memory

from batchgen.core.errors import StoreError
from batchgen.core.records import State
from batchgen.lease.holding import MARGIN, TAKEN_OVER
from batchgen.virtual.harness import make_items

ITEMS = 24
ONE_POST = 0.4
"""Seconds that a request may be on its way."""


@pytest.fixture
def folder() -> Iterator[Path]:
    with in_memory() as memory:
        yield memory


@pytest.mark.parametrize("frozen_at", [0.05, 3.0, 20.0, 61.5, 63.0, 66.0])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_frozen_holder_that_comes_back_buys_nothing(folder: Path, frozen_at: float, seed: int) -> None:
    account = Account(folder, make_items(ITEMS), seed)
    first, second = ShardWorld(folder / "a", account, "node-a"), ShardWorld(folder / "b", account, "node-b")
    sent: list[float] = []
    account.provider.listeners.append(lambda at, *what: sent.append(at) if what[0] == "submit" else None)
    outcome = first.start(at=[(frozen_at, freeze(second))])
    assert account.bought_twice() == []
    assert (outcome.word, outcome.exit_code) == ("lease", 5)
    counts = second.counts()
    assert counts.get(State.DONE, 0) + counts.get(State.IN_DOUBT, 0) == ITEMS
    assert counts.get(State.IN_DOUBT, 0) <= 4, "what was on its way"
    assert len(account.provider.books.jobs) <= ITEMS
    assert sent == sorted(sent)


def test_without_its_lease_it_would_buy_all_once_more(folder: Path) -> None:
    """So that the tests above cannot pass by chance."""
    account = Account(folder, make_items(ITEMS), 1)
    first = ShardWorld(folder / "a", account, "node-a", heeds=False)
    second = ShardWorld(folder / "b", account, "node-b")
    first.start(at=[(20.0, freeze(second))])
    assert len(account.bought_twice()) > ITEMS / 2


def test_a_holder_whose_heartbeats_fail_stops_buying_in_time_and_goes_on_once_they_succeed(folder: Path) -> None:
    account = Account(folder, make_items(ITEMS), 1)
    world = ShardWorld(folder / "a", account, "node-a")
    sent: list[float] = []
    account.provider.listeners.append(lambda at, *what: sent.append(at) if what[0] == "submit" else None)

    def fails(name: str) -> None:
        if name.endswith("lease") and 41 < account.clock.seconds < 150:
            raise StoreError("the store did not answer in time")

    account.place.before_writing = fails
    outcome = world.start()
    assert (outcome.word, outcome.exit_code) == (None, 0)
    silent = 40.0 + TAKEN_OVER - MARGIN
    assert [at for at in sent if silent + ONE_POST < at < 150] == []
    assert [at for at in sent if 40 < at <= silent + ONE_POST]
    assert [at for at in sent if at > 150]
    assert account.bought_twice() == []


def test_a_lease_that_cannot_be_renewed_for_long_ends_the_run(folder: Path) -> None:
    account = Account(folder, make_items(ITEMS), 1)
    world = ShardWorld(folder / "a", account, "node-a")

    def fails(name: str) -> None:
        if name.endswith("lease") and account.clock.seconds > 41:
            raise StoreError("the store did not answer in time")

    account.place.before_writing = fails
    outcome = world.start()
    assert (outcome.word, outcome.exit_code) == ("lease", 5)
    assert 1800 < outcome.seconds < 1900


def test_receipts_that_cannot_be_kept_beside_the_lease_stop_the_run_before_the_request_leaves(folder: Path) -> None:
    account = Account(folder, make_items(ITEMS), 1)
    world = ShardWorld(folder / "a", account, "node-a")
    sent: list[float] = []
    account.provider.listeners.append(lambda at, *what: sent.append(at) if what[0] == "submit" else None)

    def fails(name: str) -> None:
        if "receipts" in name and account.clock.seconds > 50:
            raise StoreError("the store did not answer in time")

    account.place.before_writing = fails
    with pytest.raises(StoreError):
        world.start()
    assert sent
    assert max(sent) < 50 + ONE_POST
    account.place.before_writing = lambda _: None
    again = world.start()
    assert account.bought_twice() == []
    assert again.exit_code in (0, 4)
