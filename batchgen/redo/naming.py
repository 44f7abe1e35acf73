"""The names that a redo gives: to its run, to its items, and their seeds. All follow from what was there before."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from itertools import count

from batchgen.catalog import Parameter

_REDO = re.compile(r"(?P<base>.+)-redo-(?P<number>[1-9][0-9]{0,8})")
_SIMULATED = ".simulated"
_LONGEST_NAME = 64
_LONGEST_ID = 100
_LARGEST_SEED = 2**31 - 1


def redo_number(run: str, beside: Iterable[str]) -> tuple[str, int]:
    """Return what the redoes of a run are called before their number, and the next number.

    A redo of a redo is one of the first run; `beside` are the names of the run folders there are.
    """
    base, number = _parts(run)
    numbers = (_parts(name) for name in beside)
    return base, max([number, *(taken for other, taken in numbers if other == base)]) + 1


def redo_name(base: str, number: int) -> str:
    """Return the name of a redo's run: `spring-redo-2`."""
    suffix = f"-redo-{number}"
    return base[: _LONGEST_NAME - len(suffix)] + suffix


def _parts(run: str) -> tuple[str, int]:
    name = run.removesuffix(_SIMULATED)
    found = _REDO.fullmatch(name)
    return (found["base"], int(found["number"])) if found else (name, 0)


def new_ids(item_id: str, run: str, number: int) -> Iterator[str]:
    """Yield ids for an item that redo `number` buys once more, the best first: `mug.r2` for `mug`, and for `mug.r1` of
    redo 1. The `~` of copies, which no id in a manifest has, becomes a hyphen."""
    _, earlier = _parts(run)
    root = (item_id.removesuffix(f".r{earlier}") if earlier else item_id).replace("~", "-")
    suffix = f".r{number}"
    if len(root) + len(suffix) <= _LONGEST_ID:
        yield root + suffix
    for attempt in count():
        mark = hashlib.sha256(f"{item_id} {attempt}".encode()).hexdigest()[:10]
        yield f"{root[: _LONGEST_ID - len(suffix) - len(mark) - 1]}-{mark}{suffix}"


def new_seed(seed: int, number: int, parameter: Parameter | None) -> int:
    """Return the seed of redo `number` of an item that had this one: always the same, and another one."""
    low = max(0, (parameter and parameter.minimum) or 0)
    high = min(_LARGEST_SEED, (parameter and parameter.maximum) or _LARGEST_SEED)
    drawn = int.from_bytes(hashlib.sha256(f"batchgen redo 1\n{seed} {number}".encode()).digest()[:8])
    span = high - low + 1
    found = low + drawn % span
    return found if found != seed else low + (found - low + 1) % span
