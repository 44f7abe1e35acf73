"""The faults that a simulator is configured to have: their names and rates."""

import difflib
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from batchgen.core.errors import UsageError
from batchgen.provider.faults import MEANINGS, NO_CONNECTION

FAULTS: Mapping[str, str] = MappingProxyType(
    {fault.value: meaning for fault, meaning in MEANINGS.items() if fault not in NO_CONNECTION}
)
"""The faults that a server can have, with their meanings."""


def parse_faults(texts: Iterable[str]) -> dict[str, float]:
    """Return the rates in `NAME=RATE` texts; raises UsageError that says what is wrong."""
    rates = {}
    for text in texts:
        name, equals, rate = text.partition("=")
        try:
            rates[name] = float(rate)
        except ValueError as error:
            raise UsageError(f"a fault must be NAME=RATE, such as failed=0.05, not {text!r}") from error
        if not equals:
            raise UsageError(f"a fault must be NAME=RATE, such as failed=0.05, not {text!r}")
    check_rates(rates)
    return rates


def check_rates(rates: Mapping[str, float]) -> None:
    """Raise UsageError for a fault that does not exist (with a suggestion) or a rate that is not a probability."""
    for name, rate in rates.items():
        if name not in FAULTS:
            near = difflib.get_close_matches(name, FAULTS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"the faults are {', '.join(FAULTS)}"
            raise UsageError(f"unknown fault {name!r}; {hint}")
        if not 0 <= rate <= 1:
            raise UsageError(f"the rate of {name} must be from 0 to 1, not {rate:g}")
