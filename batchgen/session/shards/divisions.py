"""Run folders that show how a run was divided before: their names say so."""

import re
from collections.abc import Iterator
from pathlib import Path

from batchgen.core.errors import RunFolderError
from batchgen.journal.merging.marks import merged_into
from batchgen.session.locate import is_run
from batchgen.shards import Shard

_DIVIDED = re.compile(r"\.[0-9]+-of-([0-9]+)(?=(?:\.simulated)?$)")


def refuse_other_divisions(folder: Path, shard: Shard) -> None:
    """Raise RunFolderError where a run folder beside `folder` is a shard of the same run, divided otherwise."""
    for other, count in _shards_of(folder):
        if count != shard.count and not _is_merged(other):
            raise RunFolderError(
                f"{other} is a shard of the same run, which was divided into {count} when it was started first: go on"
                f" with --shard I/{count}, and merge the shards before you divide anew"
            )


def was_merged(folder: Path, count: int) -> bool:
    """Return whether the shards of another division were merged, as far as there are run folders of them."""
    others = [other for other, number in _shards_of(folder) if number == count]
    return bool(others) and all(map(_is_merged, others))


def _shards_of(folder: Path) -> Iterator[tuple[Path, int]]:
    """Yield the run folders of all shards of the same run, with the number of shards that they belong to."""
    whole = _DIVIDED.sub("", folder.name)
    for other in sorted(folder.parent.iterdir()) if folder.parent.is_dir() else ():
        found = _DIVIDED.search(other.name)
        if found is not None and _DIVIDED.sub("", other.name) == whole and is_run(other):
            yield other, int(found[1])


def _is_merged(folder: Path) -> bool:
    return merged_into(folder) is not None
