"""What can go wrong, and when: each fault is drawn from the seed and from what it strikes, never from time or order."""

import difflib
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from types import MappingProxyType

from batchgen.core.errors import UsageError

FAULTS: Mapping[str, str] = MappingProxyType(
    {
        "lost_before": "the connection is reset before anything is done",
        "storm": "500 with an HTML page, not charged",
        "unavailable": "502 generation_unavailable, not charged",
        "busy": "429 with Retry-After, not charged",
        "lost_answer": "accepted and charged, but the connection closes without an answer",
        "garbled": "accepted and charged, but the 200 cannot be read",
        "same_id": "accepted and charged, but the answer carries the id of an earlier job",
        "foreign_answer": "accepted and charged, but the answer shows somebody else's job",
        "failed": "the job fails and is refunded",
        "slow": "the job takes 20 times as long",
        "stuck": "the job never finishes",
        "forgotten": "the job becomes unknown halfway through",
        "empty": "the job completes without outputs",
        "drift": "the job is charged 10 % more than the catalogue price",
        "poll_error": "500 when a job is polled",
        "late_file": "404 for a job's files for a moment after it completes",
        "gone": "410 for a job's files",
        "truncated": "the connection closes in the middle of a file, with or without a Content-Length",
        "html": "200 with an HTML page in place of the file",
    }
)

BEFORE = ("lost_before", "storm", "unavailable", "busy")
"""Strike a submission before it is charged; drawn for each try of a request."""
ANSWER = ("lost_answer", "garbled", "same_id", "foreign_answer")
"""Strike the answer of a charged submission; drawn for each acceptance of a request."""
JOB = ("failed", "slow", "stuck", "forgotten", "empty", "drift", "late_file", "gone")
"""Belong to the job for good; drawn for each acceptance of a request."""
POLL = ("poll_error",)
"""Drawn for each poll of a job."""
FETCH = ("truncated", "html")
"""Drawn for each download of an output."""


def parse_faults(texts: Iterable[str]) -> dict[str, float]:
    """Return the rates that `NAME=RATE` texts give; raises UsageError that says what is wrong."""
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


class Dice:
    """Draws that depend on the seed and on what they are for, and on nothing else."""

    def __init__(self, seed: int) -> None:
        self._key = blake2b(str(seed).encode(), digest_size=32).digest()

    def uniform(self, *what: str | int) -> float:
        """Return a number above 0 and below 1."""
        return ((int.from_bytes(self._draw(8, what)) >> 12) + 0.5) / 2**52

    def token(self, *what: str | int) -> str:
        """Return 24 hex digits."""
        return self._draw(12, what).hex()

    def secret(self, *what: str | int) -> bytes:
        """Return 32 bytes to sign with."""
        return self._draw(32, what)

    def _draw(self, size: int, what: tuple[str | int, ...]) -> bytes:
        return blake2b("\n".join(map(str, what)).encode(), digest_size=size, key=self._key).digest()


class Faults:
    """Which fault strikes what. Transient ones strike the same thing at most `strikes` times in a row."""

    def __init__(self, rates: Mapping[str, float], dice: Dice, strikes: int | None) -> None:
        check_rates(rates)
        self._rates = {name: rate for name, rate in rates.items() if rate > 0}
        self._dice = dice
        self._strikes = strikes

    def possible(self, names: tuple[str, ...]) -> bool:
        """Return whether any of these faults is switched on."""
        return any(name in self._rates for name in names)

    def of_job(self, digest: str, acceptance: int) -> frozenset[str]:
        """Return the lasting faults of the `acceptance`-th job (from 1) of a request."""
        return frozenset(name for name in JOB if self._hit(name, digest, acceptance))

    def strike(self, names: tuple[str, ...], what: str, number: int) -> str | None:
        """Return the transient fault among `names` that strikes the `number`-th try (from 1) of `what`, if any does."""
        name = self._first(names, what, number)
        if name is None or self._strikes is None:
            return name
        in_row = 1
        if any(self._rates.get(one, 0) >= 1 for one in names):
            in_row = number
        else:
            while in_row < number and self._first(names, what, number - in_row):
                in_row += 1
        return name if in_row % (self._strikes + 1) else None

    def _first(self, names: tuple[str, ...], what: str, number: int) -> str | None:
        return next((name for name in names if self._hit(name, what, number)), None)

    def _hit(self, name: str, what: str, number: int) -> bool:
        rate = self._rates.get(name)
        return rate is not None and (rate >= 1 or self._dice.uniform("fault", name, what, number) < rate)
