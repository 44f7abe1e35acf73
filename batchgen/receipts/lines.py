"""The lines of the receipts: one JSON object each, whose first key is its kind and names the purchase.

They are short, since there may be millions, and none is ever changed. Times are
milliseconds since 1970 (UTC), money is decimal text in USD.
"""

import json
import re
from decimal import Decimal
from typing import Any, NamedTuple, TypeGuard

from batchgen.core.records import State, StoredFile

FORMAT_VERSION = 1
_ENCODE = json.JSONEncoder(separators=(",", ":")).encode


class Line(NamedTuple):
    """One line, with its line end."""

    text: str
    synced: bool = False
    """Whether it must be on disk before anything is acknowledged."""
    intent: str = ""
    """The purchase that it announces; empty for lines of other kinds."""


def header(run_id: str, generation: int) -> Line:
    """The first line of a file: whose receipts these are, and how often they were rewritten."""
    return _line({"receipts": FORMAT_VERSION, "run_id": run_id, "generation": generation}, synced=True)


def bound(run: str, api: str, account: str, outputs: str = "") -> Line:
    """The run folder belongs to this API and account; its outputs are at an address, if not in the folder."""
    content = {"bound": run, "api": api, "account": account}
    return _line(content | ({"outputs": outputs} if outputs else {}), synced=True)


def intent(
    purchase: str, *, item: str, digest: str, attempt: int, model: str, price: Decimal, reserved: Decimal,
    account: str, tables: str, at: int,
) -> Line:  # fmt: skip
    """A request is about to be sent: `price` is the catalogue price, `reserved` what it is expected to cost."""
    return Line(
        _text(
            {"intent": purchase, "item": item, "digest": digest, "attempt": attempt, "model": model,
             "price": plain(price), "reserved": plain(reserved), "account": account, "tables": tables, "at": at}
        ), synced=True, intent=purchase,
    )  # fmt: skip


def accepted(
    purchase: str, *, item: str, attempt: int, job: str, charged: Decimal, expires: int | None, at: int
) -> Line:
    """The API accepted it as this job, and charged for it."""
    content = {"accepted": purchase, "item": item, "attempt": attempt, "job": job, "charged": plain(charged), "at": at}
    return _line(content | ({} if expires is None else {"expires": expires}), synced=True)


def void(purchase: str) -> Line:
    """It was certainly not charged: not sent, busy, 401, 402."""
    return _line({"void": purchase})


def ended(
    purchase: str, state: State, at: int, *, charged: Decimal | None = None, refunded: Decimal | None = None,
    outputs: int | None = None,
) -> Line:  # fmt: skip
    """It ended at the provider: ready (with so many outputs), failed, rejected or lost."""
    content = {"ended": purchase, "state": state.value, "at": at}
    money = {name: plain(value) for name, value in (("charged", charged), ("refunded", refunded)) if value is not None}
    return _line(content | money | ({} if outputs is None else {"outputs": outputs}))


def reopened(purchase: str) -> Line:
    """It was lost, and the provider knows it after all."""
    return _line({"reopened": purchase})


def stored(purchase: str, file: StoredFile) -> Line:
    """One of its files is on disk."""
    return _line(
        {"stored": purchase, "output": file.output, "path": file.path, "bytes": file.bytes, "sha256": file.sha256}
    )


def settled(purchase: str, how: str, at: int, *, charged: Decimal | None = None) -> Line:
    """The user looked it up: it was `charged` and cannot be found, or it was `not_charged`."""
    content: dict[str, Any] = {"settled": purchase, "how": how, "at": at}
    return _line(content | ({} if charged is None else {"charged": plain(charged)}), synced=True)


def renamed(purchase: str, item: str, attempt: int) -> Line:
    """It belongs to another item now, as this attempt of that item."""
    return _line({"renamed": purchase, "item": item, "attempt": attempt}, synced=True)


def plain(amount: Decimal) -> str:
    """Return an amount in plain digits, without an exponent."""
    return format(amount, "f")


def _text(content: dict[str, Any]) -> str:
    return _ENCODE(content) + "\n"


def _line(content: dict[str, Any], *, synced: bool = False) -> Line:
    return Line(_text(content), synced)


# ---- reading ------------------------------------------------------------------------------------------------------

_MONEY = re.compile(r"[0-9]{1,15}(\.[0-9]{1,24})?")
_PURCHASE = re.compile(r"[0-9a-f]{16,32}")
_PLAIN = re.compile(r"[\x21-\x7e]{1,256}")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,199}")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_STATES = frozenset(State)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53


def _is_time(value: object) -> bool:
    """Milliseconds since 1970; negative if the clock of a server was never set."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 53


def _is_text(value: object) -> TypeGuard[str]:
    """Text that a database accepts: JSON can contain half a surrogate pair."""
    return isinstance(value, str) and "\0" not in value and not _SURROGATE.search(value)


def _is_path(value: object) -> bool:
    """A path of a file in the run folder, which does not lead out of it."""
    if not _is_text(value):
        return False
    parts = value.split("/")
    return len(parts) > 1 and parts[0] in ("files", "superseded") and not {"", ".", ".."} & set(parts)


_CHECKS = {
    "purchase": lambda v: isinstance(v, str) and _PURCHASE.fullmatch(v),
    "item": lambda v: isinstance(v, str) and _ID.fullmatch(v),
    "plain": lambda v: isinstance(v, str) and _PLAIN.fullmatch(v),
    "text": _is_text,
    "money": lambda v: isinstance(v, str) and _MONEY.fullmatch(v),
    "count": _is_count,
    "time": _is_time,
    "state": lambda v: isinstance(v, str) and v in _STATES,
    "path": _is_path,
}
_SHAPES: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "receipts": ({"receipts": "count", "run_id": "plain", "generation": "count"}, {}),
    "bound": ({"bound": "text", "api": "text", "account": "text"}, {"outputs": "text"}),
    "intent": (
        {"intent": "purchase", "item": "item", "digest": "plain", "attempt": "count", "model": "plain",
         "price": "money", "reserved": "money", "account": "text", "tables": "text", "at": "time"}, {},
    ),
    "accepted": (
        {"accepted": "purchase", "item": "item", "attempt": "count", "job": "plain", "charged": "money", "at": "time"},
        {"expires": "time"},
    ),
    "void": ({"void": "purchase"}, {}),
    "ended": (
        {"ended": "purchase", "state": "state", "at": "time"},
        {"charged": "money", "refunded": "money", "outputs": "count"},
    ),
    "reopened": ({"reopened": "purchase"}, {}),
    "stored": (
        {"stored": "purchase", "output": "count", "path": "path", "bytes": "count", "sha256": "plain"}, {},
    ),
    "settled": ({"settled": "purchase", "how": "plain", "at": "time"}, {"charged": "money"}),
    "renamed": ({"renamed": "purchase", "item": "item", "attempt": "count"}, {}),
}  # fmt: skip
"""By kind, the keys that a line must have and those that it may have, each with the check of its value."""


def read_line(raw: bytes) -> tuple[str, dict[str, Any]] | None:
    """Return kind and content of a line, or None for one that cannot be read."""
    try:
        content = json.loads(raw)
        kind = next(iter(content))
        wanted, allowed = _SHAPES[kind]
    except (ValueError, TypeError, KeyError, StopIteration, RecursionError):
        return None
    if not isinstance(content, dict) or not content.keys() >= wanted.keys():
        return None
    checks = wanted | {name: check for name, check in allowed.items() if name in content}
    return (kind, content) if all(_CHECKS[check](content[name]) for name, check in checks.items()) else None
