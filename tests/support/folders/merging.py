"""Run folders that are merged in tests, without a manifest or an API."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from support.bought import Buyer, item

from batchgen.core.records import Item, StoredFile
from batchgen.journal import FILE_NAME, open_for_reading
from batchgen.ledger.writer import current_rows
from batchgen.session.merging import Merged, merge

QUIET = {"BATCHGEN_REGISTER": "", "BATCHGEN_REPORT": "none"}


def merged(folders: Sequence[Path], into: Path, told: list[str] | None = None) -> Merged:
    """Merge run folders; `told` gets what a person is told meanwhile."""
    return merge(folders, into, QUIET, lambda event: None if told is None else told.append(str(event)))


def mugs(count: int) -> list[Item]:
    return [item(f"mug-{n}", f"Mug {n}") for n in range(count)]


def ledger_of(folder: Path) -> list[list[str]]:
    """The rows that a ledger of the folder has now, without the name of the run."""
    db = open_for_reading(folder / FILE_NAME)
    try:
        _, rows = current_rows(db, "any")
        return [["" if cell is None else str(cell) for cell in row] for row in rows]
    finally:
        db.close()


def content_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, but for what SQLite keeps beside a database."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(("-wal", "-shm")))
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def deliver(buyer: Buyer, id_: str, outputs: int = 1) -> None:
    """Buy an item, with its files on disk."""
    attempt = buyer.ready(id_, outputs)
    for number in range(1, outputs + 1):
        name = f"files/{id_}@{number}.png"
        content = f"{id_} {number}".encode()
        place = buyer.journal.path.parent / name
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(content)
        buyer.journal.record_file(attempt, StoredFile(number, name, len(content), hashlib.sha256(content).hexdigest()))
