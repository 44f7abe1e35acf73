"""Mistakes with chains, planted one by one: the checks of virtual time must catch each of them."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from batchgen.core.records import State
from batchgen.journal import Journal, SourceOutput, Work
from batchgen.scheduler.chains import Addressed, AskAgain, Chains, LeftPending
from batchgen.scheduler.pending import PendingItems
from batchgen.settings import Settings
from batchgen.virtual import Fault, FaultPlan, World, make_dependant, make_item
from batchgen.virtual.soak import make_chains
from batchgen.virtual.watching import WatchedApi

Plant = Callable[[pytest.MonkeyPatch], None]

FAULTS = FaultPlan({
    Fault.FAILED: 0.1,
    Fault.REJECTED: 0.03,
    Fault.FILE_EXPIRED: 0.5,
    Fault.LOST_ANSWER: 0.02,
    Fault.POLL_ERROR: 0.05,
})  # fmt: skip


def gauntlet(folder: Path) -> list[str]:
    """Run chains through faults, a kill and hours of waiting, then through calm; return the promises that were broken.

    Then the failed items are retried, and what has expired is bought again, both as agreed.
    """
    calm = Settings(concurrency=8, max_in_doubt=100)
    for seed in range(2):
        items = make_chains(40, random.Random(seed))
        world = World(folder / str(seed), items, seed=seed, settings=replace(calm, max_new=8), faults=FAULTS)
        for crash_at, later in ((150, 60.0), (None, 7200.0), (None, 60.0)):
            world.invoke(crash_at=crash_at)
            world.clock.advance(later)
        world.provider.follow(FaultPlan())
        world.invoke(settings=calm, retry=[State.FAILED, State.REJECTED])
        for _ in range(3):
            world.invoke(settings=calm, retry_sources=True)
        if world.violations:
            return world.violations
        if not world.settled():
            return ["not all has ended"]
    return []


def test_nothing_is_caught_where_nothing_is_planted(tmp_path: Path) -> None:
    assert gauntlet(tmp_path) == []


def sends_the_address_that_needs_the_key(patch: pytest.MonkeyPatch) -> None:
    async def address(self: WatchedApi, url: str) -> str:
        return url

    patch.setattr(WatchedApi, "public_address", address)


def sends_an_address_that_was_given_out_earlier(patch: pytest.MonkeyPatch) -> None:
    ask, earlier = WatchedApi.public_address, dict[str, str]()

    async def address(self: WatchedApi, url: str) -> str:
        if url not in earlier:
            earlier[url] = await ask(self, url)
        return earlier[url]

    patch.setattr(WatchedApi, "public_address", address)


def sends_the_first_output_whatever_was_asked_for(patch: pytest.MonkeyPatch) -> None:
    find = Journal.input_outputs

    def first(self: Journal, work: Work) -> list[SourceOutput]:
        return [replace(source, url=f"{source.url.rpartition('/')[0]}/1") for source in find(self, work)]

    patch.setattr(Journal, "input_outputs", first)


def does_not_wait_for_what_is_needed(patch: pytest.MonkeyPatch) -> None:
    find = Chains.address

    async def address(self: Chains, work: Work) -> Addressed | AskAgain | LeftPending:
        found = await find(self, work)
        return Addressed(work, ()) if isinstance(found, LeftPending) else found

    statement = "UPDATE item SET blocked = 0 WHERE blocked <> 0 RETURNING key"
    patch.setattr("batchgen.journal.chains._BLOCK", statement)
    patch.setattr(Chains, "address", address)


def skips_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("batchgen.journal.chains._SKIP", "UPDATE item SET state = state WHERE false RETURNING key")


def leaves_skipped_what_could_be_bought_again(patch: pytest.MonkeyPatch) -> None:
    statement = "UPDATE item SET state = state WHERE false RETURNING key"
    patch.setattr("batchgen.journal.chains._UNSKIP", statement)


def starts_nothing_when_it_becomes_free(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(PendingItems, "free", lambda *_: None)


def buys_an_expired_source_without_asking(patch: pytest.MonkeyPatch) -> None:
    requeue = Journal.requeue_for

    def always(self: Journal, *what: Any, expired_sources: bool = False) -> None:
        requeue(self, *what, expired_sources=True)

    patch.setattr(Journal, "requeue_for", always)


def buys_a_done_item_again_once_its_source_has_ended(patch: pytest.MonkeyPatch) -> None:
    advance = Journal.advance_chain

    def again(self: Journal, source: int) -> Any:
        self.db.execute(
            "UPDATE item SET state = 'pending' WHERE state = 'done' AND key IN"
            " (SELECT dependant FROM dependency WHERE source = ?)",
            (source,),
        )
        return advance(self, source)

    patch.setattr(Journal, "advance_chain", again)


MISTAKES: list[Plant] = [
    sends_the_address_that_needs_the_key,
    sends_an_address_that_was_given_out_earlier,
    sends_the_first_output_whatever_was_asked_for,
    skips_nothing,
    leaves_skipped_what_could_be_bought_again,
    starts_nothing_when_it_becomes_free,
    buys_an_expired_source_without_asking,
    buys_a_done_item_again_once_its_source_has_ended,
]


@pytest.mark.parametrize("plant", MISTAKES, ids=lambda plant: plant.__name__)
def test_a_planted_mistake_with_chains_is_caught(plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    assert gauntlet(tmp_path)


def test_a_run_that_does_not_wait_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    still = make_item("still")
    world = World(tmp_path, [make_dependant("edit", (still, 1)), still])
    does_not_wait_for_what_is_needed(monkeypatch)
    world.invoke()
    assert "edit left with no outputs" in world.violations[0]
