"""The workflows for GitHub in docs/workflows: their form, and what their steps do."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.editors.git import committed, git, pushed
from support.editors.workflow import Job
from support.running import KEY, ROOT, Simulated, batchgen, simulator

FOLDER = ROOT / "docs" / "workflows"
WORKFLOWS = sorted(FOLDER.glob("*.yml"))
MANIFEST = """\
version: 1
name: spring
run: {max_cost: 5}
defaults: {model: hera-1.0-text-to-image}
items:
  - {id: tulip, prompt: A red tulip in a glass}
  - {id: crocus, prompt: A crocus in the snow, num_images: 2}
"""
MORE = "  - {id: lilac, prompt: Lilac over a garden wall}\n"


def test_they_are_workflows() -> None:
    assert len(WORKFLOWS) == 2
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", *WORKFLOWS],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_no_script_is_made_of_what_others_write(path: Path) -> None:
    """What stands in `${{ }}` is pasted into a script, and a branch may be named like a command; variables are safe."""
    text = path.read_text(encoding="utf-8")
    scripts = [step.split("      - ")[0] for step in text.split("run: |")[1:]]
    assert scripts
    assert not any("${{" in script for script in scripts)


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """A repository on a server, with one manifest on its branch main, and its lock."""
    bare, first = tmp_path / "origin.git", tmp_path / "first"
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(bare))
    git(tmp_path, "clone", "--quiet", str(bare), str(first))
    git(first, "checkout", "--quiet", "-b", "main")
    (first / "jobs").mkdir()
    (first / "jobs" / "spring.yaml").write_text(MANIFEST, encoding="utf-8")
    assert batchgen("lock", "jobs/spring.yaml", cwd=first).returncode == 0
    pushed(first)
    return bare


def clone(origin: Path, name: str) -> Path:
    folder = origin.parent / name
    git(origin.parent, "clone", "--quiet", str(origin), str(folder))
    return folder


def added(folder: Path, text: str, *, lock: bool) -> None:
    with (folder / "jobs" / "spring.yaml").open("a", encoding="utf-8") as manifest:
        manifest.write(text)
    if lock:
        assert batchgen("lock", "jobs/spring.yaml", cwd=folder).returncode == 0


# ---- review ------------------------------------------------------------------------------------------------------


def review(checkout: Path, *, fork: bool = False) -> Job:
    event = {
        "github.token": "t",
        "github.event.number": "7",
        "github.event.pull_request.head.repo.full_name": "somebody/pictures" if fork else "harbour-cafe/pictures",
        "github.repository": "harbour-cafe/pictures",
    }
    scratch = checkout.parent / "runner"
    return Job(FOLDER / "review.yml", checkout, scratch, event, GITHUB_BASE_REF="main")


def test_a_change_is_priced_in_one_comment_that_follows_it(origin: Path) -> None:
    checkout = clone(origin, "change")
    git(checkout, "checkout", "--quiet", "-b", "change")
    added(checkout, MORE, lock=True)
    committed(checkout)
    job = review(checkout)
    assert job.play().succeeded
    (first,) = job.comments.values()
    assert "lilac" in first
    assert "$0.056" in first
    added(checkout, MORE.replace("lilac", "iris"), lock=True)
    committed(checkout)
    assert job.play().succeeded
    (second,) = job.comments.values()
    assert "iris" in second


def test_a_mistake_is_an_annotation_on_its_line(origin: Path) -> None:
    checkout = clone(origin, "mistake")
    added(checkout, "  - {id: iris, promt: An iris}\n", lock=False)
    committed(checkout)
    played = review(checkout).play()
    assert not played.succeeded
    line = MANIFEST.count("\n") + 1
    assert f"::error file=jobs/spring.yaml,line={line}" in played.output


def test_a_lock_that_was_not_renewed_ends_red_and_the_price_is_told_even_so(origin: Path) -> None:
    checkout = clone(origin, "drift")
    added(checkout, MORE, lock=False)
    committed(checkout)
    job = review(checkout)
    played = job.play()
    assert played.ended["Compare with the locks"] == 1
    assert len(job.comments) == 1


def test_a_fork_and_a_new_manifest(origin: Path) -> None:
    first = origin.parent / "first"
    (first / "jobs" / "spring.yaml").rename(first / "jobs" / "summer.yaml")
    (first / "jobs" / "spring.yaml.lock.json").unlink()
    pushed(first)
    checkout = clone(origin, "fork")
    (checkout / "jobs" / "summer.yaml").rename(checkout / "jobs" / "spring.yaml")
    committed(checkout)
    job = review(checkout, fork=True)
    assert job.play().succeeded
    assert not (origin.parent / "runner" / "comments.json").exists()
    assert "tulip" in (origin.parent / "runner" / "summary.txt").read_text(encoding="utf-8")


# ---- buy ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def buying(origin: Path) -> "Callable[[Simulated, str], Job]":
    def job(api: Simulated, number: str) -> Job:
        return Job(
            FOLDER / "buy.yml", clone(origin, f"machine-{number}"), origin.parent / f"runner-{number}",
            {"secrets.API18_KEY": KEY},
            GITHUB_RUN_ID=number, GITHUB_RUN_ATTEMPT="1", BATCHGEN_BASE_URL=api.url,
        )  # fmt: skip

    return job


def test_each_merge_buys_what_is_new_on_machines_that_remember_nothing(
    origin: Path, buying: "Callable[[Simulated, str], Job]"
) -> None:
    first = origin.parent / "first"
    with simulator("--speed", 500, "--media", "tiny") as api:
        played = buying(api, "1").play()
        assert played.succeeded, played.output
        assert len(api.jobs()) == 2
        assert (played.uploaded["spring"] / "ledger.csv").is_file()
        git(first, "pull", "--quiet", "--rebase")
        assert [path.name for path in (first / "bought").iterdir()] == ["spring-1-1.csv"], "and the claim is given up"
        again = buying(api, "2").play()
        assert again.succeeded, again.output
        assert len(api.jobs()) == 2
        git(first, "pull", "--quiet", "--rebase")
        added(first, MORE, lock=True)
        pushed(first)
        third = buying(api, "3").play()
        assert third.succeeded, third.output
        assert len(api.jobs()) == 3
        assert api.account()["duplicates"] == 0


def test_after_a_machine_that_vanished_nothing_is_bought(
    origin: Path, buying: "Callable[[Simulated, str], Job]"
) -> None:
    with simulator("--speed", 500, "--media", "tiny") as api:
        lost = buying(api, "1").play(until=lambda name: name == "Write down what was bought")
        assert lost.succeeded
        assert len(api.jobs()) == 2
        second = buying(api, "2").play()
        assert second.ended["Claim the purchases"] == 1
        assert list(second.ended)[-1] == "Claim the purchases"
        assert "actions/runs/1 has not said what it bought" in second.output
        assert len(api.jobs()) == 2
        # As the message says: the list from the artefact, and then the claim is deleted.
        first = origin.parent / "first"
        git(first, "pull", "--quiet", "--rebase")
        listed = batchgen("ledger", lost.uploaded["spring"], "--as-bought", "bought/lost.csv", cwd=first)
        assert listed.returncode == 0, listed.stderr
        (first / "bought" / "open").unlink()
        pushed(first)
        assert buying(api, "3").play().succeeded
        assert (len(api.jobs()), api.account()["duplicates"]) == (2, 0)


def test_what_may_have_been_charged_is_written_down_and_not_bought_again(
    origin: Path, buying: "Callable[[Simulated, str], Job]"
) -> None:
    with simulator("--speed", 500, "--media", "tiny", "--fault", "lost_answer=1") as api:
        played = buying(api, "1").play()
        assert played.ended["Buy"] != 0
        assert played.ended["Write down what was bought"] == 0, played.output
        sent = len(api.jobs())
        assert sent == 2
        buying(api, "2").play()
        assert len(api.jobs()) == sent
