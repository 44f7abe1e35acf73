"""Long soaks: one seed makes one story of faults, crashes and invocations; then the faults stop, and all must end."""

import math
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from batchgen.core.limits import Count
from batchgen.core.records import UNSUCCESSFUL, Item, State
from batchgen.journal import FILE_NAME
from batchgen.provider import Episode, Fault, Naming
from batchgen.provider.faults import ADDRESS, ANSWER, BEFORE, FETCH, FILE, INPUT, JOB, POLL
from batchgen.receipts import FILE_NAME as RECEIPTS
from batchgen.settings import Settings
from batchgen.virtual.fault_plan import OUTAGE, FaultPlan, episodes
from batchgen.virtual.harness import MODEL, World, make_dependant, make_item, make_items
from batchgen.virtual.provider import Duration, Offer

_DAY = 86400.0
_CHAOS = 8
"""Most invocations while faults strike."""
_CALM = 8
"""Most invocations until everything must have ended, once they have stopped."""
_NIGHT: Mapping[Fault, float] = {
    Fault.FAILED: 0.02, Fault.REJECTED: 0.005, Fault.INPUT_UNFETCHED: 0.005, Fault.LOST_ANSWER: 0.002,
    Fault.UNAVAILABLE: 0.01, Fault.POLL_ERROR: 0.02, Fault.SLOW: 0.01, Fault.FORGOTTEN: 0.002, Fault.TRUNCATED: 0.02,
    Fault.GONE: 0.002, Fault.FILE_EXPIRED: 0.02, Fault.FEWER_OUTPUTS: 0.01,
}  # fmt: skip
_CLIPS = "hera-1.0-image-to-video"
_RETRIES = ((State.FAILED,), (State.FAILED, State.REJECTED), (State.LOST,))
_STORMS = (
    OUTAGE,
    (Fault.STORM, Fault.POLL_ERROR, Fault.TRUNCATED),
    (Fault.LOST_ANSWER,),
    (Fault.UNAVAILABLE,),
    (Fault.BUSY, Fault.POLL_LIMITED),
    (Fault.NO_BALANCE,),
    (Fault.UNAUTHORIZED,),
    (Fault.POLL_UNKNOWN,),
)


@dataclass(frozen=True, slots=True)
class Story:
    """How one seed ended."""

    seed: int
    items: int
    accepted: int
    double_charges: int
    """Bodies accepted more often than was confirmed."""
    forgotten: int
    """Accepted jobs that are not in the journal."""
    crashes: int
    invocations: int
    put_back: int
    """How often an older copy of journal or receipts took the place of the newest one."""
    hours: float
    """Virtual."""
    struck: Counter[Fault]
    counts: dict[State, int]
    trace: str
    violations: tuple[str, ...]


def soak(seed: int, items: int, folder: Path, *, chained: bool = False) -> Story:
    """Play the story of one seed in `folder`, which is new, and return how it ended.

    Where it is `chained`, most items need outputs of others.
    """
    draws = random.Random(f"{'chains' if chained else 'story'} {seed}")  # noqa: S311 - a story must be repeatable
    world = _world(seed, items, folder, draws, chained=chained)
    limits = random.Random(f"limits {seed}")  # noqa: S311
    invocations = put_back = 0
    for _ in range(draws.randint(2, _CHAOS)):
        invocations += 1
        crash_at = int(draws.lognormvariate(math.log(7 * items), 1.5)) + 1 if draws.random() < 0.7 else None
        at = [(draws.uniform(0, 600), lambda s: s.interrupt())] if draws.random() < 0.2 else []
        retry = draws.choice(_RETRIES) if chained and draws.random() < 0.4 else ()
        world.invoke(
            buying=draws.random() < 0.9, crash_at=crash_at, at=at,
            retry=retry, retry_sources=chained and draws.random() < 0.3,
            until=limits.choice((None, None, 900.0, 3600.0)),
            settings=replace(world.settings, canary=limits.choice((None, None, 1, 3))),
        )  # fmt: skip
        world.clock.advance(draws.choice((1.0, 60.0, 3600.0)))
        if draws.random() < 0.5:
            world.keep_copies()
        # One of the two, never both: a snapshot put back whole is for the register of runs to notice.
        if draws.random() < 0.3:
            put_back += world.put_back(draws.choice((FILE_NAME, RECEIPTS)))
    world.provider.follow(FaultPlan())
    calm = Settings(concurrency=world.settings.concurrency, max_in_doubt=items)
    invocations += _end(world, calm, chained=chained)
    return _story(world, seed, items, invocations, put_back)


def night(seed: int, items: int, folder: Path) -> Story:
    """Play one night of chains in `folder`, which is new, and return how it ended.

    Two budgets that end between sources and what needs them, a kill, two hours of waiting, in which files expire, and
    a morning on which all is retried that can be.
    """
    total, draws = Decimal("0.05") * items, random.Random(f"night {seed}")  # noqa: S311 - it must be repeatable
    wanted = make_chains(items, draws)
    offer = Offer(durations={item.model: Duration(20.0, 0.3) for item in wanted})
    settings = Settings(concurrency=64, poll_min=15, poll_max=30, max_in_doubt=items)
    world = World(folder, wanted, seed=seed, settings=settings, faults=FaultPlan(_NIGHT), offer=offer)
    world.invoke(settings=replace(settings, budget=total / 2), crash_at=6 * items)
    world.invoke(settings=replace(settings, budget=total / 4))
    world.clock.advance(7200.0)
    world.invoke()
    world.provider.follow(FaultPlan())
    world.invoke(retry=sorted(UNSUCCESSFUL), retry_sources=True)
    return _story(world, seed, items, 4 + _end(world, settings, chained=True), 0)


def _end(world: World, calm: Settings, *, chained: bool) -> int:
    """Invoke a world in which nothing goes wrong any more until all has ended; return how often."""
    for number in range(_CALM):
        # What needs a file that has expired waits for somebody to agree that its source is bought again.
        world.invoke(settings=calm, retry_sources=chained and number > 0)
        if world.settled():
            return number + 1
        # What is stuck ends when it expires.
        world.clock.advance(_DAY * (8 if number else 0.01))
    world.violations.append(f"not all has ended after {_CALM} calm invocations")
    return _CALM


def _story(world: World, seed: int, items: int, invocations: int, put_back: int) -> Story:
    books = world.provider.books
    double = sum(times > world.consented[digest] for digest, times in books.accepted.items())
    return Story(
        seed, items, len(books.jobs), double, world.forgotten(), world.crashes, invocations, put_back,
        world.clock.seconds / 3600, world.provider.faults.struck, world.counts(), world.provider.trace,
        tuple(dict.fromkeys(world.violations)),
    )  # fmt: skip


def make_chains(count: int, draws: random.Random) -> list[Item]:
    """Return `count` items in any order: pictures, edits of these, several of one, and clips of both."""
    items: list[Item] = []
    while len(items) < count:
        outputs, n = draws.choice((1, 1, 3)), len(items)
        # The same request under two ids now and then, and the same edits of both.
        same = f"twin {n}" if draws.random() < 0.1 else ""
        for still in [make_item(f"still{n}{twin}", same, outputs=outputs) for twin in ("ab" if same else "a")]:
            items.append(still)
            for number in range(draws.choice((1, 1, 2, 3, 8))):
                name, source = f"{still.id}-edit{number}", (still, 1 + number % outputs)
                edit = make_dependant(name, source, prompt=f"{same} edit {number}" if same else "")
                items.append(edit)
                if draws.random() < 0.6:
                    items.append(make_dependant(f"{name}-clip", (edit, 1), source, model=_CLIPS))
    del items[count:]
    draws.shuffle(items)
    return items


def _world(seed: int, items: int, folder: Path, draws: random.Random, *, chained: bool) -> World:
    """Return the world of a story: some faults at some rates, some storms, some limits."""
    kinds = [*BEFORE, *ANSWER, *JOB, *POLL, *ADDRESS, *FETCH, *FILE, *(INPUT if chained else ())]
    rates = {kind: draws.choice((0.01, 0.03, 0.1)) for kind in kinds if draws.random() < 0.4}
    # Each of these ends an invocation: more of them would leave nothing to see.
    rates |= {kind: 0.0005 for kind in (Fault.UNAUTHORIZED, Fault.NO_BALANCE) if kind in rates}
    # Prices that change are hard to tell from broken promises: rarer, and by themselves.
    for kind in (Fault.DRIFT, Fault.COST_MISSING, Fault.COST_LOW):
        rates.pop(kind, None)
    if draws.random() < 0.2:
        rates[Fault.DRIFT] = 0.1
    for kind in (Fault.COST_MISSING, Fault.COST_LOW):
        if draws.random() < 0.15:
            rates[kind] = draws.choice((0.1, 1.0))
    storms: list[Episode] = []
    for _ in range(draws.randint(0, 4)):
        start = draws.uniform(0, 4000)
        storms += episodes(start, start + draws.choice((5.0, 60.0, 900.0, 4000.0)), draws.choice(_STORMS))
    total = Decimal("0.05") * items
    settings = Settings(
        concurrency=draws.choice((1, 4, 16, 50)),
        max_cost=draws.choice((None, total / 2, total)),
        budget=draws.choice((None, total / 5)),
        max_new=draws.choice((None, None, items // 3)),
        max_failures=draws.choice((None, None, Count(5))),
        max_in_doubt=draws.choice((None, items)),
        job_timeout=draws.choice((None, 900.0)),
        downloads=draws.choice((1, 8)),
        submit=draws.choice(("poll", "poll", "wait")),
    )
    wanted = make_items(items - items // 4, outputs=draws.choice((1, 1, 3)))
    # The same body under several ids is bought once for each id.
    wanted += [make_item(f"twin{n}", f"twin {n // 2}") for n in range(items // 4)]
    if chained:
        wanted = make_chains(items, draws)
    model = MODEL
    offer = Offer(
        durations={model: Duration(draws.choice((5.0, 60.0, 300.0)), 0.5)},
        prices={model: Decimal(draws.choice(("0.05", "0.05", "0.05", "0.25")))},
        naming=Naming(refunds_to_zero=draws.random() < 0.5),
    )
    return World(folder, wanted, seed=seed, settings=settings, faults=FaultPlan(rates, tuple(storms)), offer=offer)
