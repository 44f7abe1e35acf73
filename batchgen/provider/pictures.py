"""The smallest PNG that says which output it is: one grey pixel and a text chunk (PNG, third edition, section 11)."""

import struct
import zlib


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


_HEAD = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
_TAIL = _chunk(b"IDAT", zlib.compress(b"\0\x7f")) + _chunk(b"IEND", b"")


def foreign(job_id: str, output: int) -> bytes:
    """Return the same in an unknown format."""
    return b"\0\1\2\3" + picture(job_id, output)


def picture(job_id: str, output: int) -> bytes:
    """Return the picture that is output `output` (from 1) of a job; no two are alike."""
    return _HEAD + _chunk(b"tEXt", f"Source\0{job_id}/{output}".encode("latin-1")) + _TAIL
