"""A limit that is a count, or a share of what there is."""

import re
from dataclasses import dataclass
from decimal import Decimal

_SHARE = re.compile(r"([0-9]{1,2}(?:\.[0-9]{1,4})?) ?%")


@dataclass(frozen=True, slots=True)
class Count:
    """So many."""

    number: int

    def __str__(self) -> str:
        return str(self.number)


@dataclass(frozen=True, slots=True)
class Share:
    """So many in a hundred; more than 0 and less than 100."""

    percent: Decimal

    def __str__(self) -> str:
        return f"{self.percent:f}%"

    @classmethod
    def parse(cls, text: str) -> "Share | None":
        """Return the share that is written as `5%` or `2.5 %`; None if it is none."""
        found = _SHARE.fullmatch(text.strip())
        percent = Decimal(0) if found is None else Decimal(found[1])
        return cls(percent) if percent else None
