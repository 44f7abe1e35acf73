"""A coordinator over a journal of its own, for tests that speak to it as starts do."""

import random
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.bought import START, item, list_items

from batchgen.api import Job, JobStatus
from batchgen.engine.cluster.port import Ticket
from batchgen.engine.codec import Json, put_bytes, put_job, put_time
from batchgen.engine.coordinator.coordinator import Coordinator
from batchgen.engine.messages import PROTOCOL, Answer, Ask, Begun, Exchange
from batchgen.journal import Attempt, InlineRecorder, Journal
from batchgen.journal.delivered import Verdict
from batchgen.scheduler import RunPolicy, RunPorts, RunState
from batchgen.scheduler.workers import Home
from batchgen.settings import Settings
from batchgen.store import LocalDisk

FIRST, SECOND = "00000000000000aa", "00000000000000bb"


class NoPlaces:
    """See `batchgen.engine.cluster.port.Cluster`: nothing ever runs on it."""

    slots = 0
    lost: str | None = None

    def place(self, ticket: Ticket) -> Any:
        raise NotImplementedError

    def on_change(self, call: Any) -> None:
        pass

    async def close(self) -> None:
        pass


@dataclass
class Left:
    """See `batchgen.engine.coordinator.leftovers.LeftBehind`."""

    asked: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)

    def evidence(self, start: str, purchases: Sequence[str]) -> list[Json] | None:
        self.asked.append(start)
        return None

    def remove(self, start: str) -> None:
        self.removed.append(start)


@dataclass
class Desk:
    """A coordinator, and what it does it to."""

    coordinator: Coordinator
    run_state: RunState
    journal: Journal
    left: Left
    taken_back: list[Attempt] = field(default_factory=list)
    finished: list[tuple[Attempt, Verdict]] = field(default_factory=list)

    async def begin(self, start: str = FIRST) -> Begun:
        return await self.coordinator.begun(start, "host:1", PROTOCOL)

    async def say(self, number: int, *tells: Json, start: str = FIRST, asks: Sequence[int] = (), **more: Any) -> Answer:
        """Exchange as a start does; it must be answered."""
        said = Exchange(start, number, len(asks), [Ask(key, "k") for key in asks], list(tells), **more)
        answer = await self.coordinator.exchanged(said)
        assert answer is not None
        return answer

    def states(self) -> dict[str, str]:
        return dict(self.journal.db.execute("SELECT id, state FROM item ORDER BY key"))

    def rows(self) -> list[Any]:
        """All that the journal holds of purchases."""
        return [self.journal.db.execute(f"SELECT * FROM {table}").fetchall() for table in ("attempt", "output", "item")]


@contextmanager
def desk_of(folder: Path, items: int = 3, **settings: Any) -> Iterator[Desk]:
    """A coordinator of a run with so many items; to be used in an event loop."""
    folder.mkdir(exist_ok=True)
    with closing(Journal(folder, create=True)) as journal:
        list_items(journal, [item(f"i{n}") for n in range(items)])
        journal.lends = True
        policy = RunPolicy(Settings(**settings), "f00d", "8", {}, {}, lambda _: "k")
        ports = RunPorts(
            None, journal, InlineRecorder(journal), LocalDisk(folder), lambda: START, random.Random(1), _at_once, _at_once  # type: ignore[arg-type]  # noqa: E501
        )  # fmt: skip
        run_state = RunState(ports, policy, journal.budget(None, None), journal.counts())
        left = Left()
        coordinator = Coordinator(run_state, NoPlaces(), url="", token="", terms={"run": "spring"}, leftovers=left)
        desk = Desk(coordinator, run_state, journal, left)
        coordinator.begin(
            Home(
                desk.taken_back.append, lambda attempt, verdict: desk.finished.append((attempt, verdict)),
                lambda: None, posts=lambda: 0, held=lambda: False,
            )
        )  # fmt: skip
        yield desk


def acceptance(purchase: str, job: str = "job-1", **more: Any) -> Json:
    """The step of a purchase that was accepted as a job."""
    told = put_job(Job(job, JobStatus.PROCESSING)) | {"cost": "0.05"}
    return {"step": "accept_or_doubt", "purchase": purchase, "job": told, "raw": put_bytes(b"{}"),
            "at": put_time(START)} | more  # fmt: skip


async def _at_once(function: Any, *args: Any) -> Any:
    return function(*args)
