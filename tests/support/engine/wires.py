"""Values of purchases as they may travel between worker and coordinator, for property tests, and what garbles them."""

import copy
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from batchgen.api import Job, JobStatus
from batchgen.core.records import Item, StoredFile
from batchgen.journal import Work
from batchgen.journal.delivered import Findings
from batchgen.media.facts import Facts
from batchgen.policy.absence import Absence

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
counts = st.integers(0, (1 << 53) - 1)
amounts = st.decimals(0, 10**6, places=9, allow_nan=False).map(abs)
times = st.integers(0, 10**8).map(lambda ms: datetime(2026, 1, 31, tzinfo=UTC) + timedelta(milliseconds=ms))
names = st.text("abcdefgh", min_size=1, max_size=6)
digests = st.text("0123456789abcdef", min_size=64, max_size=64)

works = st.builds(
    Work,
    st.integers(1, 10**6),
    st.builds(
        Item, id=names, model=names, body=texts, digest=digests,
        tags=st.dictionaries(texts, texts, max_size=3).map(lambda tags: tuple(tags.items())), path=names, source=texts,
        estimated=amounts, expect=st.none() | texts,
    ),
    st.integers(0, 50),
)  # fmt: skip
jobs = st.builds(
    Job, st.text("abc-123", min_size=1, max_size=20), st.sampled_from(JobStatus), model=st.none() | texts,
    cost=st.none() | amounts, created_at=st.none() | times, started_at=st.none() | times,
    completed_at=st.none() | times, expires_at=st.none() | times, inference_ms=st.none() | counts,
    error=st.none() | texts, outputs=st.lists(st.none() | texts, max_size=3).map(tuple),
    input=st.none() | st.dictionaries(st.sampled_from(["model", "prompt"]), texts),
    scale=st.none() | st.just("1/4"),
)  # fmt: skip
files = st.builds(
    StoredFile, counts, st.lists(names, min_size=1, max_size=3).map(lambda parts: "/".join(["files", *parts])), counts,
    digests, familiar=st.booleans(),
)  # fmt: skip
findings = st.builds(
    Findings,
    st.builds(
        Facts, width=st.none() | counts, height=st.none() | counts, duration_ms=st.none() | counts,
        frame_rate=st.none() | st.fractions(Fraction(1), Fraction(240), max_denominator=1001),
        codec=st.none() | texts, sound=st.none() | st.booleans(), c2pa=st.none() | st.booleans(),
    ),
    st.lists(names, max_size=3).map(tuple), judged=st.booleans(),
)  # fmt: skip
absences = st.builds(Absence, st.integers(0, 99), st.floats(0, 1e6))

junk = (
    st.none() | st.booleans() | st.integers() | st.just(10**40) | st.floats() | texts
    | st.sampled_from(["NaN", "Infinity", "-1", "1e999999999", "\ud800", "../..", "9" * 5000])
    | st.recursive(texts, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2))
)  # fmt: skip
"""What JSON can hold, and Python's reader of it lets through."""


def wire(content: Any) -> Any:
    """What the other side reads of a message."""
    return json.loads(json.dumps(content))


@st.composite
def garbled(draw: st.DrawFn, content: Any) -> Any:
    """A message in which one value, at whatever depth, is another or is missing."""
    content = copy.deepcopy(content)
    places: list[tuple[Any, Any]] = []

    def look(value: Any) -> None:
        keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
        for key in keys:
            places.append((value, key))
            look(value[key])

    look(content)
    holder, key = draw(st.sampled_from(places))
    if draw(st.booleans()):
        holder[key] = draw(junk)
    else:
        del holder[key]
    return content


def is_fit_for_a_journal(value: object) -> bool:
    """Whether SQLite takes a value: no number beyond 64 bits, no half of a surrogate pair, no object."""
    match value:
        case None | bool() | float() | datetime() | Decimal() | Fraction():
            return True
        case int():
            return abs(value) < 1 << 63
        case str():
            return value.encode("utf-8", "replace").decode() == value
        case tuple() | list():
            return all(map(is_fit_for_a_journal, value))
        case _:
            return False
