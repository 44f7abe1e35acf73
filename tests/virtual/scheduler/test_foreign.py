"""An acceptance is compared with the queued: another's job is in doubt, its id told, and never fetched as one's own."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from support.bought import Buyer, item, journal_of
from support.simulated import IMAGE, VIDEO, simulated
from support.worlds import count, run_clean, strike, world_of

from batchgen.api import Job, JobStatus
from batchgen.core.digest import canonical_json
from batchgen.core.records import State
from batchgen.journal.queries.run_status import doubts
from batchgen.policy.echo import differences, foreign
from batchgen.virtual import Fault, make_items

ORDER = {"model": "m", "prompt": "A caf\u00e9, at dusk", "seed": 5, "strength": 0.5, "image": "https://a.test/x.png"}


@pytest.mark.parametrize(
    ("model", "shown"),
    [
        (None, None),
        ("", None),
        ("m", None),
        ("m", {}),
        ("m", {"model": None, "prompt": None}),
        (None, ORDER),
        (" m ", ORDER | {"prompt": "  A cafe\u0301,\u00a0at\n\n dusk "}),
        ("m", ORDER | {"seed": "5", "duration": 5, "image": "https://cdn.test/y.png"}),
        ("m", {"prompt": ["A caf\u00e9, at dusk"]}),
    ],
)
def test_what_is_no_evidence(model: str | None, shown: dict[str, Any] | None) -> None:
    assert foreign(json.dumps(ORDER), model, shown) is None


@pytest.mark.parametrize(
    ("model", "shown", "reason"),
    [
        ("other", None, "its model differs"),
        ("other", ORDER, "its model differs"),
        ("m", ORDER | {"model": "other"}, "its model differs"),
        ("m", ORDER | {"prompt": "A caf\u00e9, at dawn"}, "its prompt differs"),
        (None, {"prompt": "A cafe, at dusk"}, "its prompt differs"),
    ],
)
def test_evidence(model: str | None, shown: dict[str, Any] | None, reason: str) -> None:
    assert foreign(json.dumps(ORDER), model, shown) == reason


@pytest.mark.parametrize(
    ("shown", "told"),
    [
        (None, ["does not show its input"]),
        (ORDER | {"prompt": " ", "more": 1}, []),
        ({"seed": 5.0, "strength": 0.5, "image": ORDER["image"]}, []),
        ({"seed": "5", "strength": 0.5}, ["shows another seed", "does not show its image"]),
    ],
)
def test_differences(shown: dict[str, Any] | None, told: list[str]) -> None:
    assert list(differences(json.dumps(ORDER), shown)) == told


def test_the_journal_gives_a_job_to_one_attempt_only(tmp_path: Path) -> None:
    with journal_of(tmp_path, [item("mug"), item("jug")]) as journal:
        buyer = Buyer(journal)
        mug, jug = buyer.intend("mug"), buyer.intend("jug")
        job = Job("job-1", JobStatus.PROCESSING)
        first = journal.accept_or_doubt(mug, job, b"first", buyer.tick())
        second = journal.accept_or_doubt(jug, job, b"second", buyer.tick())
        assert not isinstance(first, str)
        assert second == "the answer names job job-1, which is mug's"
        assert [(doubt.item_id, doubt.reason) for doubt in doubts(journal.db)] == [("jug", second)]
        kept = journal.db.execute("SELECT job_id, answer FROM attempt ORDER BY key").fetchall()
        assert kept == [("job-1", b"first"), (None, b"second")]


@pytest.mark.parametrize("fault", [Fault.SAME_ID, Fault.FOREIGN_ANSWER])
def test_a_foreign_job_is_in_doubt_and_its_id_told(
    tmp_path: Path, fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    world = world_of(tmp_path, make_items(6), strike(fault, '"i5"'), concurrency=1)
    outcome = run_clean(world)
    assert (count(outcome, State.DONE), count(outcome, State.IN_DOUBT), outcome.exit_code) == (5, 1, 4)
    assert world.provider.faults.struck[fault] == 1
    (told,) = [record.getMessage() for record in caplog.records if "in doubt" in record.getMessage()]
    assert "i5 is in doubt: the answer names job " in told
    again = run_clean(world)
    assert count(again, State.IN_DOUBT) == 1
    assert len(world.provider.books.jobs) == 6


def test_what_is_no_evidence_is_told_once_a_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    world = world_of(tmp_path, make_items(5), rates={Fault.BARE_ANSWER: 1.0})
    assert count(run_clean(world), State.DONE) == 5
    told = [record.getMessage() for record in caplog.records if "does not show" in record.getMessage()]
    assert len(told) == 1


async def test_the_simulator_answers_with_the_id_of_another_job() -> None:
    async with simulated(faults={"same_id": 1}) as api:
        first = await api.accepted(IMAGE)
        assert (await api.accepted(IMAGE | {"prompt": "not polled yet"}))["id"] != first["id"]
        await api.job(first["id"])
        other = await api.accepted(VIDEO)
        assert (other["id"], other["input"]) == (first["id"], VIDEO)
        assert (await api.books())["accepted"] == 3


async def test_the_simulator_answers_with_somebody_elses_job() -> None:
    async with simulated(faults={"foreign_answer": 1}) as api:
        answer = (await api.post(IMAGE)).json
        assert foreign(canonical_json(IMAGE), answer["model"], answer["input"]) == "its prompt differs"
        assert (await api.books())["accepted"] == 1
        assert (await api.ask("GET", f"/v1/jobs/{answer['id']}")).error == "job_not_found"
