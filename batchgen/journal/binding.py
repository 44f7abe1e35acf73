"""The API address and the account that a run folder's money belongs to, and whether the money is real."""

from collections.abc import Mapping
from dataclasses import dataclass

from batchgen import receipts
from batchgen.store import OUTPUTS

SIMULATOR = "simulator"
"""Stands for the API's address in the folder of the embedded simulator."""
SIMULATED = "simulated"
"""The fact that says whether another address turned out to be a simulator: `true`, `false`, or not known yet."""


@dataclass(frozen=True, slots=True)
class Binding:
    """What the money of a run folder belongs to."""

    api: str
    """The base URL, or `simulator`."""
    account: str
    """The key's fingerprint."""

    @property
    def embedded(self) -> bool:
        """Whether this is the embedded simulator."""
        return self.api == SIMULATOR


def is_embedded(facts: Mapping[str, str]) -> bool:
    """Return whether a run folder with these facts belongs to the embedded simulator.

    Checks before money is spent take everything else for real, also what calls itself a simulator.
    """
    return facts.get("api") == SIMULATOR


def is_simulated(facts: Mapping[str, str]) -> bool:
    """Return whether the money of a run folder with these facts is simulated, for marks and sums; see `is_embedded`."""
    return facts.get("api") == SIMULATOR or facts.get(SIMULATED) == "true"


def bound_line(facts: Mapping[str, str]) -> receipts.Line:
    """Return the line of the receipts that says what a run folder with these facts is bound to."""
    run, account = facts.get("run", ""), facts.get("account", "")
    return receipts.bound(run, facts["api"], account, facts.get(OUTPUTS, ""))


def money_mark(*, simulated: bool) -> str:
    """Return what follows a run's name if its money is simulated, else nothing."""
    return ", simulated: pretend money" if simulated else ""
