"""What becomes of an output in the thread that waits for the disk: checked, made durable, and published last.

Nothing here runs in the event loop, so that a slow disk does not hold it up. Outputs that wait together are saved step
by step together: the file system then brings their bytes and names to the disk in few transactions.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

from batchgen.api import OutputError
from batchgen.core.batching import Outcome, Together
from batchgen.core.files import disk_errors
from batchgen.core.records import StoredFile
from batchgen.media import Damaged, Media, Unfamiliar, extension_for, inspect_bytes, inspect_file
from batchgen.media.facts import UNKNOWN, Facts
from batchgen.store import OutputStore, StagedReplacedError


class OutputDamaged(OutputError):  # noqa: N818 - a state of the output, as its siblings in `batchgen.api`
    """The bytes arrived, but they are not a whole image or video of the kind that was ordered."""


class OutputUnfamiliar(OutputDamaged):
    """The bytes arrived, in an unknown format: only if they arrive the same once more can they be trusted."""

    def __init__(self, message: str, sha256: str) -> None:
        super().__init__(message)
        self.sha256 = sha256


class NameTakenError(Exception):
    """Another file has the name of the output; once it is moved aside, the output can be saved again."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Saving:
    """One output on its way to its place. Its methods are called one at a time, outside the event loop.

    Bytes are added to `pieces`, and either written with `append` now and then, or left there until `SAVE` takes them.
    """

    def __init__(self, store: OutputStore, stem: str, *, kind: str | None, seen: str | None) -> None:
        """See `batchgen.download.fetching.fetch`. Nothing touches the disk yet."""
        self.store = store
        self.pieces: list[bytes] = []
        """Bytes that have arrived and are not written yet."""
        self.content_type: str | None = None
        self.name = ""
        """What the file is called in the store; known once the bytes have been inspected."""
        self._staged = store.stage(stem)
        self._stem = stem
        self._kind = kind
        self._seen = seen
        self._digest = hashlib.sha256()
        self._size = 0
        self._media: Media | None = None

    def append(self) -> None:
        """Write the pieces that are there. Raises DiskError."""
        for piece in self.pieces:
            self._staged.write(piece)
            self._digest.update(piece)
            self._size += len(piece)
        self.pieces.clear()

    def inspect(self) -> None:
        """Find out what the output is, and its name, and write what is left. Raises OutputError, DiskError.

        What never needed a file is inspected in memory, and touches the disk only if it is whole.
        """
        if self.name:
            return  # saved once more, since its name was taken
        if self._size:
            self.append()
            with disk_errors(self._staged.place):
                self._media = self._judge(lambda: inspect_file(self._staged.file))
        else:
            whole = b"".join(self.pieces)
            self._digest.update(whole)
            self._media = self._judge(lambda: inspect_bytes(whole))
            self._staged.write(whole)
            self._staged.begin_sync()
            self._size = len(whole)
            self.pieces.clear()
        extension = extension_for(self.content_type) if self._media is None else self._media.extension
        self.name = f"files/{self._stem}.{extension}"

    def sync(self) -> None:
        """Make the bytes durable. Raises DiskError."""
        self._staged.sync()

    def publish(self) -> None:
        """Give the file its name. Raises NameTakenError, OutputError if another download replaced it, DiskError.

        StoreError, where the store is remote."""
        try:
            if not self._staged.publish(self.name, self._digest.hexdigest()):
                raise NameTakenError(self.name)
        except StagedReplacedError as error:
            raise OutputError(str(error)) from error

    def discard(self) -> None:
        """Remove what was written, unless it was published."""
        self._staged.discard()

    def stored(self, output: int) -> StoredFile:
        """Return what was saved, as output number `output`."""
        return StoredFile(output, self.name, self._size, self._digest.hexdigest(), familiar=self._media is not None)

    @property
    def facts(self) -> Facts:
        """What the saved file is."""
        return UNKNOWN if self._media is None else self._media.facts

    def _judge(self, inspect: Callable[[], Media]) -> Media | None:
        """Return what the bytes are; None if their format is not known and they came twice the same.

        Raises OutputDamaged if they are not whole or not of the kind that was ordered.
        """
        try:
            media = inspect()
        except Unfamiliar as unknown:
            sha256 = self._digest.hexdigest()
            if self._seen != sha256:
                raise OutputUnfamiliar(f"the file {unknown}", sha256) from unknown
            return None
        except Damaged as damage:
            raise OutputDamaged(f"the file {damage}") from damage
        if self._kind is not None and media.kind != self._kind:
            raise OutputDamaged(f"the file is not the {self._kind} that was ordered but {media.extension}")
        return media


def _save_all(savings: Sequence[Saving]) -> list[Outcome]:
    """Save outputs; each has its name durably, or an error of its own.

    One step of all comes before the next step of any: the first sync then serves the others as well.
    """
    errors: dict[Saving, Exception] = {}
    for step in (Saving.inspect, Saving.sync, Saving.publish):
        for saving in savings:
            if saving not in errors:
                try:
                    step(saving)
                except Exception as error:  # noqa: BLE001 - raised again where the result is awaited
                    errors[saving] = error
    synced: dict[tuple[OutputStore, PurePosixPath], Exception | None] = {}
    for saving in savings:
        if saving not in errors:
            folder = saving.store, PurePosixPath(saving.name).parent
            if folder not in synced:
                try:
                    saving.store.sync(saving.name)
                    synced[folder] = None
                except Exception as error:  # noqa: BLE001 - raised again where the result is awaited
                    synced[folder] = error
            if (failure := synced[folder]) is not None:
                errors[saving] = failure
    return [(None, errors.get(saving)) for saving in savings]


SAVE = Together(_save_all)
"""Saves a `Saving`, with all others that wait. Raises NameTakenError, OutputError and DiskError."""
