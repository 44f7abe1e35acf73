"""Local pictures in a run: what cannot be sent stays pending, uploads that fail are repeated, nothing is given away."""

import dataclasses
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.worlds import run_clean, world_of

from batchgen.api import Accepted, Job, JobStatus, Rejected, Unclear
from batchgen.core.digest import canonical_json, digest_of
from batchgen.core.errors import StoreError
from batchgen.core.records import Item, State
from batchgen.item_table.pictures import Picture
from batchgen.policy.stopping import Stop
from batchgen.scheduler.pictures import SentBody
from batchgen.scheduler.ports import PictureSource, RunPorts
from batchgen.scheduler.run_state import RunState
from batchgen.store.pictures import PictureChangedError
from batchgen.virtual import make_item

PICTURE = Picture("ab" * 32, "png")
SIGNED = f"https://bucket.example/{PICTURE.name}?X-Amz-Credential=AKIAEXAMPLE0000%2Fx&X-Amz-Signature={'9f' * 32}"


def pictured(item_id: str) -> Item:
    item = make_item(item_id)
    body = canonical_json({**json.loads(item.body), "image": PICTURE.stand_in})
    return dataclasses.replace(item, body=body, digest=digest_of(body))


class Place:
    """Gives the signed address, after as many failures as it is told."""

    def __init__(self, *faults: Exception) -> None:
        self.faults = list(faults)
        self.asked = 0

    def address(self, _name: str, _file: Path, /) -> str:
        self.asked += 1
        if self.faults:
            raise self.faults.pop(0)
        return SIGNED


def run(folder: Path, place: Place | None, *items: Item) -> tuple[Any, list[str]]:
    """Run items with a place for pictures; return the outcome and the bodies that the provider got."""
    table = folder / "items.sqlite3"
    with closing(sqlite3.connect(table)) as db, db:
        db.execute("CREATE TABLE picture (path TEXT, state TEXT, sha256 TEXT, extension TEXT)")
        db.execute("INSERT INTO picture VALUES (?, '', ?, ?)", ("/shots/mug.png", PICTURE.sha256, "png"))

    async def at_once(function: Any, *arguments: Any) -> Any:
        return function(*arguments)

    source = None if place is None else PictureSource(table, place, at_once)
    world = world_of(folder / "world", list(items))
    bodies: list[str] = []
    build = RunState.__init__

    def with_pictures(self: RunState, ports: RunPorts, *more: Any) -> None:
        submit = ports.api.submit

        async def noted(body: str, *arguments: Any, **named: Any) -> Any:
            bodies.append(body)
            # The harness knows an order by its stand-in, as the journal does.
            return await submit(body.replace(SIGNED, PICTURE.stand_in), *arguments, **named)

        ports.api.submit = noted  # type: ignore[method-assign]
        build(self, dataclasses.replace(ports, pictures=source), *more)

    with patch.object(RunState, "__init__", with_pictures):
        return run_clean(world), bodies


def test_a_request_is_sent_with_the_address_of_its_picture(tmp_path: Path) -> None:
    outcome, bodies = run(tmp_path, Place(), pictured("mug"))
    assert outcome.counts == {State.DONE: 1}
    assert [json.loads(body)["image"] for body in bodies] == [SIGNED]
    kept = b"".join(path.read_bytes() for path in (tmp_path / "world").rglob("*") if path.is_file())
    assert b"9f9f9f9f" not in kept
    assert PICTURE.stand_in.encode() in kept


@pytest.mark.parametrize("place", [None, Place(PictureChangedError("mug.png was changed"))])
def test_what_cannot_be_sent_stays_pending_and_the_rest_is_bought(tmp_path: Path, place: Place | None) -> None:
    outcome, bodies = run(tmp_path, place, pictured("mug"), make_item("jug"))
    assert outcome.counts == {State.PENDING: 1, State.DONE: 1}
    assert outcome.ending.stop is Stop.ASSETS
    assert len(bodies) == 1
    assert "jug" in bodies[0]


@pytest.mark.parametrize(("failures", "state"), [(4, State.DONE), (5, State.PENDING)])
def test_an_upload_that_fails_is_repeated_a_few_times(tmp_path: Path, failures: int, state: State) -> None:
    place = Place(*(StoreError("s3://bucket: the store did not answer in time") for _ in range(failures)))
    outcome, bodies = run(tmp_path, place, pictured("mug"))
    assert outcome.counts == {state: 1}
    assert (place.asked, len(bodies)) == (5, int(state is State.DONE))


@given(st.text("0123456789abcdef+/=", min_size=12, max_size=70), st.booleans())
def test_no_answer_that_repeats_an_address_gives_its_signature_away(signature: str, escaped: bool) -> None:
    address = f"https://bucket.example/{PICTURE.name}?sig={signature}"
    body = SentBody("{}", {address: PICTURE.stand_in})
    text = json.dumps({"image": address})
    raw = text.replace("&", "\\u0026").replace("/", "\\/") if escaped else text
    job = Job("j1", JobStatus.PROCESSING, input={"image": address, "images": [address]})
    accepted = body.without_secrets(Accepted(job, raw.encode()))
    assert isinstance(accepted, Accepted)
    assert accepted.job.input == {"image": PICTURE.stand_in, "images": [PICTURE.stand_in]}
    written = {signature, signature.replace("/", "\\/")}
    assert [each for each in written if each.encode() in accepted.raw] == []
    rejected, unclear = Rejected("invalid_request", raw), Unclear(raw, raw.encode())
    for answer in (body.without_secrets(rejected), body.without_secrets(unclear)):
        shown = {getattr(answer, name) for name in ("message", "reason", "raw") if hasattr(answer, name)}
        assert [
            each for each in written for text in shown if (each if isinstance(text, str) else each.encode()) in text
        ] == []
