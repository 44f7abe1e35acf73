"""Brings outputs in an object store to those of the run that theirs is merged into: copied by the store itself."""

from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

from batchgen.core.errors import RunFolderError, UsageError
from batchgen.core.text import printable
from batchgen.journal.merging.combining import MergedFile
from batchgen.session.merging.books import Books
from batchgen.session.merging.placing import PlacedFiles, refuse_leading_out
from batchgen.store import Address, ObjectStorage, address_of
from batchgen.store.object_storage import Copied
from batchgen.store.port import Known

_AT_ONCE = 16
"""Requests to the store."""


def merged_place(into: Path, target: Books | None, books: Sequence[Books]) -> Address | None:
    """Return where the outputs of a merged run are in an object store; None where they are in its folder.

    `target` is the merged run as it is so far. Raises UsageError where the outputs of some lie elsewhere than beside
    those of the others.
    """
    together = [*([] if target is None else [target]), *books]
    places = [(one, address_of(one.facts)) for one in together]
    first = places[0][1]
    for one, place in places:
        if (place is None) != (first is None) or (place is not None and first is not None and _are_apart(place, first)):
            raise UsageError(
                f"the outputs of {one.folder} are in {place or 'its folder'}, and those of {places[0][0].folder} in"
                f" {first or 'its folder'}: only runs whose outputs lie beside each other can be merged"
            )
    if first is None or target is not None:
        return first
    return parent_of(first).below(into.name)


def parent_of(place: Address) -> Address:
    """Return the place that holds the outputs of several runs, by that of one of them."""
    return replace(place, prefix=place.prefix.rpartition("/")[0])


def _are_apart(place: Address, other: Address) -> bool:
    return parent_of(place) != parent_of(other)


class RemotePlacer:
    """See `batchgen.session.merging.placing.Placer`; files become copies, and what they are copies of stays."""

    def __init__(self, into: Path, place: Address, books: Sequence[Books]) -> None:
        """`place` is that of the merged run's outputs, and `books` are those that it is made of."""
        self.placed = PlacedFiles()
        self._places = {one.folder: address_of(one.facts) for one in books}
        self._parent = ObjectStorage(parent_of(place), into)
        self._target = place.prefix.rpartition("/")[2]

    def place(self, folder: Path, files: Iterable[MergedFile]) -> None:
        """Copy the files of a run. Raises StoreError, and RunFolderError where another object has one's name."""
        place = self._places[folder]
        assert place is not None  # noqa: S101 - for the type checker: all places are beside each other
        source = place.prefix.rpartition("/")[2]
        with ThreadPoolExecutor(_AT_ONCE, "copies") as pool:
            running: set[Future[Copied]] = set()
            for file in files:
                for path in {file.path, file.target}:
                    refuse_leading_out(folder, path)
                running.add(pool.submit(self._copy, source, file))
                if len(running) >= 2 * _AT_ONCE:
                    ended, running = wait(running, return_when=FIRST_COMPLETED)
                    self._count(ended)
            self._count(wait(running).done)

    def finish(self) -> None:
        """What was copied is durable."""

    def _copy(self, source: str, file: MergedFile) -> Copied:
        old, new = f"{source}/{file.path}", f"{self._target}/{file.target}"
        copied = self._parent.copy(old, new, Known(file.bytes, file.sha256))
        if copied == "in_the_way":
            raise RunFolderError(
                f"{self._parent.address}/{printable(new, 300)} holds other bytes than {printable(old, 300)}; move it"
                " away, then merge again"
            )
        return copied

    def _count(self, ended: Iterable[Future[Copied]]) -> None:
        """Count what became of files. Raises what their copies raised."""
        found = Counter(future.result() for future in ended)
        self.placed.copied += found["copied"]
        self.placed.there += found["there"]
        self.placed.missing += found["missing"]
