"""The limits that runs share hold over workers: a month's budget, one of a tag, and the account's concurrency."""

from decimal import Decimal
from pathlib import Path

from support.running import FAST, installed, simulator, summary_of

LIMITS = """[budget]
month = 3.00
[budget.tags.client]
acme = 0.50
[account]
concurrency = 5
"""
ITEMS = "".join(
    f"  - {{id: cup-{n}, prompt: Cup number {n}, tags: {{client: {'acme' if n < 20 else 'other'}}}}}\n"
    for n in range(50)
)


def test_a_month_s_budget_of_a_tag_leaves_others_their_room(tmp_path: Path) -> None:
    (tmp_path / "output").mkdir()
    (tmp_path / "batchgen.toml").write_text(LIMITS, encoding="utf-8")
    head = "version: 1\nname: job\ndefaults: {model: hera-1.0-text-to-image}\nitems:\n"
    (tmp_path / "job.yaml").write_text(head + ITEMS, encoding="utf-8")
    with simulator("--speed", 60) as api:
        ended = installed("run", "job.yaml", "--base-url", api.url, "--engine", "local:2", *FAST, cwd=tmp_path)
        assert ended.returncode == 3, ended.stderr
        summary = summary_of(ended)
        assert (summary["stopped_because"], summary["done"], summary["pending"]) == ("month", 38, 12)
        bodies = [job["body"] for job in api.jobs()]
        assert len(bodies) == len(set(bodies)) == 38
        assert Decimal(api.account()["net"]) == Decimal("0.056") * 38
    reason = (tmp_path / "output" / "job" / "batchgen.log").read_text(encoding="utf-8")
    assert "the month's budget for client=acme is $0.50" in reason
