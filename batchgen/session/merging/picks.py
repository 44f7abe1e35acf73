"""The picks of merged run folders: for each output, what was said last."""

from collections.abc import Sequence
from pathlib import Path

from batchgen.picks import Pick, append_picks, read_picks


def take_picks(sources: Sequence[Path], into: Path) -> None:
    """Append what the picks of other run folders say that is newer than those of `into`, or says something new.

    Memory grows with the picks. Raises RunFolderError for a file that cannot be read, DiskError.
    """
    known = read_picks(into)
    newer: dict[tuple[str, str, int], Pick] = {}
    for source in sources:
        for key, pick in read_picks(source).items():
            before = newer.get(key) or known.get(key)
            if before is None or (pick != before and pick.at > before.at):  # times as texts are in order
                newer[key] = pick
    append_picks(into, sorted(newer.values(), key=lambda pick: pick.at))
