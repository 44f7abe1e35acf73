"""The addresses of outputs in memory: the API's own ones, which need the key, and the public ones they lead to."""

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

OWN = "memory:"
"""How the addresses of outputs begin, which need the key."""
_PUBLIC = "https://files.memory/"
_SIGNED_FOR = 900.0
"""Seconds for which a public address works."""
_ADDRESS = re.compile(
    rf"(?:{re.escape(OWN)}|{re.escape(_PUBLIC)})(?P<job>\w+)/(?P<output>\d+)(?:\?until=(?P<until>[\d.]+))?"
)


class Picture(NamedTuple):
    """An output that a request has as an input image."""

    place: str
    """As in `batchgen.core.records.Input`."""
    job_id: str
    output: int
    """Counts from 1."""
    until: float
    """When its address ceases to work without a key, in seconds of the provider's clock; 0 if it never did."""


def public_address(job_id: str, output: int, now: float) -> str:
    """Return where an output lies in public from `now` on, in seconds of the provider's clock."""
    return f"{_PUBLIC}{job_id}/{output}?until={now + _SIGNED_FOR}"


def pictures_in(body: str) -> Iterator[Picture]:
    """Yield the outputs that a request has as input images."""
    if _PUBLIC not in body and f'"{OWN}' not in body:
        return
    for name, value in json.loads(body).items():
        for n, text in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(text, str) and (found := _ADDRESS.fullmatch(text)):
                place = f"{name}/{n}" if isinstance(value, list) else name
                until = float(found["until"] or 0) if text.startswith(_PUBLIC) else 0.0
                yield Picture(place, found["job"], int(found["output"]), until)
