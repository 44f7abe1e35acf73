"""What `files/` holds after edits, undone edits and removals: what the manifest asks for now, and nothing older."""

import csv
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

from support.running import FAST, Simulated, batchgen, simulator, summary_of


def write(folder: Path, *items: str) -> None:
    text = "version: 1\nname: job\ndefaults: {model: hera-1.0-text-to-image}\nitems:\n"
    (folder / "job.yaml").write_text(text + "".join(f"  - {{{item}}}\n" for item in items), encoding="utf-8")


def run(folder: Path, api: Simulated, *more: str) -> Any:
    return batchgen("run", "job.yaml", "--base-url", api.url, *FAST, *more, cwd=folder)


def on_disk(folder: Path) -> dict[str, str]:
    """The files of a run folder, with a word on what each shows: its length and first bytes will do."""
    base = folder / "output" / "job"
    return {
        path.relative_to(base).as_posix(): path.read_bytes().hex()
        for name in ("files", "superseded")
        for path in (base / name).rglob("*")
        if path.is_file()
    }


def test_an_undone_edit_brings_the_earlier_file_back_and_buys_nothing(tmp_path: Path) -> None:
    with simulator("--speed", "1000") as api:
        write(tmp_path, "id: a, prompt: A red kite")
        assert run(tmp_path, api).returncode == 0
        first = on_disk(tmp_path)["files/a.png"]
        write(tmp_path, "id: a, prompt: A blue kite")
        assert run(tmp_path, api).returncode == 0
        second = on_disk(tmp_path)["files/a.png"]
        assert first != second
        for prompt, shown in (("A red kite", first), ("A blue kite", second), ("A red kite", first)):
            write(tmp_path, f"id: a, prompt: {prompt}")
            assert run(tmp_path, api).returncode == 0
            assert on_disk(tmp_path)["files/a.png"] == shown
        assert len(api.jobs()) == 2
        assert batchgen("verify", "job.yaml", cwd=tmp_path).returncode == 0


def test_every_file_of_the_earlier_purchase_moves_whatever_it_is_called(tmp_path: Path) -> None:
    with simulator("--speed", "1000", "--media", "tiny") as api:
        write(tmp_path, "id: b, prompt: Two bowls, num_images: 2")
        assert run(tmp_path, api).returncode == 0
        assert set(on_disk(tmp_path)) == {"files/b@1.png", "files/b@2.png"}
        write(tmp_path, "id: b, prompt: One bowl")
        assert run(tmp_path, api).returncode == 0
        assert set(on_disk(tmp_path)) == {"files/b.png", "superseded/b@1.png", "superseded/b@2.png"}
        with (tmp_path / "output" / "job" / "ledger.csv").open(encoding="utf-8", newline="") as lines:
            files = [row["files"] for row in csv.DictReader(lines)]
        assert files == ["superseded/b@1.png;superseded/b@2.png", "files/b.png"]


def test_a_run_says_that_files_are_missing_and_how_to_mend_it(tmp_path: Path) -> None:
    with simulator("--speed", "1000", "--media", "tiny") as api:
        write(tmp_path, "id: a, prompt: A kite", "id: b, prompt: A bowl")
        assert run(tmp_path, api).returncode == 0
        (tmp_path / "output" / "job" / "files" / "a.png").unlink()
        (tmp_path / "output" / "job" / "files" / "b.png").write_bytes(b"cut")
        result = run(tmp_path, api)
        assert result.returncode == 1
        assert summary_of(result)["missing_files"] == 2
        told = batchgen("run", "job.yaml", "--base-url", api.url, "--yes", cwd=tmp_path)
        assert re.search(r"batchgen verify \S+ --refetch", told.stdout)
        assert batchgen("verify", "job.yaml", "--refetch", cwd=tmp_path).returncode in (0, 1)
        assert run(tmp_path, api).returncode == 0
        assert len(api.jobs()) == 2


def test_a_cap_counts_what_the_provider_was_seen_to_charge_in_earlier_invocations(tmp_path: Path) -> None:
    with simulator("--speed", "1000", "--media", "tiny", "--fault", "drift=1") as api:
        write(tmp_path, *(f"id: i{n}, prompt: Number {n}" for n in range(12)))
        for _ in range(12):
            result = run(tmp_path, api, "--max-cost", "0.612", "--max-new", "1")
            if summary_of(result)["stopped_because"] != "max_new":
                break
        assert summary_of(result)["stopped_because"] == "max_cost"
        assert Decimal(api.account()["net"]) <= Decimal("0.612")
