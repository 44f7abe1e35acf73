"""What can go wrong, and when. Each fault is drawn from the seed and its subject, never from time or order; a script
makes it strike for certain.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from types import MappingProxyType


class Fault(StrEnum):
    """One way for things to go wrong; the values are the names that `batchgen simulate --fault` takes."""

    NOT_SENT = "not_sent"
    LOST_BEFORE = "lost_before"
    STORM = "storm"
    UNAVAILABLE = "unavailable"
    BUSY = "busy"
    REJECTED = "rejected"
    INPUT_UNFETCHED = "input_unfetched"
    UNAUTHORIZED = "unauthorized"
    NO_BALANCE = "no_balance"
    LOST_ANSWER = "lost_answer"
    GARBLED = "garbled"
    SAME_ID = "same_id"
    FOREIGN_ANSWER = "foreign_answer"
    BARE_ANSWER = "bare_answer"
    COST_MISSING = "cost_missing"
    COST_LOW = "cost_low"
    FAILED = "failed"
    SLOW = "slow"
    STUCK = "stuck"
    FORGOTTEN = "forgotten"
    EMPTY = "empty"
    DRIFT = "drift"
    OUTPUTS_LATE = "outputs_late"
    OUTPUTS_ONE_BY_ONE = "outputs_one_by_one"
    FEWER_OUTPUTS = "fewer_outputs"
    FIRST_OUTPUT_MISSING = "first_output_missing"
    MORE_OUTPUTS = "more_outputs"
    POLL_ERROR = "poll_error"
    POLL_UNREACHED = "poll_unreached"
    POLL_LIMITED = "poll_limited"
    POLL_UNKNOWN = "poll_unknown"
    LATE_FILE = "late_file"
    GONE = "gone"
    FILE_EXPIRED = "file_expired"
    FOREIGN_FILE = "foreign_file"
    BLANK = "blank"
    BLACK = "black"
    FROZEN = "frozen"
    SMALL = "small"
    TALL = "tall"
    SHORT = "short"
    DUPLICATE = "duplicate"
    FILE_UNREACHED = "file_unreached"
    TRUNCATED = "truncated"
    HTML = "html"
    FILE_LIMITED = "file_limited"


MEANINGS: Mapping[Fault, str] = MappingProxyType(
    {
        Fault.NOT_SENT: "a submission finds no connection",
        Fault.LOST_BEFORE: "the connection is reset before anything is done",
        Fault.STORM: "500 with an HTML page, not charged",
        Fault.UNAVAILABLE: "502 generation_unavailable, not charged",
        Fault.BUSY: "429 with Retry-After, not charged",
        Fault.REJECTED: "400 for a valid request, not charged",
        Fault.INPUT_UNFETCHED: "400 that names an input image, as if it could not be fetched, not charged",
        Fault.UNAUTHORIZED: "401 for a valid key: for submissions, polls and files",
        Fault.NO_BALANCE: "402 although the balance would do, not charged",
        Fault.LOST_ANSWER: "accepted and charged, but the connection closes without an answer",
        Fault.GARBLED: "accepted and charged, but the 200 cannot be read",
        Fault.SAME_ID: "accepted and charged, but the answer carries the id of an earlier job",
        Fault.FOREIGN_ANSWER: "accepted and charged, but the answer shows somebody else's job",
        Fault.BARE_ANSWER: "accepted and charged, but the answer holds only an id",
        Fault.COST_MISSING: "accepted and charged, but the answer names no price; polls do",
        Fault.COST_LOW: "accepted and charged, but the answer names half of the price; polls name all of it",
        Fault.FAILED: "the job fails and is refunded",
        Fault.SLOW: "the job takes 20 times as long",
        Fault.STUCK: "the job never finishes",
        Fault.FORGOTTEN: "the job becomes unknown halfway through",
        Fault.EMPTY: "the job completes without outputs",
        Fault.DRIFT: "the job is charged 10 % more than the catalogue price",
        Fault.OUTPUTS_LATE: "the job completes without outputs, and lists them 6 s later",
        Fault.OUTPUTS_ONE_BY_ONE: "the job lists the first of several outputs, and the others 30 s later",
        Fault.FEWER_OUTPUTS: "the last of several outputs is never listed",
        Fault.FIRST_OUTPUT_MISSING: "the first of several outputs never has an address",
        Fault.MORE_OUTPUTS: "the job makes one output more than ordered",
        Fault.POLL_ERROR: "500 when a job is polled",
        Fault.POLL_UNREACHED: "a poll finds no connection",
        Fault.POLL_LIMITED: "429 with Retry-After when a job is polled",
        Fault.POLL_UNKNOWN: "404 when a job that exists is polled",
        Fault.LATE_FILE: "404 for a file for 20 s after it was first asked for",
        Fault.GONE: "410 for a file, for good",
        Fault.FILE_EXPIRED: "410 for a file from an hour after the end of its job, which stays known",
        Fault.FOREIGN_FILE: "a file arrives whole, in a format that nobody knows",
        Fault.BLANK: "a file is of one colour",
        Fault.BLACK: "a file is black",
        Fault.FROZEN: "a video does not move",
        Fault.SMALL: "a file has half of the width and height that were ordered",
        Fault.TALL: "a file is a third taller than ordered",
        Fault.SHORT: "a video is a fifth shorter than ordered",
        Fault.DUPLICATE: "a file looks like every other of its prompt that this strikes, whatever the seed",
        Fault.FILE_UNREACHED: "a download finds no connection",
        Fault.TRUNCATED: "the connection closes in the middle of a file, with or without a Content-Length",
        Fault.HTML: "200 with an HTML page in place of the file",
        Fault.FILE_LIMITED: "429 with Retry-After for a file",
    }
)

BEFORE = (
    Fault.NOT_SENT, Fault.LOST_BEFORE, Fault.STORM, Fault.UNAVAILABLE, Fault.BUSY, Fault.REJECTED, Fault.UNAUTHORIZED,
    Fault.NO_BALANCE,
)  # fmt: skip
"""Strike a submission before it is charged; drawn for each try of a request."""
INPUT = (Fault.INPUT_UNFETCHED,)
"""Strike a submission with input images before it is charged; drawn for each try of such a request."""
ANSWER = (
    Fault.LOST_ANSWER, Fault.GARBLED, Fault.SAME_ID, Fault.FOREIGN_ANSWER, Fault.BARE_ANSWER, Fault.COST_MISSING,
    Fault.COST_LOW,
)  # fmt: skip
"""Strike the answer to a charged submission; drawn for each acceptance of a request."""
JOB = (
    Fault.FAILED, Fault.SLOW, Fault.STUCK, Fault.FORGOTTEN, Fault.EMPTY, Fault.DRIFT, Fault.OUTPUTS_LATE,
    Fault.OUTPUTS_ONE_BY_ONE, Fault.FEWER_OUTPUTS, Fault.FIRST_OUTPUT_MISSING, Fault.MORE_OUTPUTS,
)  # fmt: skip
"""Belong to the job permanently; drawn for each acceptance of a request."""
POLL = (Fault.POLL_ERROR, Fault.POLL_UNREACHED, Fault.POLL_LIMITED, Fault.POLL_UNKNOWN, Fault.UNAUTHORIZED)
"""Drawn for each poll of a job."""
FILE = (Fault.LATE_FILE, Fault.GONE, Fault.FILE_EXPIRED, Fault.FOREIGN_FILE)
"""Belong to a file permanently; drawn once, when the file is first requested."""
DRAWN = (Fault.BLANK, Fault.BLACK, Fault.FROZEN, Fault.SMALL, Fault.TALL, Fault.SHORT, Fault.DUPLICATE)
"""The same, of files that arrive whole and are not what was ordered: only where files are drawn, which is over HTTP."""
ADDRESS = (Fault.UNAUTHORIZED, Fault.FILE_UNREACHED, Fault.FILE_LIMITED)
"""Drawn each time a file is requested from the API, with the key."""
FETCH = (Fault.FILE_UNREACHED, Fault.TRUNCATED, Fault.HTML, Fault.FILE_LIMITED)
"""Drawn for each download of a file."""

NO_CONNECTION = (Fault.NOT_SENT, Fault.POLL_UNREACHED, Fault.FILE_UNREACHED)
"""Faults that a server cannot cause, since the request never reaches it: these strike in memory only."""


@dataclass(frozen=True, slots=True)
class Episode:
    """A fault that strikes every time between two moments (seconds of the provider's clock)."""

    start: float
    end: float
    fault: Fault
    subject: str = ""
    """If given, only subjects containing this text are struck: a body, a job's id, the address of a file."""


class Dice:
    """Random draws that depend only on the seed and on what they are for."""

    def __init__(self, seed: int) -> None:
        self._key = blake2b(str(seed).encode(), digest_size=32).digest()

    def uniform(self, *what: str | int) -> float:
        """Return a number between 0 and 1, both excluded."""
        return ((int.from_bytes(self._draw(8, what)) >> 12) + 0.5) / 2**52

    def token(self, *what: str | int) -> str:
        """Return 24 hex digits."""
        return self._draw(12, what).hex()

    def secret(self, *what: str | int) -> bytes:
        """Return a signing key of 32 bytes."""
        return self._draw(32, what)

    def _draw(self, size: int, what: tuple[str | int, ...]) -> bytes:
        return blake2b("\n".join(map(str, what)).encode(), digest_size=size, key=self._key).digest()


class Faults:
    """Decides which fault strikes what. Transient faults strike the same subject at most `strikes` times in a row."""

    def __init__(
        self, dice: Dice, rates: Mapping[Fault, float], script: Iterable[Episode] = (), *, strikes: int | None = None
    ) -> None:
        """`rates` are probabilities; `script` strikes for certain, whatever the rates and `strikes`."""
        self._dice = dice
        self._strikes = strikes
        self.struck: Counter[Fault] = Counter()
        """How often each has struck so far."""
        self.change(rates, script)

    def change(self, rates: Mapping[Fault, float], script: Iterable[Episode] = ()) -> None:
        """Replace rates and script: from now on, these faults strike."""
        self._rates = {fault: rate for fault, rate in rates.items() if rate > 0}
        self._script = tuple(script)
        self._possible = frozenset({*self._rates, *(episode.fault for episode in self._script)})

    def possible(self, group: tuple[Fault, ...]) -> bool:
        """Return whether any of these faults is switched on."""
        return not self._possible.isdisjoint(group)

    def lasting(self, group: tuple[Fault, ...], what: str, *, now: float, subject: str) -> frozenset[Fault]:
        """Return the faults of a group that belong to a subject permanently."""
        if not self.possible(group):
            return frozenset()
        found = frozenset(f for f in group if self._scripted(f, now, subject) or self._hit(f, what))
        self.struck.update(found)
        return found

    def strike(
        self, group: tuple[Fault, ...], what: str, number: int, *, now: float = 0.0, subject: str = ""
    ) -> Fault | None:
        """Return the fault of a group that strikes the `number`-th try (from 1) of `what`, if any does."""
        if not self.possible(group):
            return None
        found = next((fault for fault in group if self._scripted(fault, now, subject)), None)
        if found is None:
            found = self._transient(group, what, number)
        if found is not None:
            self.struck[found] += 1
        return found

    def _transient(self, group: tuple[Fault, ...], what: str, number: int) -> Fault | None:
        found = self._first(group, what, number)
        if found is None or self._strikes is None:
            return found
        in_row = 1
        if any(self._rates.get(one, 0) >= 1 for one in group):
            in_row = number
        else:
            while in_row < number and self._first(group, what, number - in_row):
                in_row += 1
        return found if in_row % (self._strikes + 1) else None

    def _scripted(self, fault: Fault, now: float, subject: str) -> bool:
        return any(e.fault is fault and e.start <= now < e.end and e.subject in subject for e in self._script)

    def _first(self, group: tuple[Fault, ...], what: str, number: int) -> Fault | None:
        return next((fault for fault in group if self._hit(fault, what, number)), None)

    def _hit(self, fault: Fault, *what: str | int) -> bool:
        rate = self._rates.get(fault)
        return rate is not None and (rate >= 1 or self._dice.uniform("fault", fault, *what) < rate)
