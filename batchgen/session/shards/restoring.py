"""What a shard takes over from the receipts beside its lease, before it looks at its run folder.

The folder may be gone with the pod that held it, or be an older copy. What was bought is known from the newest copy of
the receipts; where that is gone as well, nothing is bought.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from batchgen.core.clock import utc_now
from batchgen.core.errors import RunFolderError
from batchgen.core.files import disk_errors, open_private, publish, sync_folder
from batchgen.core.text import plural
from batchgen.journal import FILE_NAME, own
from batchgen.lease import HeldLease, newest_copy
from batchgen.receipts import FILE_NAME as RECEIPTS
from batchgen.receipts.reading import open_receipts
from batchgen.session.repair.recovery import recover

_STAGED = ".receipts-copy.part"


def restore(lease: HeldLease, folder: Path) -> str | None:
    """Bring a shard's run folder to what the receipts beside its lease know; return what that was, if anything.

    Raises RunFolderError where the lease says that something was bought, and neither folder nor receipts are there.
    """
    if not lease.record.receipts:
        return None  # nothing was bought under this lease
    pieces, has_journal = newest_copy(lease), (folder / FILE_NAME).exists()
    if pieces is None:
        if has_journal:
            return None
        raise RunFolderError(
            f"{folder} has no {FILE_NAME}, and the receipts of this shard are gone from {lease.place}, although its"
            " lease says that it began to buy: restore one of them from a backup. Nothing was bought"
        )
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    staged = folder / _STAGED
    try:
        _stage(pieces, staged)
        _check(staged, lease)
        if not _has_lines(folder / RECEIPTS):
            with own(folder, utc_now()), disk_errors(folder):
                publish(staged, folder / RECEIPTS)
        elif lines := _missing_lines(folder / RECEIPTS, staged):
            with own(folder, utc_now()):
                _append(folder / RECEIPTS, lines)
    finally:
        staged.unlink(missing_ok=True)
    if has_journal:
        return None  # which takes over what it lacks when it is opened, and says so
    recovered = recover(folder)
    items = plural(sum(recovered.counts.values()), "item")
    return f"{folder} had no journal: it was made anew from the receipts beside the lease, which know {items}"


def _stage(pieces: Iterator[bytes], staged: Path) -> None:
    with disk_errors(staged), open(staged, "wb", opener=open_private) as out:
        out.writelines(pieces)
        out.flush()
        os.fsync(out.fileno())


def _check(staged: Path, lease: HeldLease) -> None:
    """Raise RunFolderError for what does not begin like receipts."""
    with open_receipts(staged) as reader:
        first = next(reader.lines(), None) if reader is not None else None
    if first is None or first.kind != "receipts":
        raise RunFolderError(
            f"the receipts of this shard in {lease.place} are damaged: restore them from a backup. Nothing was bought"
        )


def _has_lines(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def _missing_lines(own_receipts: Path, copy: Path) -> list[bytes]:
    """Return the lines of the copy about purchases, and acceptances, that a folder's own receipts lack.

    All lines of such a purchase, in order. Of others, the folder's own receipts know as much, or more.
    """
    known = {event for event, _ in _events(own_receipts)}
    missing = {event[1] for event, _ in _events(copy) if event not in known} - _voided(copy)
    if not missing:
        return []
    return [raw for (_, purchase), raw in _events(copy, every=True) if purchase in missing]


def _events(path: Path, *, every: bool = False) -> Iterator[tuple[tuple[str, str], bytes]]:
    """Yield kind and purchase of each intent and acceptance, or of every line about a purchase, with the line."""
    with path.open("rb") as raw_lines, open_receipts(path) as reader:
        for line in reader.lines() if reader is not None else ():
            purchase: Any = line.content.get(line.kind) if line.kind else None
            if isinstance(purchase, str) and (every or line.kind in ("intent", "accepted")):
                raw_lines.seek(line.start)
                yield (line.kind, purchase), raw_lines.readline()


def _voided(path: Path) -> set[str]:
    return {purchase for (kind, purchase), _ in _events(path, every=True) if kind == "void"}


def _append(path: Path, lines: list[bytes]) -> None:
    with disk_errors(path), path.open("ab") as out:
        if out.tell() and not _ends_a_line(path):
            out.write(b"\n")  # a torn last line must not swallow the first of these
        out.writelines(lines)
        out.flush()
        os.fsync(out.fileno())
        sync_folder(path.parent)


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
