"""Settling what is in doubt, through the command, against the simulator."""

import csv
import json
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.bought import START, Buyer, item, journal_of
from support.running import FAST, Simulated, batchgen, simulator, summary_of

from batchgen.core.errors import UsageError
from batchgen.session.repair.resolution import COLUMNS, How, Settlement, export_doubts, import_settlements, match

MANIFEST = """\
version: 1
name: job
defaults: {model: hera-1.0-text-to-image}
items:
""" + "".join(f"  - {{id: mug-{n}, prompt: Mug number {n}}}\n" for n in range(12))


LENIENT = {"BATCHGEN_MAX_IN_DOUBT": "50", "BATCHGEN_MAX_COST": "100"}
"""Limits that let a run live with many doubts."""


def doubtful(folder: Path, api: Simulated) -> list[dict[str, Any]]:
    """Run a manifest against an API that loses half of its answers; return what is in doubt."""
    (folder / "job.yaml").write_text(MANIFEST, encoding="utf-8")
    result = batchgen("run", "job.yaml", "--base-url", api.url, *FAST, cwd=folder, **LENIENT)
    assert result.returncode == 4, result.stderr
    assert summary_of(result)["in_doubt"] > 0
    status = batchgen("status", "job.yaml", "--json", cwd=folder)
    return list(json.loads(status.stdout)["doubts"])


def job_of(api: Simulated, item_id: str) -> dict[str, Any]:
    number = item_id.split("-")[1]
    return next(job for job in api.jobs() if json.loads(job["body"])["prompt"] == f"Mug number {number}")


def states(folder: Path) -> Counter[str]:
    with (folder / "output" / "job" / "ledger.csv").open(encoding="utf-8", newline="") as lines:
        return Counter(row["state"] for row in csv.DictReader(lines))


LOSSY = ("--speed", "1000", "--media", "tiny", "--fault", "lost_answer=0.5")


def test_a_job_id_is_adopted_only_where_it_is_the_items_own(tmp_path: Path) -> None:
    with simulator(*LOSSY) as api:
        first, *others = [doubt["item_id"] for doubt in doubtful(tmp_path, api)]
        accepted = len(api.jobs())
        other_job = job_of(api, others[0])["id"]
        wrong = batchgen("resolve", "job.yaml", first, "--job-id", other_job, cwd=tmp_path)
        assert wrong.returncode == 2
        assert "its prompt differs" in wrong.stderr
        unknown = batchgen("resolve", "job.yaml", first, "--job-id", "nothing", cwd=tmp_path)
        assert unknown.returncode == 2
        assert "does not know job" in unknown.stderr
        right = batchgen("resolve", "job.yaml", first, "--job-id", job_of(api, first)["id"], cwd=tmp_path)
        assert right.returncode == 0, right.stderr
        again = batchgen("resolve", "job.yaml", others[0], "--job-id", job_of(api, first)["id"], cwd=tmp_path)
        assert again.returncode == 2
        assert "already belongs to another item" in again.stderr
        collected = batchgen("collect", "job.yaml", *FAST[:4], "--json", "--quiet", cwd=tmp_path)
        assert summary_of(collected)["in_doubt"] == len(others)
        assert (tmp_path / "output" / "job" / "files" / f"{first}.png").exists()
        assert len(api.jobs()) == accepted


def test_a_filled_in_list_settles_all_and_the_books_agree(tmp_path: Path) -> None:
    with simulator(*LOSSY) as api:
        doubts = doubtful(tmp_path, api)
        exported = batchgen("resolve", "job.yaml", "--export", "doubts.csv", cwd=tmp_path)
        assert exported.returncode == 0, exported.stderr
        with (tmp_path / "doubts.csv").open(encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines))
        assert [row["item_id"] for row in rows] == [doubt["item_id"] for doubt in doubts]
        for row in rows:
            row["how"], row["job_id"] = "job", job_of(api, row["item_id"])["id"]
        rows[0]["how"], rows[0]["job_id"] = "charged", ""
        again = batchgen("resolve", "job.yaml", "--export", "doubts.csv", cwd=tmp_path)
        assert again.returncode == 2, "it may be filled in"
        assert "doubts.csv exists already" in again.stderr
        write(tmp_path / "doubts.csv", rows)
        settled = batchgen("resolve", "job.yaml", "--import", "doubts.csv", cwd=tmp_path)
        assert settled.returncode == 0, settled.stderr
        finished = batchgen("run", "job.yaml", "--base-url", api.url, *FAST, cwd=tmp_path)
        assert finished.returncode == 1, "one item is lost"
        assert states(tmp_path) == Counter(done=11, lost=1)
        assert Decimal(summary_of(finished)["net_usd"]) == Decimal(api.account()["net"])
        assert len(api.jobs()) == 12


def test_what_was_not_charged_is_bought_by_the_next_run(tmp_path: Path) -> None:
    with simulator("--speed", "1000", "--media", "tiny", "--fault", "lost_before=0.5") as api:
        doubts = doubtful(tmp_path, api)
        for doubt in doubts:
            result = batchgen("resolve", "job.yaml", doubt["item_id"], "--not-charged", cwd=tmp_path)
            assert result.returncode == 0, result.stderr
        # The same request may be lost again: what counts is that each is accepted once.
        batchgen("run", "job.yaml", "--base-url", api.url, *FAST, cwd=tmp_path, **LENIENT)
        assert max(Counter(job["body"] for job in api.jobs()).values()) == 1
        assert len(api.jobs()) > 12 - len(doubts)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"how": "perhaps"}, "how must be job, not_charged, charged or empty, not 'perhaps'"),
        ({"how": "job", "job_id": ""}, "job_id must be given where how is job"),
        ({"how": "charged", "item_id": "mug-99"}, "mug-99 is not in doubt"),
        ({"how": "job", "job_id": "job-x"}, "job job-x is already adopted by"),
    ],
)
def test_a_list_with_a_fault_changes_nothing(tmp_path: Path, change: dict[str, str], message: str) -> None:
    with simulator(*LOSSY) as api:
        doubts = doubtful(tmp_path, api)
        batchgen("resolve", "job.yaml", "--export", "doubts.csv", cwd=tmp_path)
        with (tmp_path / "doubts.csv").open(encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines))
        rows[0]["how"] = "charged"
        if change.get("job_id"):
            rows[0].update(change)
        rows[-1].update(change)
        write(tmp_path / "doubts.csv", rows)
        result = batchgen("resolve", "job.yaml", "--import", "doubts.csv", cwd=tmp_path)
        assert result.returncode == 2
        assert message in result.stderr
        status = json.loads(batchgen("status", "job.yaml", "--json", cwd=tmp_path).stdout)
        assert status["in_doubt"] == len(doubts)


def test_two_items_do_not_adopt_one_job(tmp_path: Path) -> None:
    """Twins: the API would confirm the job for either of them, and one charge would hide the other."""
    with journal_of(tmp_path, [item("mug"), item("twin"), item("jug")]) as journal:
        buyer = Buyer(journal)
        for name in ("mug", "twin", "jug"):
            buyer.doubt(name, "no answer")
        both = [Settlement(name, How.JOB, "job-1", where=f"doubts.csv:{n}: ") for n, name in enumerate(("mug", "twin"))]
        with pytest.raises(UsageError, match=r"doubts\.csv:1: twin: job job-1 is already adopted by mug in this list"):
            match(journal, both)
        others = [Settlement(name, How.CHARGED) for name in ("twin", "jug")]
        assert len(match(journal, [both[0], *others])) == 3


@pytest.mark.parametrize("word", ["not_charged", "not-charged"])
def test_the_words_of_a_list(tmp_path: Path, word: str) -> None:
    row = dict.fromkeys(COLUMNS, "") | {"item_id": "mug", "how": word}
    write(tmp_path / "doubts.csv", [row])
    assert [s.how for s in import_settlements(tmp_path / "doubts.csv")] == [How.NOT_CHARGED]


def test_the_help_says_the_words_of_a_list(tmp_path: Path) -> None:
    words = " ".join(batchgen("resolve", "--help", cwd=tmp_path).stdout.split())
    assert "job (with the id in the column job_id), not-charged or charged" in words


def write(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_a_doubt_is_shown_and_exported_at_the_price_that_was_reserved(tmp_path: Path) -> None:
    with journal_of(tmp_path / "run", [item("mug")]) as journal:
        attempt = journal.record_intent(Buyer(journal).work("mug"), "f00d", "1", START, reserved=Decimal("0.50"))
        journal.doubt(attempt, "reset")
        export_doubts(journal.db, tmp_path / "doubts.csv")
    with (tmp_path / "doubts.csv").open(encoding="utf-8", newline="") as lines:
        assert [row["in_doubt_usd"] for row in csv.DictReader(lines)] == ["0.50"]
    told = json.loads(batchgen("status", tmp_path / "run", "--json", cwd=tmp_path).stdout)
    assert (told["in_doubt_usd"], told["doubts"][0]["in_doubt_usd"]) == ("0.50", "0.50")
    assert "$0.50" in batchgen("status", tmp_path / "run", cwd=tmp_path).stdout
