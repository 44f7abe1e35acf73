"""What the money of a run folder belongs to: an API address and an account, and whether it is money at all."""

from collections.abc import Mapping
from dataclasses import dataclass

SIMULATOR = "simulator"
"""Stands for the API's address in a folder that was bought for at the embedded simulator."""
SIMULATED = "simulated"
"""The fact that says whether another address proved to be a simulator: `true`, `false`, or nothing yet."""


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
    """Return whether a run folder with these facts was bought for at the embedded simulator.

    Whatever asks before money is spent counts all else as real, also what calls itself a simulator.
    """
    return facts.get("api") == SIMULATOR


def is_simulated(facts: Mapping[str, str]) -> bool:
    """Return whether the money of a run folder with these facts is pretended: for marks and sums, see `is_embedded`."""
    return facts.get("api") == SIMULATOR or facts.get(SIMULATED) == "true"


def money_mark(*, simulated: bool) -> str:
    """Return what stands behind a run's name where its money is pretended; else nothing."""
    return ", simulated: pretend money" if simulated else ""
