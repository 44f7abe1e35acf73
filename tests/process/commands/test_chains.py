"""Chains and picks through the command line, against the simulator over HTTP."""

import csv
import json
import shutil
from decimal import Decimal
from pathlib import Path

import pytest
from support.running import FAST, ROOT, batchgen, simulator, summary_of

CHAIN, PICKED = ROOT / "manifests" / "chain.yaml", ROOT / "manifests" / "picked.yaml"


def rows(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "ledger.csv").open(encoding="utf-8", newline="") as lines:
        return {row["item_id"]: row for row in csv.DictReader(lines)}


def test_a_chain_is_bought_from_the_first_still_to_the_last_clip(tmp_path: Path) -> None:
    shutil.copy(CHAIN, tmp_path)
    with simulator("--speed", 500, "--media", "tiny") as api:
        run = ("run", "chain.yaml", "--base-url", api.url, "--max-cost", "5", *FAST)
        assert batchgen(*run, cwd=tmp_path).returncode == 0
        folder = tmp_path / "output" / "chain"
        assert {path.name for path in (folder / "files").iterdir()} >= {"teapot-turns.mp4", "spring-moves.mp4"}
        assert '"image":"${items.teapot-blue.output.1}"' in rows(folder)["teapot-turns"]["params"]
        sent = [json.loads(job["body"]) for job in api.jobs()]
        assert all(not str(body.get("image", "")).startswith(api.url) for body in sent)
        assert batchgen(*run, cwd=tmp_path).returncode == 0
        assert api.account()["duplicates"] == 0
        assert len(api.jobs()) == 7
        # An edit of the first prompt makes the chain changed, and nothing else.
        text = (tmp_path / "chain.yaml").read_text(encoding="utf-8")
        (tmp_path / "chain.yaml").write_text(text.replace("slate table", "oak table"), encoding="utf-8")
        plan = json.loads(batchgen("plan", "chain.yaml", "--json", cwd=tmp_path).stdout)
        assert (plan["changed"], plan["done"], plan["estimated_usd"]) == (3, 4, "0.538")


def test_only_a_dependant_takes_its_sources_along(tmp_path: Path) -> None:
    shutil.copy(CHAIN, tmp_path)
    with simulator("--speed", 500, "--media", "tiny") as api:
        result = batchgen(
            "run", "chain.yaml", "--base-url", api.url, "--max-cost", "5", *FAST, "--only", "teapot-turns", cwd=tmp_path
        )
        assert result.returncode == 0, result.stderr
        assert "2 items come along: selected items need their outputs" in result.stderr
        assert summary_of(result)["items"] == 3
        assert len(api.jobs()) == 3


def test_what_fails_is_named_in_what_it_skips(tmp_path: Path) -> None:
    shutil.copy(CHAIN, tmp_path)
    with simulator("--speed", 500, "--media", "tiny", "--fault", "failed=1") as api:
        run = ("run", "chain.yaml", "--base-url", api.url, "--max-cost", "5", *FAST)
        result = batchgen(*run, cwd=tmp_path)
    assert result.returncode == 1
    assert summary_of(result)["skipped"] == 4
    skipped = rows(tmp_path / "output" / "chain")["teapot-turns"]
    assert (skipped["attempt"], skipped["state"]) == ("0", "skipped")
    assert skipped["error_message"] == "needs teapot-blue, which was skipped"
    plan = batchgen("plan", "chain.yaml", "--json", "--retry", "failed", cwd=tmp_path)
    assert json.loads(plan.stdout)["estimated_usd"] == "1.25"


def test_stills_tonight_a_choice_in_the_morning(tmp_path: Path) -> None:
    shutil.copy(PICKED, tmp_path)
    with simulator("--speed", 500, "--media", "tiny") as api:
        run = ("run", "picked.yaml", "--base-url", api.url, "--max-cost", "5", *FAST)
        first = batchgen(*run, cwd=tmp_path)
        assert (first.returncode, summary_of(first)["stopped_because"]) == (3, "waiting_for_pick")
        status = batchgen("status", "picked.yaml", cwd=tmp_path).stdout
        assert "1 item waits until an output is picked (the provider keeps what it needs until 20" in status
        waits = "other items wait until exactly one output is kept of: lantern\n"
        assert waits in batchgen("picks", "picked.yaml", cwd=tmp_path).stdout
        assert batchgen("picks", "picked.yaml", "--keep", "lantern@2", cwd=tmp_path).stdout == "1 pick recorded\n"
        assert waits not in batchgen("picks", "picked.yaml", cwd=tmp_path).stdout
        status = batchgen("status", "picked.yaml", cwd=tmp_path).stdout
        assert "until an output is picked" not in status.partition("next:")[2]
        assert "next: run the same command to continue" in status
        assert json.loads(batchgen("status", "picked.yaml", "--json", cwd=tmp_path).stdout)["waiting"] == 0
        assert batchgen(*run, cwd=tmp_path).returncode == 0
        # A changed pick is a changed item, and two are a question.
        batchgen("picks", "picked.yaml", "--keep", "lantern@3", cwd=tmp_path)
        asked = batchgen("plan", "picked.yaml", cwd=tmp_path)
        assert asked.returncode == 2
        assert "picked.yaml:15:12: several outputs of `lantern` were kept (2, 3)" in asked.stderr
        batchgen("picks", "picked.yaml", "--clear", "lantern@2", cwd=tmp_path)
        plan = json.loads(batchgen("plan", "picked.yaml", "--json", cwd=tmp_path).stdout)
        assert (plan["changed"], plan["waiting"]) == (1, 0)
        assert len(api.jobs()) == 2


def test_picks_are_exported_and_imported(tmp_path: Path) -> None:
    shutil.copy(PICKED, tmp_path)
    with simulator("--speed", 500, "--media", "tiny") as api:
        batchgen("run", "picked.yaml", "--base-url", api.url, "--max-cost", "5", *FAST, cwd=tmp_path)
    assert batchgen("picks", "picked.yaml", "--export", "p.csv", cwd=tmp_path).returncode == 0
    sheet = tmp_path / "p.csv"
    assert batchgen("picks", "picked.yaml", "--export", "p.csv", cwd=tmp_path).returncode == 2
    sheet.write_text(sheet.read_text(encoding="utf-8").replace("lantern,1,", "lantern,1,kep"), encoding="utf-8")
    refused = batchgen("picks", "picked.yaml", "--import", "p.csv", cwd=tmp_path)
    assert refused.returncode == 2
    assert "p.csv:2:1: `pick` must be keep, reject or empty, not 'kep'" in refused.stderr
    sheet.write_text(sheet.read_text(encoding="utf-8").replace("kep", "keep"), encoding="utf-8")
    assert batchgen("picks", "picked.yaml", "--import", "p.csv", cwd=tmp_path).returncode == 0
    assert "0 picks recorded" in batchgen("picks", "picked.yaml", "--import", "p.csv", cwd=tmp_path).stdout
    shown = json.loads(batchgen("picks", "picked.yaml", "--json", cwd=tmp_path).stdout)
    assert (shown["outputs"], shown["unpicked"], shown["outdated"]) == (4, 3, [])
    assert [(p["item_id"], p["output"], p["file"], p["pick"]) for p in shown["picks"]] == [
        ("lantern", 1, "files/lantern@1.png", "keep")
    ]
    table = batchgen("picks", "picked.yaml", cwd=tmp_path).stdout.splitlines()
    assert [line.split()[:2] for line in table[:2]] == [["output", "pick"], ["lantern@1", "keep"]]
    assert table[2] == "3 outputs without a pick; choose with --keep lantern@2, or --export FILE"


@pytest.mark.parametrize("arguments", [("--keep", "lantern", "--export", "x.csv"), ("--keep", "lantern@9")])
def test_wrong_picks_are_one_clear_error(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    shutil.copy(PICKED, tmp_path)
    with simulator("--speed", 500, "--media", "tiny") as api:
        batchgen("run", "picked.yaml", "--base-url", api.url, "--max-cost", "5", *FAST, cwd=tmp_path)
    assert batchgen("picks", "picked.yaml", *arguments, cwd=tmp_path).returncode == 2


def test_a_plan_lists_every_item_as_it_would_be_sent(tmp_path: Path) -> None:
    shutil.copy(CHAIN, tmp_path)
    text = batchgen("plan", "chain.yaml", "--items", cwd=tmp_path).stdout
    assert "image: ${items.teapot-blue.output.1}\n           prompt: The teapot turns slowly, steam rises" in text
    plan = json.loads(batchgen("plan", "chain.yaml", "--items", "--json", cwd=tmp_path).stdout)
    assert [row["id"] for row in plan["rows"]][:3] == ["teapot", "teapot-blue", "teapot-turns"]
    assert {row["state"] for row in plan["rows"]} == {"new"}
    assert sum(map(Decimal, (row["estimated_usd"] for row in plan["rows"]))) == Decimal(plan["estimated_usd"])
    nothing = batchgen("plan", "chain.yaml", "--items", "--json", "--only", "none", cwd=tmp_path)
    assert nothing.returncode == 2
