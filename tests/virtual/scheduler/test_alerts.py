"""What a person is told while a run goes on, in virtual time: looked at every few seconds, as the session does."""

from decimal import Decimal
from pathlib import Path
from typing import Any

from support.worlds import Log, run_clean, storm, strike, world_of

from batchgen.policy.alerts import CapNear, FirstDoubt, Paused, Resumed
from batchgen.scheduler import Scheduler
from batchgen.session.host import Alerted, Event
from batchgen.session.watching import Watch
from batchgen.virtual import OUTAGE, Fault, World, make_items


def told_of(world: World, *, until: int, caps: dict[str, Decimal | None] | None = None) -> list[tuple[int, Alerted]]:
    """Run once, and return what was told, with the seconds since the beginning."""
    told: list[tuple[int, Alerted]] = []
    watches: list[Watch] = []

    def look(second: int) -> Any:
        def at(scheduler: Scheduler) -> None:
            def listen(event: Event) -> None:
                if isinstance(event, Alerted):
                    told.append((second, event))

            if not watches:
                run_state = scheduler.run_state
                watches.append(Watch("run", run_state, listen, caps=caps or {}, doubts=0, months=[], simulated=False))
            watches[0]._listen = listen
            watches[0].tell()

        return at

    run_clean(world, at=[(second, look(second)) for second in range(1, until)])
    return told


def test_an_outage_is_told_once_it_has_outlasted_a_probe_and_so_is_its_end(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(50), *storm(OUTAGE, start=60, end=120), concurrency=2, median=10)
    told = told_of(world, until=300)
    assert [event.alert for _, event in told if not isinstance(event.alert, FirstDoubt)] == [
        Paused("outage"), Resumed(),
    ]  # fmt: skip
    (paused, resumed) = (second for second, event in told if isinstance(event.alert, Paused | Resumed))
    assert 60 < paused < 70
    assert 120 <= resumed <= 185, "a probe leaves after 60 s at the latest"


def test_a_connection_that_fails_once_is_not_told(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(40), strike(Fault.NOT_SENT, start=30, end=33), concurrency=3, median=10)
    log = Log(world)
    assert told_of(world, until=200) == []
    assert len([what for _, what in log.events if what[0] == "submit" and what[3] is Fault.NOT_SENT]) == 1


def test_doubts_in_a_row_are_a_first_doubt_and_a_pause(tmp_path: Path) -> None:
    world = world_of(
        tmp_path,
        make_items(100),
        strike(Fault.LOST_ANSWER, start=30, end=60),
        concurrency=4,
        median=10,
        max_in_doubt=99,
    )
    told = told_of(world, until=200)
    kinds = [type(event.alert) for _, event in told]
    assert kinds == [FirstDoubt, Paused, Resumed]
    assert told[0][1].figures["in_doubt"] >= 1
    assert Decimal(told[0][1].figures["in_doubt_usd"]) > 0


def test_a_cap_is_told_from_four_fifths_on_with_the_money_of_that_moment(tmp_path: Path) -> None:
    cap = Decimal("2.00")
    world = world_of(tmp_path, make_items(200), concurrency=4, median=10, max_cost=cap)
    told = told_of(world, until=400, caps={"max_cost": cap})
    ((_, event),) = told
    assert isinstance(event.alert, CapNear)
    assert Decimal("1.60") <= event.alert.use.committed <= cap
    assert Decimal(event.figures["net_usd"]) <= cap
    assert event.figures["exit_code"] is None
