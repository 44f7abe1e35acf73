"""`batchgen export` of many outputs: its memory, its time beside hard links by `cp -al`, and the same export again."""

import hashlib
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from benchmarks.ledgers import make as make_journal
from benchmarks.measure import Usage, batchgen, part, run
from benchmarks.server import png
from benchmarks.table import Row

_SIZE = 200
"""Bytes of a file: what is measured is what each file costs, not its bytes."""


def rows(folder: Path, few: int, many: int) -> Iterator[Row]:
    """Export two numbers of outputs, and the larger one again."""
    small, large = _exported(folder, few), _exported(folder, many)
    shown, against = f"{large.cpu:.1f} s CPU, {large.peak:.0f} MiB", f"{few:,}: {small.peak:.0f} MiB"
    yield Row(f"peak memory of an export of {many:,} outputs", shown, against, large.peak / small.peak, most=1.5)
    linked = run(["cp", "-al", folder / f"run-{many}" / "files", folder / "linked"])
    yield Row(
        f"CPU of an export of {many:,} outputs, with metadata and costs", f"{large.cpu:.1f} s",
        f"cp -al: {linked.cpu:.1f} s", large.cpu / linked.cpu if linked.cpu else None,
    )  # fmt: skip
    again = _exported(folder, many)
    yield Row(f"the same export again: CPU of {many:,} outputs", f"{again.cpu:.1f} s", "the first time",
              again.cpu / large.cpu)  # fmt: skip


def _exported(folder: Path, count: int) -> Usage:
    place = folder / f"run-{count}"
    if not place.exists():
        run(part("exporting", count, place))
    return run(batchgen("export", place, folder / f"export-{count}", "--costs"))


def main() -> None:
    """Make a run folder with so many outputs."""
    count, folder = int(sys.argv[1]), Path(sys.argv[2])
    make_journal(count, folder)
    from batchgen.journal import Journal

    data = png(_SIZE)
    sha256 = hashlib.sha256(data).hexdigest()
    with closing(Journal(folder)) as journal:
        with journal.transaction():
            journal.db.execute("UPDATE output SET bytes = ?, sha256 = ?", (len(data), sha256))
        (folder / "files").mkdir()
        for (path,) in journal.db.execute("SELECT path FROM output"):
            (folder / path).write_bytes(data)


if __name__ == "__main__":
    main()
