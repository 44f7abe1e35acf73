"""What worker and coordinator say to each other: requests of the worker, and the coordinator's answers to them.

A start is one start of a ticket on a worker, and has a random name. It begins once, and then exchanges: each exchange
is numbered, and one that is repeated since its answer was lost gets the same answer and changes nothing.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from batchgen.engine.codec import Json, get_amount, get_number, get_object, get_text, put_money, reading
from batchgen.journal import PurchaseName
from batchgen.policy.stopping import Stop

PROTOCOL = 1
"""Changes with every change of these messages: both sides must be of the same release."""
HEARD_WITHIN = 5.0
"""Seconds since a worker's last exchange that was answered, counted from before it was sent, in which it may buy."""
LOST_AFTER = 30.0
"""Seconds without an exchange after which the coordinator counts a start as lost. Longer than `HEARD_WITHIN` by far:
for a request that is just leaving, and clocks that run apart."""


def new_start() -> str:
    """Return a name for a start: never used before, and not to be guessed. A folder may have it (`is_start`)."""
    return secrets.token_hex(8)


@dataclass(frozen=True, slots=True)
class Begun:
    """What a start is given to do; without items, there is nothing to do for it."""

    items: Sequence[Json] = ()
    """As `batchgen.engine.codec.put_work` writes them."""
    run: Mapping[str, object] = field(default_factory=dict)
    """What it buys with: settings, the API's address, the account's fingerprint, and where outputs go."""
    reached: bool = False
    """Whether the API has answered this run before: else a start waits less long for it."""

    def encoded(self) -> Json:
        return {"items": list(self.items), "run": dict(self.run), "reached": self.reached}

    @classmethod
    def decoded(cls, content: object) -> "Begun":
        begun: Begun = reading(cls._read, content)
        return begun

    @classmethod
    def _read(cls, content: Json) -> "Begun":
        return cls(list(map(get_object, content["items"])), get_object(content["run"]), bool(content["reached"]))


@dataclass(frozen=True, slots=True)
class Ask:
    """A question for leave to buy one item once."""

    item: int
    """By its key in the coordinator's journal."""
    price_key: str


@dataclass(frozen=True, slots=True)
class Granted:
    """Leave to buy one item once. It is in the coordinator's journal as an intent before it is told."""

    item: int
    name: PurchaseName
    """What the coordinator's journal calls the purchase, and the start's own is to call it."""
    reserved: Decimal
    """USD that it is expected to cost."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A start is over, and says why."""

    stop: str | None
    """The name of a `batchgen.policy.stopping.Stop`; None: everything that it was given has come to an end."""
    detail: str
    """One sentence for the user on it."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a start says: it lives, and what has happened since."""

    start: str
    number: int
    """Counts the exchanges of a start from 1."""
    busy: int
    """Jobs that occupy a place of the account's concurrency, requests under way included."""
    asks: Sequence[Ask] = ()
    tells: Sequence[Json] = ()
    """What has happened, in order; see `batchgen.engine.tells`."""
    ended: Ended | None = None

    def encoded(self) -> Json:
        return {
            "start": self.start, "number": self.number, "busy": self.busy,
            "asks": [[ask.item, ask.price_key] for ask in self.asks], "tells": list(self.tells),
            "ended": None if self.ended is None else [self.ended.stop, self.ended.detail],
        }  # fmt: skip

    @classmethod
    def decoded(cls, content: object) -> "Exchange":
        exchange: Exchange = reading(cls._read, content)
        return exchange

    @classmethod
    def _read(cls, content: Json) -> "Exchange":
        return cls(
            get_text(content["start"]), get_number(content["number"]), get_number(content["busy"]),
            [Ask(get_number(item), get_text(price_key)) for item, price_key in content["asks"]],
            list(map(get_object, content["tells"])), None if content["ended"] is None else _ended(*content["ended"]),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """What the coordinator answers to an exchange."""

    number: int
    live: bool
    """Whether the start may go on buying; false where the coordinator itself may not."""
    granted: Sequence[Granted] = ()
    left: Sequence[int] = ()
    """Items, by key, that are asked for in vain: they stay pending."""
    stop: tuple[str, str] | None = None
    """Why nothing more is bought, by the name of a `Stop` and one sentence; None while the run buys."""
    at_once: bool = False
    """Whether answers to requests are not waited for any more."""

    def encoded(self) -> Json:
        return {
            "number": self.number, "live": self.live, "left": list(self.left), "stop": self.stop,
            "at_once": self.at_once,
            "granted": [
                [g.item, g.name.key, g.name.purchase, g.name.number, put_money(g.reserved)] for g in self.granted
            ],
        }  # fmt: skip

    @classmethod
    def decoded(cls, content: object) -> "Answer":
        answer: Answer = reading(cls._read, content)
        return answer

    @classmethod
    def _read(cls, content: Json) -> "Answer":
        stop = content["stop"]
        return cls(
            get_number(content["number"]), bool(content["live"]),
            [
                Granted(
                    get_number(item), PurchaseName(get_number(key), get_text(purchase), get_number(number)),
                    get_amount(reserved),
                )
                for item, key, purchase, number, reserved in content["granted"]
            ],
            list(map(get_number, content["left"])), None if stop is None else _stop(*stop),
            at_once=bool(content["at_once"]),
        )  # fmt: skip


def _ended(stop: object, detail: object) -> Ended:
    return Ended(None if stop is None else get_text(stop), get_text(detail))


def _stop(name: object, detail: object) -> tuple[str, str]:
    return Stop[get_text(name)].name, get_text(detail)
