"""Items at their end, with real files in the run folder."""

import hashlib
import struct
import zlib
from pathlib import Path

from support.bought import Buyer

from batchgen.core.records import StoredFile
from batchgen.journal import Journal


def png(shade: int) -> bytes:
    """One grey pixel (PNG specification, section 5)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes([0, shade]))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def keep(journal: Journal, buyer: Buyer, folder: Path, id_: str, outputs: int = 1) -> None:
    """Take an item to its end, with real files."""
    attempt = buyer.ready(id_, outputs)
    for number in range(1, outputs + 1):
        path = f"files/{id_}@{number}.png" if outputs > 1 else f"files/{id_}.png"
        content = png(number)
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
        journal.record_file(attempt, StoredFile(number, path, len(content), hashlib.sha256(content).hexdigest()))
