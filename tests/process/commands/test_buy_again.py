"""Buying anew what has ended: for one invocation, in its words, and no further."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support.running import FAST, Simulated, batchgen, simulator, summary_of


@pytest.fixture
def bought(tmp_path: Path) -> Path:
    items = "".join(f"  - {{id: mug-{n}, prompt: Mug number {n}}}\n" for n in range(6))
    text = f"version: 1\nname: job\nrun: {{max_cost: 9}}\ndefaults: {{model: hera-1.0-text-to-image}}\nitems:\n{items}"
    (tmp_path / "job.yaml").write_text(text, encoding="utf-8")
    return tmp_path


def purchases(api: Simulated) -> Counter[str]:
    return Counter(json.loads(job["body"])["prompt"][-1] for job in api.jobs())


def run(folder: Path, api: Simulated, *more: str, yes: bool = True) -> Any:
    flags = FAST if yes else tuple(flag for flag in FAST if flag != "--yes")
    return batchgen("run", "job.yaml", "--base-url", api.url, *flags, *more, cwd=folder)


def plan(folder: Path) -> dict[str, Any]:
    return dict(json.loads(batchgen("plan", "job.yaml", "--json", cwd=folder).stdout))


def test_the_same_words_go_on_and_buy_each_item_once_more(bought: Path) -> None:
    with simulator("--speed", "1000", "--media", "tiny") as api:
        assert run(bought, api).returncode == 0
        again = ("--again", "mug-*", "--budget", "0.17")  # three items each time
        assert summary_of(run(bought, api, *again))["stopped_because"] == "budget"
        assert run(bought, api, *again).returncode == 0
        assert purchases(api) == Counter(dict.fromkeys("012345", 2))


def test_what_was_opened_and_not_bought_stands_as_it_stood(bought: Path) -> None:
    with simulator("--speed", "1000", "--media", "tiny") as api:
        assert run(bought, api).returncode == 0
        assert run(bought, api, "--again", "*", "--max-new", "1").returncode == 3
        assert (plan(bought)["new"], plan(bought)["done"]) == (0, 6)
        plain = run(bought, api, yes=False)
        assert plain.returncode == 0, plain.stderr
        assert summary_of(plain)["done"] == 6
        assert purchases(api).total() == 7


def test_words_that_fit_nothing_are_a_typo(bought: Path) -> None:
    with simulator("--speed", "1000", "--media", "tiny") as api:
        assert run(bought, api).returncode == 0
        for flag in ("--again", "--only"):
            wrong = run(bought, api, flag, "jug-*")
            assert wrong.returncode == 2
            assert "matches" in wrong.stderr
        assert purchases(api).total() == 6


def test_lost_items_are_bought_again_only_where_asked_for_each_time(bought: Path) -> None:
    two = ("--only", "mug-0", "--only", "mug-1")
    with simulator("--speed", "1000", "--media", "tiny", "--fault", "lost_answer=1") as api:
        assert run(bought, api, *two).returncode == 4
        for item in ("mug-0", "mug-1"):
            assert batchgen("resolve", "job.yaml", item, "--charged", cwd=bought).returncode == 0
        assert summary_of(run(bought, api, *two))["lost"] == 2
        assert purchases(api).total() == 2
        assert run(bought, api, *two, "--retry", "lost", "--max-new", "1").returncode == 3
        assert purchases(api).total() == 3
        left = run(bought, api, *two, yes=False)
        assert (summary_of(left)["lost"], summary_of(left)["in_doubt"]) == (1, 1)
        assert purchases(api).total() == 3
