"""References to outputs of other items: `${items.ID.output}`, `${items.ID.output.N}`, `${items.ID.picked}`.

A reference stands alone, where a parameter takes a picture's address; the id in it may have variables of its own.
"""

import re
from dataclasses import dataclass
from typing import Any

from batchgen.core.records import PICKED
from batchgen.manifest.yaml.problems import Mark

FORMS = "`${items.ID.output}`, `${items.ID.output.N}` or `${items.ID.picked}`"
_REFERENCE = re.compile(r"\$\{\s*items\.(?P<id>.+)\.(?:output(?:\.(?P<number>[0-9]{1,6}))?|(?P<picked>picked))\s*\}")
_BEGUN = re.compile(r"(?<!\$)\$\{\s*items\.")


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference with its variables replaced: the value of a parameter until the output is there."""

    item_id: str
    output: int
    """Counts from 1, or `PICKED`."""
    mark: Mark | None
    """Where it is written; None if its row says what it refers to."""

    @property
    def stand_in(self) -> str:
        """An address that stands in its place while the request is checked; no other reference has the same one."""
        return f"https://items.invalid/{self.item_id}/{self.output}"


def read_reference(text: str) -> tuple[str, int] | None:
    """Return the id, which may have variables, and the output that a text refers to; None if it is no reference.

    An output that is not a number from 1 makes it none.
    """
    found = _REFERENCE.fullmatch(text.strip()) if "items." in text else None
    if found is None:
        return None
    output = PICKED if found["picked"] else int(found["number"] or 1)
    return None if output == PICKED and not found["picked"] else (found["id"], output)


def looks_like_reference(text: str) -> bool:
    """Return whether a text has something that begins as a reference does."""
    return "items." in text and _BEGUN.search(text) is not None


def take_references(body: dict[str, Any]) -> tuple[tuple[str, Reference], ...]:
    """Put the stand-in addresses of references into a body; return the references, each with its place in the body.

    A place is `image`, or `images/0` in a list.
    """
    found: tuple[tuple[str, Reference], ...] = ()
    for name, value in body.items():
        if type(value) is Reference:
            body[name] = value.stand_in
            found += ((name, value),)
        elif type(value) is list and any(type(entry) is Reference for entry in value):
            body[name] = [entry.stand_in if type(entry) is Reference else entry for entry in value]
            found += tuple((f"{name}/{n}", entry) for n, entry in enumerate(value) if type(entry) is Reference)
    return found
