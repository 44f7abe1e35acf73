"""How much room a plan will need, as earlier outputs of the same models tell."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from support.bought import Buyer, item, journal_of

from batchgen.plan import Plan
from batchgen.session.checks.disk_space import DiskSpace, disk_space, shown
from batchgen.store import Address

MODEL = item("x").model


def plan(**models: int) -> Plan:
    return Plan("x", {}, 0, Decimal(0), {name: (count, Decimal(0)) for name, count in models.items()})


def test_without_any_run_nothing_is_known(tmp_path: Path) -> None:
    space = disk_space(plan(other=3), tmp_path / "output" / "new")
    assert (space.expected, space.unknown, space.suffices) == (None, 3, True)
    assert space.sentence.startswith("how much room the outputs will take is unknown; ")
    assert space.free > 0


def test_sizes_come_from_the_run_and_from_those_beside_it(tmp_path: Path) -> None:
    with journal_of(tmp_path / "other", [item("a")]) as journal:
        Buyer(journal).done("a")
        journal.db.execute("UPDATE output SET bytes = 1000")
    space = disk_space(plan(**{MODEL: 5, "unknown": 1}), tmp_path / "new")
    assert (space.expected, space.unknown) == (5000, 1)
    with journal_of(tmp_path / "new", [item("a")]) as journal:
        Buyer(journal).done("a")
        journal.db.execute("UPDATE output SET bytes = 10")
    assert disk_space(plan(**{MODEL: 5}), tmp_path / "new").expected == 50


def test_simulated_outputs_say_nothing_of_real_ones(tmp_path: Path) -> None:
    with journal_of(tmp_path / "tried.simulated", [item("a")]) as journal:
        Buyer(journal).done("a")
        journal.note(api="simulator")
    assert disk_space(plan(**{MODEL: 5}), tmp_path / "new").expected is None
    assert disk_space(plan(**{MODEL: 5}), tmp_path / "tried.simulated").expected == 505


def test_a_damaged_journal_beside_it_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "journal.sqlite3").write_bytes(b"no database" * 100)
    assert disk_space(plan(**{MODEL: 5}), tmp_path / "new").unknown == 5


def test_outputs_in_an_object_store_need_no_room_here(tmp_path: Path) -> None:
    space = disk_space(plan(other=3), tmp_path / "new", Address("s3", "films", "spring"))
    assert space.suffices
    assert space.sentence == "the outputs will take room that is unknown in s3://films/spring"
    space = replace(space, expected=2 * space.free, unknown=0)
    assert space.suffices
    assert space.sentence.startswith("the outputs will take about ")


def test_it_says_whether_it_suffices() -> None:
    assert DiskSpace(5 * 1024**3, 2, 1024**3).sentence == (
        "the outputs will take about 5.0 GiB, without 2 items whose size is unknown; 1.0 GiB are free"
    )
    assert not DiskSpace(2, 0, 1).suffices


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 bytes"), (1023, "1,023 bytes"), (1536, "1.5 KiB"), (3 * 1024**5, "3,072 TiB")]
)
def test_sizes_are_shown_with_a_unit(size: int, text: str) -> None:
    assert shown(size) == text
