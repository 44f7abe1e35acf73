"""The commands that continue a run or look after it."""

from pathlib import Path

import pytest

from batchgen.standing.commands import continuing, option_facts, reaching

GIVEN = ["--output", "/my output", "--catalog", "/t.toml", "--canary", "2", "--max-cost", "5", "--locked"]


@pytest.mark.parametrize(
    ("stopped_because", "left_out"),
    [(None, ""), ("budget", ""), ("max_cost", "--max-cost 5 "), ("canary", "--canary 2 ")],
)
def test_the_option_that_a_run_stopped_at_is_left_out(stopped_because: str | None, left_out: str) -> None:
    facts = option_facts(GIVEN)
    whole = "batchgen run MANIFEST --output '/my output' --catalog /t.toml --canary 2 --max-cost 5 --locked"
    assert continuing(facts, stopped_because=stopped_because) == whole.replace(left_out, "")


def test_items_and_the_api_come_last(tmp_path: Path) -> None:
    manifest = tmp_path / "m.yaml"
    manifest.touch()
    facts = option_facts(["--run", "x"]) | {"manifest": str(manifest), "api": "http://127.0.0.1:8018"}
    assert continuing(facts, ["t*"]) == f"batchgen run {manifest} --run x --base-url http://127.0.0.1:8018 --only 't*'"
    assert continuing({"api": "simulator"}) == "batchgen run MANIFEST --simulate"
    assert continuing({}) == "batchgen run MANIFEST", "an older version noted nothing"


def test_other_commands_reach_the_same_api() -> None:
    facts = option_facts([*GIVEN, "--api-key-file", "/keys/my key", "--proxy", "http://proxy.example:3128"])
    assert reaching(facts | {"api": "https://api.example"}) == (
        "--catalog /t.toml --api-key-file '/keys/my key' --proxy http://proxy.example:3128"
        " --base-url https://api.example"
    )
    assert reaching({"api": "simulator"}) == reaching({}) == ""
