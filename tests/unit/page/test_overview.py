"""How a run stands as a whole."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.bought import START, Buyer, item, journal_of

from batchgen.core.records import Input
from batchgen.page import RunPage, groups
from batchgen.page.series import POINTS
from batchgen.picks import Pick, append_picks
from batchgen.standing.last_run import LastRun, last_run_fact

WAITING = replace(
    item("spin", model="zeus-1.0-image-to-video", price="0.30"), inputs=(Input("image", "mug", 0),)
)  # fmt: skip
ITEMS = [
    item("mug", tags={"client": "acme"}), item("vase", tags={"client": "acme"}), item("bowl", tags={"client": "z"}),
    item("jug", num_images=2), item("cup"), WAITING,
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with journal_of(tmp_path, ITEMS) as journal:
        journal.link_chains()
        buyer = Buyer(journal)
        buyer.works["spin"] = buyer.works["mug"]
        buyer.done("mug", outputs=3, cost="0.168")
        buyer.done("vase", cost="0.056")
        buyer.fail("bowl", "overloaded", cost="0.056")
        buyer.doubt("jug", "connection reset")
        journal.note(
            manifest="/home/somebody/jobs/spring.yaml",
            **last_run_fact(LastRun(
                began_at=START, ended_at=START, stopped_because="budget", detail="budget reached", exit_code=3,
                max_cost=Decimal(20), budget=Decimal(1), spent_before=Decimal("0.5"),
            )),
        )  # fmt: skip
    return tmp_path


def overview_of(folder: Path) -> dict[str, Any]:
    with RunPage(folder) as page:
        return page.overview()


def test_what_was_made_and_what_it_cost(folder: Path) -> None:
    found = overview_of(folder)
    assert (found["run"], found["simulated"], found["running"]) == ("spring", False, False)
    assert found["counts"] == {"pending": 2, "done": 2, "failed": 1, "in_doubt": 1}
    assert (found["items"], found["outputs"], found["unfinished"]) == (6, 4, 3)
    assert found["money"] == {
        "charged_usd": "0.28", "refunded_usd": "-0.056", "net_usd": "0.224", "in_doubt_usd": "0.056",
        "left_usd": "0.356", "max_cost_usd": "20.00", "budget_usd": "1.00",
    }  # fmt: skip
    assert [(row["name"], row["items"], row["done"], row["outputs"], row["net_usd"]) for row in found["by_model"]] == [
        ("hera-1.0-text-to-image", 5, 2, 4, "0.224"),
        ("zeus-1.0-image-to-video", 1, 0, 0, "0.00"),
    ]
    assert found["by_model"][0]["per_output_usd"] == "0.056"
    assert [(row["name"], row["net_usd"]) for row in found["by_tag"]["client"]] == [("acme", "0.224"), ("z", "0.00")]
    assert [row["jobs"] for row in found["durations"]] == [2]
    assert found["started_at"] == "2026-01-31T23:59:59Z"


def test_what_an_output_cost_leaves_out_jobs_that_have_none_yet(tmp_path: Path) -> None:
    with journal_of(tmp_path, ITEMS) as journal:
        buyer = Buyer(journal)
        buyer.done("vase", cost="0.056")
        buyer.accept("cup", cost="0.056")
    row = overview_of(tmp_path)["by_model"][0]
    assert (row["net_usd"], row["outputs"], row["per_output_usd"]) == ("0.112", 1, "0.056")


def test_why_it_stopped_and_what_to_do_next(folder: Path) -> None:
    found = overview_of(folder)
    assert (found["stopped_because"], found["exit_code"]) == ("budget", 3)
    assert found["stop_text"] == "Stopped: budget reached"
    assert [step["command"] for step in found["next"]] == [
        f"batchgen resolve {folder.name} --export doubts.csv", "batchgen run MANIFEST", f"batchgen view {folder.name}",
        "batchgen run MANIFEST --retry failed",
    ]  # fmt: skip
    assert found["next"][3]["text"] == "Buy 1 failed item again for $0.056"
    assert found["repair"] == {
        "command": "batchgen run MANIFEST --retry failed", "items": 1, "estimated_usd": "0.056",
    }  # fmt: skip
    (doubt,) = found["doubts"]
    assert (doubt["item_id"], doubt["in_doubt_usd"], doubt["reason"]) == ("jug", "0.056", "connection reset")
    assert doubt["command"] == f"batchgen resolve {folder.name} jug"


def test_no_folder_of_this_machine_is_told(tmp_path: Path) -> None:
    manifest = tmp_path / "my jobs" / "spring time.yaml"
    manifest.parent.mkdir()
    manifest.touch()
    with journal_of(tmp_path / "run", ITEMS) as journal:
        Buyer(journal).fail("bowl", "overloaded")
        journal.note(manifest=str(manifest))
    found = overview_of(tmp_path / "run")
    assert found["repair"]["command"] == "batchgen run 'spring time.yaml' --retry failed"
    assert str(tmp_path) not in str(found)


def test_what_waits_for_a_person(folder: Path) -> None:
    found = overview_of(folder)
    assert (found["waiting"]["items"], found["waiting"]["estimated_usd"]) == (1, "0.30")
    assert found["waiting"]["sources"] == [{"item_id": "mug", "key": 1, "waiting": 1, "estimated_usd": "0.30"}]
    assert found["picks"] == {"keep": 0, "reject": 0, "unpicked": 4}
    append_picks(folder, [Pick("mug", ITEMS[0].digest, 2, f"{2:064x}", "keep")])
    picked = overview_of(folder)
    assert picked["picks"] == {"keep": 1, "reject": 0, "unpicked": 3}
    assert (picked["waiting"]["items"], picked["waiting"]["sources"]) == (0, []), "the next run buys it"
    assert picked["waiting"]["estimated_usd"] == "0.00"
    assert not any("picked" in step["text"] for step in picked["next"])
    append_picks(folder, [Pick("mug", ITEMS[0].digest, 3, f"{3:064x}", "keep")])
    assert overview_of(folder)["waiting"]["items"] == 1, "two are kept: nobody knows which one is meant"


def test_a_run_that_waited_says_so_until_all_is_picked(folder: Path) -> None:
    with journal_of(folder, ITEMS) as journal:
        journal.note(**last_run_fact(LastRun(
            began_at=START, ended_at=START, stopped_because="waiting_for_pick", detail="1 item waits", exit_code=3,
        )))  # fmt: skip
    assert overview_of(folder)["stop_text"] == "Stopped: 1 item waits"
    append_picks(folder, [Pick("mug", ITEMS[0].digest, 2, f"{2:064x}", "keep")])
    found = overview_of(folder)
    assert found["stop_text"] == "Everything that others wait for is picked; the next run buys them"
    assert "batchgen run MANIFEST" in [step["command"] for step in found["next"]]


def test_series_end_where_the_sums_stand(folder: Path) -> None:
    series = overview_of(folder)["series"]
    cost, flight, lag = series["cost"], series["in_flight"], series["lag"]
    assert cost["net"][-1] == pytest.approx(0.224)
    assert cost["cap"] == 1.5, "what was spent before, and this invocation's budget"
    assert max(cost["net"]) == pytest.approx(0.28), "before the refund"
    assert (flight["jobs"][-1], max(flight["jobs"])) == (0, 1)
    assert len(lag["t"]) == len(lag["median_s"]) == len(lag["worst_s"]) == 3
    for one in (cost, flight, lag):
        assert one["t"] == sorted(one["t"])
        assert len(one["t"]) <= POINTS


def test_flags_are_counted_by_output(folder: Path) -> None:
    with journal_of(folder, ITEMS) as journal:
        journal.db.executemany(
            "INSERT INTO delivered (attempt, number, sha256, judged, flags) VALUES (1, ?, ?, 1, ?)",
            [(1, f"{1:064x}", "blank;small"), (2, f"{2:064x}", "small")],
        )
    found = overview_of(folder)
    assert [(row["flag"], row["outputs"]) for row in found["flags"]] == [("small", 2), ("blank", 1)]
    assert all(row["meaning"] for row in found["flags"])
    assert found["facets"]["flags"] == [{"name": "small", "items": 2}, {"name": "blank", "items": 1}]
    assert found["facets"]["tags"][0] == {"name": "client=acme", "items": 2}


def test_many_values_of_a_tag_are_summed_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "_DISTINCT", 30)
    with journal_of(tmp_path, [item(f"i{n}", tags={"sku": f"S-{n}"}) for n in range(40)]) as journal:
        buyer = Buyer(journal)
        for number in range(40):
            buyer.done(f"i{number}", cost=f"0.{number + 10}")
    rows = overview_of(tmp_path)["by_tag"]["sku"]
    assert len(rows) == 21
    assert rows[0]["name"] == "S-35", "the dearest of the thirty that are told apart"
    assert rows[-1]["name"] == groups.OTHERS
    assert sum(row["items"] for row in rows) == 40
    assert sum(Decimal(row["net_usd"]) for row in rows) == sum(Decimal(f"0.{n + 10}") for n in range(40))


def test_a_run_that_has_not_begun(tmp_path: Path) -> None:
    with journal_of(tmp_path, []):
        pass
    found = overview_of(tmp_path)
    assert (found["items"], found["started_at"], found["next"], found["stop_text"]) == (0, None, [], "")
    assert found["series"]["cost"] == {"t": [], "net": [], "cap": None}
