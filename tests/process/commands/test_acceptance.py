"""The main job through the installed command: buy, resume, books that agree, and one clear message for each error."""

import csv
import json
import os
import signal
import subprocess
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.running import FAST, PROMPTS, ROOT, batchgen, installed, simulator, start, summary_of

from batchgen.core.clock import utc_now
from batchgen.journal import own


def manifest(folder: Path, *items: str, run: str = "{}", name: str = "job") -> Path:
    path = folder / f"{name}.yaml"
    lines = [f"version: 1\nname: {name}\nrun: {run}", "defaults: {model: hera-1.0-text-to-image}", "items:", *items]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def mugs(count: int) -> list[str]:
    return [f"  - {{id: mug-{number}, prompt: Mug number {number} on marble}}" for number in range(count)]


def ledger(folder: Path) -> list[dict[str, str]]:
    with (folder / "ledger.csv").open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def total(rows: list[dict[str, str]], column: str) -> Decimal:
    return sum((Decimal(row[column]) for row in rows), Decimal(0))


def check_books(folder: Path, books: dict[str, Any], jobs: list[dict[str, Any]]) -> None:
    """What the ledger says was paid is what the account paid, and nothing was bought twice."""
    assert total(ledger(folder), "net_usd") == Decimal(books["net"])
    assert max(Counter(job["body"] for job in jobs).values(), default=0) <= 1


def test_a_run_buys_once_and_the_books_agree(tmp_path: Path) -> None:
    path = manifest(tmp_path, *mugs(30), "  - {id: trio, prompt: Three bowls, num_images: 3, aspect_ratio: 16:9}")
    with simulator("--speed", 500, "--fault", "failed=0.1", "--fault", "unavailable=0.1") as api:
        first = installed("run", path, "--base-url", api.url, *FAST, cwd=tmp_path)
        assert first.returncode == 1, first.stderr  # some jobs failed
        summary = summary_of(first)
        assert summary["items"] == 31
        assert summary["done"] + summary["failed"] == 31
        assert summary["failed"] >= 1
        folder = tmp_path / "output" / "job"
        check_books(folder, api.account(), api.jobs())
        assert Decimal(summary["net_usd"]) == Decimal(api.account()["net"])
        again = installed("run", path, "--base-url", api.url, *FAST, cwd=tmp_path)
        assert again.returncode == 1
        assert len(api.jobs()) == 31, "a second run buys nothing"
        retried = installed("run", path, "--base-url", api.url, *FAST, "--retry", "failed", cwd=tmp_path)
        assert summary_of(retried)["items"] == 31
        assert len(api.jobs()) == 31 + summary["failed"]
        assert total(ledger(folder), "net_usd") == Decimal(api.account()["net"])
    verified = installed("verify", folder, cwd=tmp_path)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert sorted(p.name for p in (folder / "files").glob("trio*")) == ["trio@1.png", "trio@2.png", "trio@3.png"]


@pytest.mark.parametrize("prompts", PROMPTS, ids=lambda path: path.stem)
def test_prompts_arrive_byte_for_byte(tmp_path: Path, prompts: Path) -> None:
    (tmp_path / "prompts.tsv").symlink_to(prompts)
    path = manifest(
        tmp_path, '  - {rows: prompts.tsv, prompt: "${Prompt}", limit: 300, tags: {category: "${Category}"}}'
    )
    with simulator("--speed", 2000, "--media", "tiny") as api:
        result = batchgen("run", path, "--base-url", api.url, "--concurrency", 64, *FAST, cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        sent = Counter(json.loads(job["body"])["prompt"] for job in api.jobs())
        wanted = [line.split("\t")[0] for line in prompts.read_text(encoding="utf-8").splitlines()[1:301]]
        assert sent == Counter(wanted)
        check = ledger(tmp_path / "output" / "job")
        assert {row["tag_category"] for row in check} >= {"Abstract"}
        assert total(check, "net_usd") == Decimal(api.account()["net"])


@pytest.mark.parametrize("after", [0.0, 0.3, 0.9])
def test_a_killed_run_goes_on_and_buys_nothing_twice(tmp_path: Path, after: float) -> None:
    path = manifest(tmp_path, *mugs(120))
    with simulator("--speed", 100, "--media", "tiny") as api:
        options = ("run", path, "--base-url", api.url, "--concurrency", 16, *FAST)
        process = start(*options, cwd=tmp_path)
        while not api.account()["accepted"] and process.poll() is None:
            time.sleep(0.01)
        time.sleep(after)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        resumed = batchgen(*options, cwd=tmp_path)
        summary = summary_of(resumed)
        assert resumed.returncode in (0, 4), resumed.stderr
        assert summary["done"] + summary["in_doubt"] == 120
        jobs = api.jobs()
        assert max(Counter(job["body"] for job in jobs).values()) == 1
        rows = ledger(tmp_path / "output" / "job")
        paid = Decimal(api.account()["net"])
        assert total(rows, "net_usd") <= paid <= total(rows, "net_usd") + total(rows, "in_doubt_usd")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_soon_and_leaves_a_ledger(tmp_path: Path, number: signal.Signals) -> None:
    path = manifest(tmp_path, *mugs(60))
    with simulator("--speed", 20, "--media", "tiny") as api:
        options = ("run", path, "--base-url", api.url, "--concurrency", 8, *FAST)
        process = start(*options, cwd=tmp_path)
        while api.account()["accepted"] < 4 and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(number)
        output, errors = process.communicate(timeout=20)
        assert process.returncode == 130, errors
        summary = json.loads(output)
        assert summary["stopped_because"] == "interrupted"
        assert summary["in_doubt"] == 0
        folder = tmp_path / "output" / "job"
        assert total(ledger(folder), "net_usd") == Decimal(api.account()["net"])
        resumed = batchgen(*options, cwd=tmp_path)
        assert resumed.returncode == 0, resumed.stderr
        check_books(folder, api.account(), api.jobs())


def test_collect_finishes_what_is_paid_for_and_buys_nothing(tmp_path: Path) -> None:
    path = manifest(tmp_path, *mugs(12))
    with simulator("--speed", 20, "--media", "tiny") as api:
        process = start("run", path, "--base-url", api.url, "--concurrency", 4, *FAST, cwd=tmp_path)
        while api.account()["accepted"] < 4 and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        bought = len(api.jobs())
        path.unlink()
        folder = tmp_path / "output" / "job"
        result = batchgen("collect", folder, *FAST[:4], "--json", "--quiet", cwd=tmp_path)
        assert summary_of(result)["in_flight"] == 0
        assert summary_of(result)["done"] == bought == len(api.jobs())


def test_caps_hold(tmp_path: Path) -> None:
    path = manifest(tmp_path, *mugs(10), run="{max_cost: 0.30}")
    with simulator("--speed", 500, "--media", "tiny") as api:
        result = batchgen("run", path, "--base-url", api.url, *FAST, cwd=tmp_path)
        assert result.returncode == 3
        assert summary_of(result)["stopped_because"] == "max_cost"
        assert Decimal(api.account()["net"]) == Decimal("0.28")
        more = batchgen("run", path, "--base-url", api.url, *FAST, "--max-cost", "2", "--budget", "0.12", cwd=tmp_path)
        assert summary_of(more)["stopped_because"] == "budget"
        assert Decimal(api.account()["net"]) == Decimal("0.392")


def test_an_edited_item_asks_and_its_old_file_is_kept(tmp_path: Path) -> None:
    path = manifest(tmp_path, *mugs(3))
    with simulator("--speed", 500) as api:
        options = ("--base-url", api.url, *FAST)
        assert batchgen("run", path, *options, cwd=tmp_path).returncode == 0
        folder = tmp_path / "output" / "job"
        before = (folder / "files" / "mug-1.png").read_bytes()
        path.write_text(path.read_text().replace("Mug number 1 ", "Blue mug number 1 "))
        plan = json.loads(batchgen("plan", path, "--json", cwd=tmp_path).stdout)
        assert (plan["changed"], plan["new"], plan["done"]) == (1, 0, 2)
        careful = [option for option in options if option != "--yes"]
        refused = batchgen("run", path, *careful, "--max-cost", 5, cwd=tmp_path)
        assert refused.returncode == 2
        assert "changed since purchase" in refused.stderr
        assert len(api.jobs()) == 3
        assert batchgen("run", path, *options, cwd=tmp_path).returncode == 0
        assert len(api.jobs()) == 4
        assert (folder / "superseded" / "mug-1.png").read_bytes() == before
        assert (folder / "files" / "mug-1.png").read_bytes() != before
        files = {(row["item_id"], row["attempt"]): row["files"] for row in ledger(folder)}
        assert files["mug-1", "1"] == "superseded/mug-1.png"
        assert files["mug-1", "2"] == "files/mug-1.png"
        assert batchgen("verify", path, cwd=tmp_path).returncode == 0


def error_of(result: subprocess.CompletedProcess[str]) -> str:
    assert "Traceback" not in result.stderr
    assert "Traceback" not in result.stdout
    return result.stderr


def test_errors_are_one_clear_message_each(tmp_path: Path) -> None:
    path = manifest(tmp_path, *mugs(2), run="{max_cost: 5}")
    with simulator("--speed", 500, "--media", "tiny", "--key", "api18_Acceptance000000", "--balance", "0") as api:
        to = ("--base-url", api.url)
        wrong = batchgen("run", path, *to, cwd=tmp_path, key="api18_0000000000000000")
        assert wrong.returncode == 5
        assert "API18_KEY" in error_of(wrong) + wrong.stdout
        missing = batchgen("run", path, *to, cwd=tmp_path, key=None)
        assert missing.returncode == 2
        assert "no API key" in error_of(missing)
        malformed = batchgen("run", path, *to, cwd=tmp_path, key="secret-thing")
        assert malformed.returncode == 2
        assert "secret-thing" not in error_of(malformed)
        empty = batchgen("run", path, *to, cwd=tmp_path)
        assert empty.returncode == 5
        assert "add credits" in error_of(empty) + empty.stdout
        assert api.jobs() == []
        with own(tmp_path / "output" / "job", utc_now()):
            locked = batchgen("run", path, *to, cwd=tmp_path)
        assert locked.returncode == 6
        assert f"process {os.getpid()}" in error_of(locked)


def test_a_typo_is_located_and_nothing_is_made(tmp_path: Path) -> None:
    path = manifest(tmp_path, *mugs(1), "  - {id: other, prompt: A bowl, aspect_ration: 16:9}")
    result = batchgen("run", path, "--simulate", cwd=tmp_path)
    assert result.returncode == 2
    assert f"{path.name}:7:" in error_of(result)
    assert "did you mean `aspect_ratio`?" in result.stderr
    assert not (tmp_path / "output").exists()


def test_an_unreachable_api_ends_the_run_within_seconds(tmp_path: Path) -> None:
    path = manifest(tmp_path, *mugs(2), run="{max_cost: 5, give_up_after: 3}")
    began = time.monotonic()
    result = batchgen("run", path, "--base-url", "http://127.0.0.1:9", cwd=tmp_path)
    assert result.returncode == 5
    assert time.monotonic() - began < 120  # and not the half hour of `give_up_after` by default
    assert "could not be reached" in error_of(result) + result.stdout
    assert "run the same command to continue" in result.stdout


def test_real_money_wants_consent_and_never_mixes_with_pretend(tmp_path: Path) -> None:
    path = manifest(tmp_path, *mugs(1))
    refused = batchgen("run", path, "--base-url", "http://127.0.0.1:9", cwd=tmp_path)
    assert refused.returncode == 2
    assert "no max_cost or budget is set" in error_of(refused)
    assert not (tmp_path / "output").exists()
    tried = ("run", path, "--simulate", "--run", "job", "--quiet", "--poll-min", "0.1")
    assert batchgen(*tried, cwd=tmp_path).returncode == 0
    mixed = batchgen("run", path, "--base-url", "http://127.0.0.1:9", "--max-cost", 5, cwd=tmp_path)
    assert mixed.returncode == 6
    assert "never mix" in error_of(mixed)


def test_the_quickstart_runs_with_all_models_and_its_files_open(tmp_path: Path) -> None:
    import av
    from PIL import Image

    path = ROOT / "manifests" / "quickstart.yaml"
    result = installed("run", path, "--simulate", "--json", "--quiet", "--output", tmp_path, cwd=tmp_path, key=None)
    assert result.returncode == 0, result.stderr
    folder = tmp_path / "quickstart.simulated"
    rows = ledger(folder)
    assert len({row["model"] for row in rows}) == 7
    for row in rows:
        for name in row["files"].split(";"):
            if name.endswith(".png"):
                with Image.open(folder / name) as image:
                    image.load()
            else:
                with av.open(str(folder / name)) as video:
                    frames = sum(1 for _ in video.decode(video=0))
                    length = json.loads(row["params"]).get("duration", 5)
                    assert frames > 0
                    assert abs(float(video.duration or 0) / 1e6 - length) < 0.5
    assert batchgen("status", folder, cwd=tmp_path).returncode == 0
