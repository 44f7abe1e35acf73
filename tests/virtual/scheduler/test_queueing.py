"""What is said of a provider that queues, and of one that does not."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.worlds import in_memory

from batchgen.api import read_job
from batchgen.ledger import LedgerTotals
from batchgen.policy.queue_stats import QueueStats
from batchgen.session.summary import Summary, format_summary, summary_json
from batchgen.settings import Settings
from batchgen.virtual import Duration, Fault, FaultPlan, Offer, World, make_items
from batchgen.virtual.harness import MODEL


def seen(jobs: int, queued: float, worked: float, unseen: float) -> QueueStats:
    found = QueueStats()
    for _ in range(jobs):
        found = found.ended(queued, worked, unseen)
    return found


def test_where_all_begin_at_once_more_in_flight_are_advised() -> None:
    assert seen(100, 0.0, 60.0, 1.0).advice(8) == (
        "the provider started every job at once: a concurrency above 8 would finish sooner"
    )


def test_where_they_queue_long_fewer_are_advised() -> None:
    # 50 in flight of which each queues as long as it is worked on: 25 machines less what no poll has seen.
    advice = seen(200, 60.0, 60.0, 1.0).advice(50)
    assert advice is not None
    assert "about 25 jobs at a time: a concurrency of 27 keeps" in advice


@pytest.mark.parametrize(
    ("jobs", "queued", "why"),
    [(29, 0.0, "too few jobs"), (24 * 3, 0.0, "three rounds of them"), (200, 3.0, "queues a little: that is best")],
)
def test_otherwise_nothing_is_said(jobs: int, queued: float, why: str) -> None:
    concurrency = 25 if jobs == 72 else 8
    assert seen(jobs, queued, 60.0, 1.0).advice(concurrency) is None, why


def test_a_run_of_seconds_is_told_nothing() -> None:
    assert seen(100, 0.0, 0.5, 0.01).advice(8) is None


def test_clocks_that_disagree_count_as_no_time() -> None:
    assert QueueStats().ended(-1.0, -1.0, -1.0) == QueueStats(jobs=1)
    assert seen(100, -1.0, -1.0, 1.0).advice(8) is None


def test_the_start_is_read_from_the_answer() -> None:
    job = read_job(b'{"id": "a", "started_at": "2026-03-01T12:00:00Z", "created_at": null}')
    assert job.started_at is not None
    assert job.started_at.isoformat() == "2026-03-01T12:00:00+00:00"
    assert read_job(b'{"id": "a", "started_at": null}').started_at is None


def advised(folder: Path, concurrency: int, machines: int | None, faults: FaultPlan | None = None) -> str | None:
    offer = Offer(durations={MODEL: Duration(60.0, 0.3)}, latency=(0.02, 0.06), machines=machines)
    settings = Settings(concurrency=concurrency)
    world = World(folder, make_items(7 * concurrency), seed=7, settings=settings, offer=offer, faults=faults)
    ending = world.invoke().ending
    assert not world.violations
    assert ending is not None
    return ending.advice


def test_a_run_tells_what_would_have_been_better() -> None:
    with in_memory() as folder:
        more = advised(folder / "free", 10, None)
        fewer = advised(folder / "queues", 50, 20)
        right = advised(folder / "right", 21, 20)
        busy = advised(folder / "busy", 10, None, FaultPlan({Fault.BUSY: 0.05}))
    assert more is not None
    assert "a concurrency above 10" in more
    assert fewer is not None
    assert "about 21 jobs at a time: a concurrency of 2" in fewer
    assert right is None
    assert busy is None, "a provider that says it is busy is not to be asked for more"


def test_the_summary_ends_with_the_advice() -> None:
    summary = Summary("night", Path("night"), {}, LedgerTotals(), None, "", 0, 0, 0, 0)
    assert "tip" not in format_summary(summary)
    assert format_summary(replace(summary, advice="more")).splitlines()[-1] == "tip: more"
    assert "advice" not in summary_json(summary), "for people alone"
