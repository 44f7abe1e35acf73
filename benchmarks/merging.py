"""`batchgen merge` of run folders: its time beside hard links by `cp -al`, its memory, and the same merge again."""

import hashlib
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from benchmarks.measure import Usage, batchgen, part, run
from benchmarks.server import png
from benchmarks.table import Row

_FOLDERS = 4
_SIZE = 200
"""Bytes of a file: what is measured is what each file costs, not its bytes."""


def rows(folder: Path, few: int, many: int) -> Iterator[Row]:
    """Merge two numbers of items, spread over four folders, and the larger one again."""
    small, large = _merged(folder, few), _merged(folder, many)
    what = f"{many:,} items from {_FOLDERS} folders"
    shown, against = f"{large.cpu:.1f} s CPU, {large.peak:.0f} MiB", f"{few:,}: {small.peak:.0f} MiB"
    yield Row(f"peak memory of a merge of {what}", shown, against, large.peak / small.peak, most=1.5)
    linked = run(["cp", "-al", folder / f"merged-{many}" / "files", folder / "linked"])
    yield Row(
        f"a merge of {what}, with ledger and report", f"{large.wall:.1f} s, {large.cpu:.1f} s CPU",
        f"cp -al: {linked.wall:.1f} s",
    )  # fmt: skip
    again = _merged(folder, many)
    yield Row(
        f"the same merge again: {what}", f"{again.wall:.1f} s, {again.cpu:.1f} s CPU", "the first time",
        again.cpu / large.cpu,
    )  # fmt: skip


def _merged(folder: Path, count: int) -> Usage:
    parts = [folder / f"part-{count}-{number}" for number in range(_FOLDERS)]
    for number, place in enumerate(parts):
        if not place.exists():
            run(part("merging", count, number, place))
    return run(batchgen("merge", *parts, "--into", folder / f"merged-{count}", "--quiet"))


def main() -> None:
    """Make a run folder in which one of the parts of so many items is done."""
    count, number, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    from benchmarks.ledgers import make

    mine = count // _FOLDERS
    make(mine, folder, first=mine * number)
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
