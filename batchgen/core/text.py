"""Small rules for text that comes from elsewhere: prompts, server messages, file names."""

import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

# C0 and C1 controls, and the marks that reorder or hide text on a terminal (Unicode TR36, bidirectional spoofing).
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def printable(text: str, limit: int = 500) -> str:
    """Return `text` on one line, fit for terminals and logs: control characters become spaces; cut at `limit`."""
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    return _UNPRINTABLE.sub(" ", text)


def json_object(line: bytes) -> dict[str, Any] | None:
    """Return the JSON object that a line of a file holds; None if it holds anything else."""
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


def usd(amount: Decimal) -> str:
    """Return `amount` in plain decimal digits, at least two after the decimal point: `0.06`, `1.056`, `-0.30`."""
    plain = format(amount, "f")
    whole, _, fraction = plain.partition(".")
    fraction = fraction.rstrip("0").ljust(2, "0")
    text = f"{whole}.{fraction}"
    return "0.00" if text == "-0.00" else text


def dollars(amount: Decimal | None) -> str:
    """Return `amount` as `$0.06`, or `unknown`: an unknown price is never 0."""
    return "unknown" if amount is None else f"${usd(amount)}"


def usd_or_null(amount: Decimal | None) -> str | None:
    """Return `amount` as `usd` does, for JSON; None, which is null there, if it is unknown."""
    return None if amount is None else usd(amount)


def stamp(moment: datetime) -> str:
    """Return `moment` as `YYYY-MM-DDTHH:MM:SSZ`, cut to the second."""
    # strftime writes the year 1 as `1`.
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def plural(count: int, word: str) -> str:
    """Return `1 item`, `2 items`."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"
