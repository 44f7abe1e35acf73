"""What becomes of the requests of a worker that is gone, as steps for the coordinator's journal."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from batchgen.engine.codec import Json
from batchgen.engine.tells import accepted, cancelled, doubted
from batchgen.session.workers.left_behind import Accepted, Outcome, outcomes, remove


class LeftBehind(Protocol):
    """What starts have left behind, for a coordinator. Its methods wait for a disk."""

    def evidence(self, start: str, purchases: Sequence[str]) -> list[Json] | None:
        """Return what is told of each of these purchases, which have no answer; None where that is not known here."""
        ...

    def remove(self, start: str) -> None:
        """Remove what a start has left behind: all of it is known by now."""
        ...


class Leftovers:
    """See `LeftBehind`."""

    def __init__(self, run_folder: Path) -> None:
        self._run_folder = run_folder

    def evidence(self, start: str, purchases: Sequence[str]) -> list[Json] | None:
        found = outcomes(self._run_folder, start, purchases)
        return None if found is None else [as_step(purchase, outcome) for purchase, outcome in found.items()]

    def remove(self, start: str) -> None:
        remove(self._run_folder, start)


def as_step(purchase: str, outcome: Outcome) -> Json:
    """Return what is told of a purchase with this outcome."""
    match outcome:
        case Accepted(job, at):
            return accepted(purchase, job, b"", at)
        case "unsent":
            return cancelled(purchase)
        case "unanswered":
            return doubted(purchase, "the worker ended while the request was on its way")
