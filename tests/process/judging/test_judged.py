"""What is delivered is judged, from the simulator's drawing to the ledger: each way to miss what was ordered."""

import csv
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.running import FAST, batchgen, simulator, summary_of

MANIFEST = """\
version: 1
name: judged
defaults: {expect: {blank: false, black: false, frozen: false, unlike: 6}}
items:
  - {id: picture, model: hera-1.0-text-to-image, prompt: A mug on a table, resolution: 2k, num_images: 2}
  - {id: clip, model: centaurus-1.0-text-to-video, prompt: Waves, resolution: 720p, aspect_ratio: "16:9", duration: 2}
"""


def bought(folder: Path, *faults: str) -> tuple[dict[str, Any], str, dict[str, dict[str, str]]]:
    """The summary of a run of two jobs, what the provider kept of the money, and the ledger's row of each item."""
    (folder / "judged.yaml").write_text(MANIFEST)
    with simulator("--speed", "400", *[word for fault in faults for word in ("--fault", f"{fault}=1")]) as api:
        done = batchgen("run", "judged.yaml", "--base-url", api.url, *FAST, cwd=folder)
        assert done.returncode == 0, done.stderr
        charged = api.account()["net"]
        assert api.account()["accepted"] == 2
    with (folder / "output" / "judged" / "ledger.csv").open(encoding="utf-8", newline="") as file:
        return summary_of(done), charged, {row["item_id"]: row for row in csv.DictReader(file)}


@pytest.mark.parametrize(
    ("fault", "of_pictures", "of_clip"),
    [
        (None, "", ""),
        ("small", "small", "small"),
        ("tall", "aspect", "aspect"),
        ("short", "", "duration"),
        ("frozen", "", "frozen"),
        ("blank", "blank;duplicate", "blank;frozen"),
        ("black", "blank;black;duplicate", "blank;black;frozen"),
        ("duplicate", "duplicate", ""),
    ],
)
def test_what_misses_the_order_is_flagged(fault: str | None, of_pictures: str, of_clip: str, tmp_path: Path) -> None:
    done, charged, rows = bought(tmp_path, *([fault] if fault else []))
    assert {name: row["flags"] for name, row in rows.items()} == {"picture": of_pictures, "clip": of_clip}
    assert {row["state"] for row in rows.values()} == {"done"}
    assert Decimal(done["net_usd"]) == Decimal(charged), "flags neither buy nor refund anything"


def test_without_the_extra_what_needs_no_decoding_is_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchgen.session.judging.standards.can_decode", lambda: False)
    _, _, rows = bought(tmp_path, "small", "blank")
    assert {name: row["flags"] for name, row in rows.items()} == {"picture": "small", "clip": "small"}
