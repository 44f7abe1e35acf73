"""A run that stops at a limit of its own tells everybody which one it was, through the installed command."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from support.hooks import hooks
from support.running import FAST, batchgen, simulator, summary_of

from batchgen.core.clock import utc_now


@pytest.mark.parametrize(
    ("word", "options", "fault", "done", "sentence"),
    [
        ("until", (), None, 0, "stopped: what is left would end later than --until"),
        ("canary", ("--canary", "1"), "small", 1, "stopped: a canary item did not pass"),
        ("month", (), None, 2, "stopped: the month's budget is reached"),
        (
            "max_flagged",
            ("--max-flagged", "1", "--concurrency", "1"),
            "small",
            None,
            "stopped: too many items are flagged",
        ),
    ],
)
def test_the_limit_that_was_reached_is_told(
    tmp_path: Path, word: str, options: tuple[str, ...], fault: str | None, done: int | None, sentence: str
) -> None:
    items = [f"- {{id: mug-{n}, model: hera-1.0-text-to-image, prompt: Mug number {n}}}" for n in range(6)]
    (tmp_path / "spring.yaml").write_text("\n".join(["version: 1", "name: spring", "items:", *items]) + "\n")
    if word == "month":
        (tmp_path / "batchgen.toml").write_text("[budget]\nmonth = 0.12\n")
    if word == "until":
        options = ("--until", f"{utc_now() + timedelta(minutes=5):%Y-%m-%dT%H:%M:%SZ}")
    faults = ("--fault", f"{fault}=1") if fault else ()
    with hooks() as server, simulator("--speed", 500, *faults) as api:
        command = f'echo "$BATCHGEN_STOPPED_BECAUSE $BATCHGEN_EXIT_CODE" > {tmp_path}/told'
        listeners = ("--ping", f"{server.url}/check", "--notify", f"{server.url}/hook", "--on-exit", command)
        result = batchgen("run", "spring.yaml", "--base-url", api.url, *FAST, *listeners, *options, cwd=tmp_path)
        assert result.returncode == 3, result.stderr
        assert summary_of(result)["stopped_because"] == word
        assert summary_of(result)["done"] == done or done is None
        end = json.loads(server.at("/hook")[-1][1])
        assert (end["event"], end["stopped_because"], end["exit_code"]) == ("end", word, 3)
        assert sentence in end["text"]
        path, body = server.at("/check")[-1]
        assert path.endswith("3")
        assert f"stopped_because: {word}" in body.splitlines()
        assert (tmp_path / "told").read_text() == f"{word} 3\n"
