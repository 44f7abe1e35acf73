"""How much room a purchase will need, as far as earlier outputs of the same models tell, beside what is free."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from batchgen.core.errors import BatchgenError
from batchgen.core.files import free_bytes
from batchgen.core.text import plural
from batchgen.journal import FILE_NAME, is_simulated, open_for_reading, sqlite_errors
from batchgen.journal.queries.report_rows import bytes_by_model, facts_of
from batchgen.plan import Plan
from batchgen.store import Address

_RUNS = 10
"""Other run folders that are looked at, the latest first."""
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


@dataclass(frozen=True, slots=True)
class DiskSpace:
    """Bytes that the outputs of a plan are expected to need, and those that are free."""

    expected: int | None
    """None: nothing is known of any of the models."""
    unknown: int
    """Items of models of which no output is known yet; they are not in `expected`."""
    free: int
    outputs: str = ""
    """Where they go in an object store, whose room nobody knows; empty: to this disk."""

    @property
    def suffices(self) -> bool:
        """Whether what is expected fits."""
        return bool(self.outputs) or self.expected is None or self.expected <= self.free

    @property
    def sentence(self) -> str:
        """Return both for people."""
        if self.outputs:
            size = "room that is unknown" if self.expected is None else f"about {shown(self.expected)}"
            return f"the outputs will take {size} in {self.outputs}"
        if self.expected is None:
            return f"how much room the outputs will take is unknown; {shown(self.free)} are free"
        besides = f", without {plural(self.unknown, 'item')} whose size is unknown" if self.unknown else ""
        return f"the outputs will take about {shown(self.expected)}{besides}; {shown(self.free)} are free"


def disk_space(plan: Plan, folder: Path, outputs: Address | None = None) -> DiskSpace:
    """Return the room that a plan will need in a run folder, which need not exist yet.

    Sizes are those of the run's own outputs, and of other runs beside it for models that it has none of, unless these
    were simulated.
    """
    known: dict[str, float] = {}
    for run in _runs(folder):
        if plan.buy.keys() <= known.keys():
            break
        known = _sizes(run, other=run != folder) | known
    sizes = [round(count * known[model]) for model, (count, _) in plan.buy.items() if model in known]
    unknown = sum(count for model, (count, _) in plan.buy.items() if model not in known)
    place = next(parent for parent in (folder, *folder.absolute().parents) if parent.is_dir())
    expected = sum(sizes) if sizes or not unknown else None
    return DiskSpace(expected, unknown, free_bytes(place), "" if outputs is None else str(outputs))


def _runs(folder: Path) -> Iterator[Path]:
    """Yield the run folder itself, then others beside it, the latest first."""
    if (folder / FILE_NAME).is_file():
        yield folder
    try:
        others = [path for path in folder.parent.iterdir() if path != folder and (path / FILE_NAME).is_file()]
        others.sort(key=lambda path: (path / FILE_NAME).stat().st_mtime, reverse=True)
    except OSError:
        return  # an estimate is not worth an error
    yield from others[:_RUNS]


def _sizes(run: Path, *, other: bool) -> dict[str, float]:
    path = run / FILE_NAME
    try:
        with closing(open_for_reading(path)) as db, sqlite_errors(path):
            # What a simulator draws says nothing of the sizes of real outputs.
            return {} if other and is_simulated(facts_of(db)) else bytes_by_model(db)
    except BatchgenError:
        return {}  # another run's journal may be damaged; an estimate is not worth an error


def shown(size: int) -> str:
    """Return a number of bytes for people, as in `1.4 GiB`."""
    amount = float(size)
    for unit in _UNITS:
        if amount < 1024 or unit == _UNITS[-1]:
            return f"{amount:,.0f} {unit}" if unit == "bytes" or amount >= 100 else f"{amount:.1f} {unit}"
        amount /= 1024
    raise AssertionError("the last unit takes any size")
