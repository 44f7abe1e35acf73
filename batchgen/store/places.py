"""Where the outputs of a run folder are: in it, or in an object store that its journal names."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from batchgen.core.errors import RunFolderError, UsageError
from batchgen.core.text import printable
from batchgen.store.local_disk import LocalDisk
from batchgen.store.object_storage import ObjectStorage
from batchgen.store.port import OutputStore
from batchgen.store.remote import Address

OUTPUTS = "outputs"
"""The fact about a run folder that names the place of its outputs; empty or missing: the folder itself."""


def address_of(facts: Mapping[str, str]) -> Address | None:
    """Return where the outputs of a run folder with these facts are; None: in the folder. Raises RunFolderError."""
    place = facts.get(OUTPUTS, "")
    try:
        return Address.parse(place) if place else None
    except UsageError as error:
        raise RunFolderError(
            f"the journal says that the outputs are in {printable(place, 200)}, which this batchgen does not know"
        ) from error


@contextmanager
def at_hand(store: OutputStore, folder: Path, name: str) -> Iterator[Path]:
    """Give the path at which an output of a run folder can be read while the block runs: its own, or a copy's.

    Raises OSError where it cannot be fetched.
    """
    if not store.remote:
        yield folder / name
        return
    with store.open(name) as copy:
        yield Path(str(copy.name))


def store_of(folder: Path, facts: Mapping[str, str]) -> OutputStore:
    """Return the store of a run folder's outputs. Nothing is requested yet. Raises RunFolderError."""
    address = address_of(facts)
    return LocalDisk(folder) if address is None else ObjectStorage(address, folder)
