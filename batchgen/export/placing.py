"""Brings single files into an export: as hard links, as copies, as marked copies, or as texts."""

import errno
import hashlib
import mmap
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import IO

from batchgen.core.files import disk_errors
from batchgen.export.destination import Destination, Obstacle, is_untouched, sha256_of, stat_of
from batchgen.export.marking import CannotMark, Mark, chunks, marked, packet
from batchgen.export.scratch import Wanted
from batchgen.export.state import COPY, LINK, MARK, TEXT, Exported
from batchgen.store import OutputStore, at_hand

_NO_LINKS = frozenset({errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL})
"""Another disk, one without hard links, or a file that this user may read but not link to."""


class Outcome(StrEnum):
    """What became of a file."""

    NEW = "new"
    REPLACED = "replaced"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class _Made:
    """A staged file."""

    sha256: str
    recipe: str
    unmarked: str = ""


class Placer:
    """Brings the files of a run into a destination."""

    def __init__(self, run: Path, store: OutputStore, destination: Destination, *, mark: bool, prompts: bool) -> None:
        """`store` has the outputs of the run folder; `mark`: mark all copies; `prompts`: with their prompts."""
        self._run, self._store = run, store
        self._destination = destination
        self._mark = mark
        self._prompts = prompts

    def place(self, wanted: Wanted, known: Exported | None) -> tuple[Exported, Outcome]:
        """Bring an output into the export; `known` is what an earlier export wrote under its name.

        Raises Obstacle where that is not possible, DiskError, StoreError.
        """
        target = self._destination.path(wanted.name)
        size, there = self._found(wanted)
        here = stat_of(target)
        mark = self._mark_of(wanted)
        recipe = LINK if mark is None else _recipe_of(mark)
        whole = known is not None and known.bought_sha256 == wanted.sha256 and _alike(known.recipe, recipe)
        unchanged = whole and here is not None and is_untouched(target, here, known)
        if size is None:
            if unchanged and known is not None and here is not None:  # the export has it still
                return replace(known, mtime_ns=here.st_mtime_ns), Outcome.UNCHANGED
            raise Obstacle("is not in the run folder; `batchgen verify RUN --refetch` may get it back")
        if size != wanted.bytes:
            raise Obstacle("differs from what was bought; `batchgen verify RUN` says more")
        if mark is None and here is not None and there is not None and os.path.samestat(there, here):
            return _entry(wanted, _Made(wanted.sha256, LINK), here), Outcome.UNCHANGED
        if unchanged and known is not None and here is not None and known.recipe != LINK:
            return replace(known, mtime_ns=here.st_mtime_ns), Outcome.UNCHANGED
        with self._source(wanted) as source, _staging(target) as staged:
            made = self._make(source, staged, wanted, mark)
            outcome = _publish(staged, target, made.sha256, here, known)
        return _entry(wanted, made, _there(target)), outcome

    def text(self, name: str, write: Callable[[IO[str]], object], known: Exported | None) -> tuple[Exported, Outcome]:
        """Bring a text into the export, which `write` writes.

        Raises Obstacle where something else has its name, DiskError.
        """
        target = self._destination.path(name)
        with _staging(target) as staged:
            with disk_errors(target), staged.open("w", encoding="utf-8", newline="") as out:
                write(out)
                out.flush()
                os.fsync(out.fileno())
            digest = sha256_of(staged)
            outcome = _publish(staged, target, digest, stat_of(target), known)
        found = _there(target)
        return Exported(name, digest, found.st_size, found.st_mtime_ns, TEXT), outcome

    def _found(self, wanted: Wanted) -> tuple[int | None, os.stat_result | None]:
        """Return how many bytes an output has (None: it is not there), and what a disk says of it."""
        if self._store.remote:
            known = self._store.known(wanted.source)
            return None if known is None else known.bytes, None
        found = stat_of(self._run / wanted.source)
        return None if found is None else found.st_size, found

    @contextmanager
    def _source(self, wanted: Wanted) -> Iterator[Path]:
        with ExitStack() as stack:
            try:
                path = stack.enter_context(at_hand(self._store, self._run, wanted.source))
            except OSError as error:
                raise Obstacle(f"cannot be fetched: {error.strerror}") from error
            yield path

    def _mark_of(self, wanted: Wanted) -> Mark | None:
        if not self._mark:
            return None
        about = wanted.metadata
        return Mark(about["model"], about["created_at"] or "", about["prompt"] if self._prompts else None)

    def _make(self, source: Path, staged: Path, wanted: Wanted, mark: Mark | None) -> _Made:
        if mark is None and not self._store.remote and _link(source, staged):
            return _Made(wanted.sha256, LINK)
        with disk_errors(staged), source.open("rb") as file:
            if mark is None or not wanted.bytes:
                made = _Made(_write(staged, iter(lambda: file.read(1 << 20), b"")), COPY)
            else:
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                    made = _marked_copy(data, staged, wanted, mark)
        if (made.recipe == COPY or made.unmarked) and made.sha256 != wanted.sha256:
            raise Obstacle("differs from what was bought; `batchgen verify RUN` says more")
        return made


def _alike(known: str, recipe: str) -> bool:
    return known in (LINK, COPY) if recipe == LINK else known == recipe


def _recipe_of(mark: Mark) -> str:
    return f"{MARK} {hashlib.sha256(packet(mark)).hexdigest()[:16]}"


def _link(source: Path, staged: Path) -> bool:
    """Make a hard link, and return whether that is possible here. Raises DiskError."""
    with disk_errors(staged):
        try:
            staged.hardlink_to(source)
        except OSError as error:
            if error.errno in _NO_LINKS:
                return False
            raise
    return True


def _marked_copy(data: mmap.mmap, staged: Path, wanted: Wanted, mark: Mark) -> _Made:
    extension, why = wanted.name.rpartition(".")[2], ""
    if hashlib.sha256(data).hexdigest() != wanted.sha256:
        raise Obstacle("differs from what was bought; `batchgen verify RUN` says more")
    try:
        pieces = marked(data, extension, mark)
    except CannotMark as reason:
        pieces, why = [(0, len(data))], str(reason)
    return _Made(_write(staged, chunks(data, pieces)), _recipe_of(mark), why)


def _write(staged: Path, data: Iterable[bytes]) -> str:
    """Write a new file, durably, and return its SHA-256."""
    digest = hashlib.sha256()
    with staged.open("xb") as out:
        for chunk in data:
            digest.update(chunk)
            out.write(chunk)
        out.flush()
        os.fsync(out.fileno())
    return digest.hexdigest()


@contextmanager
def _staging(target: Path) -> Iterator[Path]:
    """Give a free name beside `target`, and remove what is left there at the end."""
    staged = target.with_name(f".{target.name}.part")
    with disk_errors(target):
        staged.unlink(missing_ok=True)  # left by a crash
    try:
        yield staged
    finally:
        with disk_errors(target):
            staged.unlink(missing_ok=True)


def _publish(staged: Path, target: Path, sha256: str, here: os.stat_result | None, known: Exported | None) -> Outcome:
    """Give a staged file its name, unless that belongs to something else."""
    outcome = Outcome.NEW
    if here is not None:
        if not stat.S_ISREG(here.st_mode):
            raise Obstacle("is not a file there; move it away")
        # After a crash, what an export wrote last may not be in its list.
        same = here.st_size == staged.stat().st_size and sha256_of(target) == sha256
        if not same and not is_untouched(target, here, known):
            raise Obstacle("was changed there since it was exported, or is not from an export; move it away")
        outcome = Outcome.UNCHANGED if same else Outcome.REPLACED
    with disk_errors(target):
        staged.replace(target)
    return outcome


def _there(target: Path) -> os.stat_result:
    with disk_errors(target):
        return target.lstat()


def _entry(wanted: Wanted, made: _Made, found: os.stat_result) -> Exported:
    return Exported(
        wanted.name, made.sha256, found.st_size, found.st_mtime_ns, made.recipe,
        wanted.sha256, made.unmarked, wanted.purchase, wanted.number,
    )  # fmt: skip
