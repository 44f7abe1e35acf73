"""What did not succeed, grouped by cause, and what repairs it."""

from decimal import Decimal
from pathlib import Path

from support.bought import Buyer, item, journal_of

from batchgen.core.records import State
from batchgen.journal.queries.failures import FailureRow
from batchgen.standing.commands import option_facts
from batchgen.standing.failures import (
    NO_FAILURES,
    Failures,
    Repair,
    failures_json,
    failures_of,
    format_failures,
    group_causes,
)
from batchgen.virtual import make_dependant

HERA, ZEUS = "hera-1.0-text-to-image", "zeus-1.0-image-to-video"


def manifest_in(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "m.yaml").touch()
    return folder / "m.yaml"


def row(state: State, message: str, items: int = 1, model: str = HERA, price: str = "0.056") -> FailureRow:
    return FailureRow(state, model, "e", message, price, price if state is State.LOST else "0", items)


def test_messages_that_differ_in_ids_numbers_and_quotes_are_one_cause() -> None:
    causes, more = group_causes(
        [
            row(State.FAILED, "worker 17 gave up on job 1f2e3d4c5b6a7f8e", 2),
            row(State.FAILED, "worker 4 gave up on job 99aa88bb77cc66dd", 3),
            row(State.FAILED, 'no "boat" was found'),
            row(State.FAILED, 'no "kite" was found'),
            row(State.FAILED, "worker 4 gave up on job 99aa88bb77cc66dd", 1, ZEUS, "0.30"),
        ]
    )
    assert more == 0
    assert [(c.model, c.items, c.estimated) for c in causes] == [
        (HERA, 5, Decimal("0.280")), (HERA, 2, Decimal("0.112")), (ZEUS, 1, Decimal("0.30")),
    ]  # fmt: skip
    assert causes[0].cause == "worker 17 gave up on job 1f2e3d4c5b6a7f8e"


def test_what_the_api_found_wrong_keeps_causes_apart() -> None:
    causes, _ = group_causes(
        [
            row(State.REJECTED, "The request is invalid. (prompt: the prompt is not allowed)"),
            row(State.REJECTED, "The request is invalid. (images.0: the address could not be fetched)"),
            row(State.REJECTED, "no such thing"),
        ]
    )
    assert sorted(cause.parameter for cause in causes) == ["", "images", "prompt"]


def test_many_causes_are_bounded() -> None:
    causes, more = group_causes(row(State.FAILED, f"because of {chr(0x4E00 + n)}") for n in range(700))
    assert (len(causes), more) == (100, 600)
    found = Failures(causes, more)
    shown = format_failures(found)
    assert len(shown) == 12
    assert failures_json(found)["other_failures"] == 600
    assert "690 of other causes" in shown[-1]


def test_the_repair_covers_what_failed_and_what_waits_behind_it(tmp_path: Path) -> None:
    still = item("still")
    with journal_of(tmp_path, [still, make_dependant("clip", (still, 1)), item("bad"), item("gone")]) as journal:
        buyer = Buyer(journal)
        buyer.fail("still", "the model gave up")
        buyer.reject("bad", "invalid (prompt: must not be this)")
        buyer.lose("gone", "gone")
        journal.settle_chains()
        found = failures_of(journal.db, {"manifest": str(manifest_in(tmp_path / "my manifests"))})
    assert found.repair == Repair(f"batchgen run '{tmp_path}/my manifests/m.yaml' --retry failed", 2, Decimal("0.106"))
    assert {cause.state for cause in found.causes} == {State.FAILED, State.REJECTED, State.LOST}
    shown = "\n".join(format_failures(found))
    assert (
        f"repair: `batchgen run '{tmp_path}/my manifests/m.yaml' --retry failed` buys 2 items again for $0.106" in shown
    )
    assert "fix `prompt` of rejected items in the manifest; the next run buys what was edited" in shown
    lost_command = f"batchgen run '{tmp_path}/my manifests/m.yaml' --retry lost --yes"
    assert f"`{lost_command}` buys 1 lost item again for $0.056: you pay twice" in shown
    assert failures_json(found)["repair_lost"]["command"] == lost_command
    assert failures_json(found)["repair"]["estimated_usd"] == "0.106"
    lost = next(entry for entry in failures_json(found)["failures"] if entry["state"] == "lost")
    assert (lost["lost_usd"], lost["parameter"]) == ("0.056", None)


def test_the_command_is_about_the_same_folder_and_the_same_items(tmp_path: Path) -> None:
    manifest = manifest_in(tmp_path)
    facts = {"manifest": str(manifest), "api": "http://127.0.0.1:8018"}
    facts |= option_facts(["--output", "/my output", "--run", "x"])
    with journal_of(tmp_path, [item("one"), item("two", "A pot")]) as journal:
        buyer = Buyer(journal)
        buyer.fail("one", "why")
        buyer.fail("two", "because")
        journal.select(lambda item_id, _: item_id == "two")
        found = failures_of(journal.db, facts, ["t*"])
        embedded = failures_of(journal.db, {"api": "simulator", "manifest": "/deleted/m.yaml"})
    assert [cause.cause for cause in found.causes] == ["because"]
    command = f"batchgen run {manifest} --output '/my output' --run x --base-url http://127.0.0.1:8018 --only 't*'"
    assert found.repair == Repair(f"{command} --retry failed", 1, Decimal("0.056"))
    assert embedded.repair is not None
    assert embedded.repair.command == "batchgen run MANIFEST --simulate --retry failed"


def test_what_was_rejected_for_no_parameter_can_be_sent_again() -> None:
    causes, _ = group_causes([row(State.REJECTED, "no such model")])
    assert format_failures(Failures(causes))[-1].endswith("`--retry rejected` sends them again as they are")


def test_nothing_failed() -> None:
    assert format_failures(NO_FAILURES) == []
    assert failures_json(NO_FAILURES) == {"failures": [], "other_failures": 0, "repair": None, "repair_lost": None}


def test_hostile_messages_are_harmless() -> None:
    causes, _ = group_causes([row(State.REJECTED, "\x1b[2J(prompt: " + "x" * 5000 + ")")])
    shown = "\n".join(format_failures(Failures(causes)))
    assert "\x1b" not in shown
    assert len(shown) < 600
