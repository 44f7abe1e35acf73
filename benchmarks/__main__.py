"""`python -m benchmarks`: run all measurements, or those that are named, and print the table."""

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import (
    bare,
    browsing,
    crews,
    downloads,
    exporting,
    inspecting,
    items,
    judging,
    ledgers,
    merging,
    objects,
    overnight,
    paging,
    polling,
    reading,
    realtime,
    receipts,
    reporting,
    second_start,
    sharing,
    startup,
    thumbnails,
    viewing,
    waiting,
    wire,
)
from benchmarks.measure import FAST, BenchmarkError, batchgen, run
from benchmarks.table import Row, as_table

Part = Callable[[Path, bool], Iterator[Row]]
"""Yields rows; takes a folder to work in, and whether it should only show that it works."""

NIGHT = int(os.environ.get("NIGHT", "10000"))
"""Items of the virtual night; a million of them take most of an hour."""
ITEMS = int(os.environ.get("ITEMS", "3000"))
"""Items of a run beside the plain script; with more of them, start-up weighs less."""
SUBMISSIONS = int(os.environ.get("SUBMISSIONS", "1000"))
"""POSTs to each server that hangs up; a hundred thousand of them take hours."""
SECOND = [int(size) for size in os.environ.get("SECOND", "6000").split()]
"""Items of the run folders that are started a second time."""

PARTS: dict[str, Part] = {
    "items": lambda folder, tiny: items.rows(folder, 60 if tiny else ITEMS, 1 if tiny else 2),
    "bare": lambda folder, tiny: bare.rows(folder, 100 if tiny else 6000),
    "reading": lambda folder, tiny: reading.rows(
        folder, 50 if tiny else 100_000, (20, 40) if tiny else (10_000, 1_000_000), 1 if tiny else 2
    ),
    "memory": lambda folder, tiny: reading.memory_rows(folder, (20, 40) if tiny else (10_000, 100_000, 1_000_000)),
    "startup": lambda folder, tiny: startup.rows(folder, 1 if tiny else 15),
    "polling": lambda folder, tiny: polling.rows(folder, 60 if tiny else 4000),
    "realtime": lambda folder, tiny: realtime.rows(folder, 20 if tiny else 300),
    "waiting": lambda _, tiny: waiting.rows(100 if tiny else 100_000, 10 if tiny else 5000, 0.5 if tiny else 4.0),
    "downloads": lambda folder, tiny: downloads.rows(folder, *((2, 5, 1) if tiny else (100, 2000, 3))),
    "objects": lambda folder, tiny: objects.rows(folder, *((2, 5, 1) if tiny else (40, 1000, 3))),
    "inspecting": lambda folder, tiny: inspecting.rows(folder, 5 if tiny else 300),
    "judging": lambda folder, tiny: judging.rows(folder, 2 if tiny else 200, 1 if tiny else 40),
    "exporting": lambda folder, tiny: exporting.rows(folder, 20 if tiny else 1000, 40 if tiny else 100_000),
    "ledger": lambda folder, tiny: ledgers.rows(folder, 50 if tiny else 10_000, 100 if tiny else 1_000_000),
    "merging": lambda folder, tiny: merging.rows(folder, 40 if tiny else 1000, 80 if tiny else 100_000),
    "receipts": lambda folder, tiny: receipts.rows(folder, 50 if tiny else 4000, 100 if tiny else 200_000),
    "workers": lambda folder, tiny: crews.rows(folder, *((20, (1,)) if tiny else (4000,))),
    "second": lambda folder, tiny: second_start.rows(folder, (20,) if tiny else SECOND, 1 if tiny else 3),
    "thumbnails": lambda folder, tiny: thumbnails.rows(folder, 128 if tiny else 2048, 20 if tiny else 5000),
    "browsing": lambda folder, tiny: browsing.rows(folder, 60 if tiny else 100_000),
    "sharing": lambda folder, tiny: sharing.rows(folder, 50 if tiny else 4000),
    "page": lambda folder, tiny: paging.rows(folder, 50 if tiny else 10_000, 100 if tiny else 1_000_000),
    "report": lambda folder, tiny: reporting.rows(folder, (20, 40) if tiny else (10_000, 100_000, 1_000_000)),
    "wire": lambda folder, tiny: wire.rows(
        folder, 40 if tiny else 100, 2.0 if tiny else 10.0, 50 if tiny else 1000, 20 if tiny else SUBMISSIONS
    ),
    "viewing": lambda folder, tiny: viewing.rows(folder, 100 if tiny else 1_000_000),
    "overnight": lambda folder, tiny: overnight.rows(folder, 60 if tiny else NIGHT),
}
GOALS = ("startup", "polling", "waiting", "items", "bare", "reading", "downloads", "second", "wire")
"""Parts that are measured where none is named: those with goals. `all` names all."""


def main() -> int:
    """Measure, print the table, and return 1 where something could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", choices=[*PARTS, "all", []], metavar="PART", help=f"all, or of {', '.join(PARTS)}"
    )
    parser.add_argument("--tiny", action="store_true", help="only show that everything works: the figures mean nothing")
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    given = parser.parse_args()
    print(f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores; {_extras()}")
    run(batchgen("--version"))  # so that no measurement compiles anything
    rows: list[Row] = []
    failed = False
    for name in PARTS if "all" in given.parts else given.parts or GOALS:
        begun = time.monotonic()
        try:
            with tempfile.TemporaryDirectory(prefix="batchgen-bench-", dir=given.folder) as folder:
                rows += PARTS[name](Path(folder), given.tiny)
        except BenchmarkError as error:
            failed = True
            print(f"{name}: {error}", file=sys.stderr)
        print(f"{name}: {time.monotonic() - begun:.0f} s", file=sys.stderr)
    print(as_table(rows))
    return int(failed)


def _extras() -> str:
    from importlib.util import find_spec

    missing = [name for name in FAST if find_spec(name) is None]
    return f"without {', '.join(missing)} of the extra `fast`" if missing else "with the extra `fast`"


if __name__ == "__main__":
    sys.exit(main())
