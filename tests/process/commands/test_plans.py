"""`plan` beside the run that follows it, and what a run with failures says about its repair."""

import json
import re
import shlex
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.bought import Buyer, item, journal_of
from support.running import FAST, batchgen, simulator, summary_of

MANIFEST = """\
version: 1
name: plates
defaults: {model: hera-1.0-text-to-image}
items:
  - {id: plate, prompt: A plate, num_images: 2, tags: {kind: dish}}
  - {id: bowl, prompt: "A bowl\\nfrom above", tags: {kind: dish}}
  - {id: bowl-turns, model: zeus-1.0-image-to-video, image: "${items.bowl.output}", prompt: It turns}
"""


def planned(folder: Path, *options: object) -> Any:
    result = batchgen("plan", "plates.yaml", "--json", *options, cwd=folder)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def spent(folder: Path) -> Decimal:
    return Decimal(json.loads(batchgen("status", "plates.yaml", "--json", cwd=folder).stdout)["net_usd"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "plates.yaml").write_text(MANIFEST, encoding="utf-8")
    return tmp_path


def test_failures_name_the_command_that_repairs_them_and_its_price(folder: Path) -> None:
    with simulator("--speed", 500, "--media", "tiny", "--fault", "failed=1") as api:
        failed = batchgen("run", "plates.yaml", "--base-url", api.url, "--max-cost", "5", *FAST, cwd=folder)
    assert failed.returncode == 1
    summary = summary_of(failed)
    (cause,) = summary["failures"]
    assert (cause["state"], cause["items"], cause["estimated_usd"]) == ("failed", 2, "0.168")
    repair = summary["repair"]
    # The clip behind the bowl was skipped, and is bought with it.
    assert (repair["items"], repair["estimated_usd"]) == (3, "0.468")
    status = batchgen("status", "plates.yaml", cwd=folder).stdout
    assert f"repair: `{repair['command']}` buys 3 items again for $0.468" in status
    words = shlex.split(repair["command"])
    assert words[:3] == ["batchgen", "run", str(folder / "plates.yaml")]
    assert planned(folder, "--retry", "failed")["estimated_usd"] == "0.468"
    # The command itself, once the provider has recovered: from another folder, at the price that was named.
    port = api.url.rpartition(":")[2]
    with simulator("--speed", 500, "--media", "tiny", "--seed", 1, "--port", port) as api:
        (folder / "elsewhere").mkdir()
        result = batchgen(*words[1:], "--max-cost", "5", *FAST, cwd=folder / "elsewhere")
        assert result.returncode == 0, result.stderr
        assert api.account()["duplicates"] == 0
    assert json.loads(result.stdout)["failures"] == []
    assert spent(folder) == Decimal("0.468")


def test_what_a_plan_names_is_what_the_run_costs(folder: Path) -> None:
    with simulator("--speed", 500, "--media", "tiny") as api:
        run = ("run", "plates.yaml", "--base-url", api.url, "--max-cost", "9", *FAST, "--yes")
        before = planned(folder)
        assert before["by_tag"] == [{"tag": "kind", "value": "dish", "items": 2, "estimated_usd": "0.168"}]
        assert (before["expected_bytes"], before["expected_bytes_unknown_items"]) == (None, 3)
        assert batchgen(*run, cwd=folder).returncode == 0
        assert spent(folder) == Decimal(before["estimated_usd"])
        (folder / "plates.yaml").write_text(MANIFEST.replace("A bowl", "A blue bowl"), encoding="utf-8")
        options = ("--again", "plate")
        plan = planned(folder, *options, "--items")
        rows = {row["id"]: row for row in plan["rows"]}
        assert {name: row["state"] for name, row in rows.items()} == {
            "plate": "again", "bowl": "changed", "bowl-turns": "changed",
        }  # fmt: skip
        assert rows["bowl"]["changed"] == [
            {"name": "prompt", "from": "A bowl\nfrom above", "to": "A blue bowl\nfrom above"}
        ]
        assert "1 finished item will be bought again" in plan["notes"]
        assert plan["expected_bytes"] > 0
        assert plan["free_bytes"] > 0
        assert batchgen(*run, *options, cwd=folder).returncode == 0
        assert spent(folder) == Decimal(before["estimated_usd"]) + Decimal(plan["estimated_usd"])


def test_warnings_have_a_place_and_items_are_listed_with_changes(folder: Path) -> None:
    text = MANIFEST.replace("It turns", "'It ${turns'")
    (folder / "plates.yaml").write_text(text, encoding="utf-8")
    (warning,) = planned(folder)["warnings"]
    assert re.fullmatch(r".*plates\.yaml:7:\d+", warning["place"])
    assert warning["message"].startswith("`${turns` is sent unchanged")
    result = batchgen("plan", "plates.yaml", "--items", "--detailed-exitcode", cwd=folder)
    assert result.returncode == 10
    assert "prompt: A bowl\n" in result.stdout
    assert "from above\n" in result.stdout


def test_a_disk_that_is_too_small_is_warned_of(folder: Path) -> None:
    with journal_of(folder / "output" / "other", [item("mug")]) as journal:
        Buyer(journal).done("mug")
        journal.db.execute("UPDATE output SET bytes = ?", (10**17,))
    text = batchgen("plan", "plates.yaml", cwd=folder).stdout
    sentence = "the outputs will take about 181,899 TiB, without 1 item whose size is unknown; "
    assert f"\nwarning: {sentence}" in text
    plan = planned(folder)
    assert plan["expected_bytes"] == 2 * 10**17
    assert any(note.startswith(sentence) for note in plan["notes"])
