"""Requests that differ only in ids, tags and open values: what they have in common is worked out once."""

from collections.abc import Sequence
from typing import Any

from batchgen.catalog import Check
from batchgen.core.digest import canonical_form
from batchgen.manifest.item.request import ItemRequest


class Series:
    """What the requests of one series have in common."""

    __slots__ = ("_prompt", "_seed", "canonical", "checks", "price", "request")

    def __init__(self, request: ItemRequest, checks: dict[str, Check], price: str | None) -> None:
        """`request` is one of them; `checks` are the parameters in which they differ, and what checks their values.

        `price` is the price of each, in USD; None if it is unknown.
        """
        names = sorted(checks)
        self.request = request
        self.price = price
        self.checks = tuple(checks[name] for name in names)
        """In the order of the values."""
        self.canonical = canonical_form(request.body, names)
        """Takes the values and returns the canonical body."""
        self._seed = names.index("seed") if "seed" in checks else None
        self._prompt = names.index("prompt") if "prompt" in checks else None

    def seed(self, values: Sequence[Any], otherwise: object) -> object:
        """Return the seed of the request with these values, `otherwise` if it has none."""
        return self.request.body.get("seed", otherwise) if self._seed is None else values[self._seed]

    def prompt(self, values: Sequence[Any]) -> object:
        """Return the prompt of the request with these values; None if it has none."""
        return self.request.body.get("prompt") if self._prompt is None else values[self._prompt]
