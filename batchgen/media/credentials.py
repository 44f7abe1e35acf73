"""C2PA content credentials: how a manifest store is told from other metadata (C2PA specification, annex A.3)."""

from batchgen.media.source import Source

_STORE = bytes.fromhex("6332706100110010800000aa00389b71")
"""The content type of a JUMBF box that is a manifest store."""
_ISO_BOX = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")


def is_store(source: Source, start: int) -> bool:
    """Return whether the JUMBF box whose content begins at `start` is a manifest store (ISO/IEC 19566-5, annex A)."""
    return source.data[start + 4 : start + 24] == b"jumd" + _STORE


def in_app11(source: Source, position: int) -> bool:
    """Return whether the APP11 segment at `position` begins a manifest store (ISO/IEC 18477-3, B.2)."""
    if source.data[position + 4 : position + 6] != b"JP" or source.data[position + 16 : position + 20] != b"jumb":
        return False
    extended = source.data[position + 12 : position + 16] == b"\0\0\0\1"
    return is_store(source, position + (28 if extended else 20))


def in_uuid_box(source: Source, body: int) -> bool:
    """Return whether a `uuid` box with this content holds credentials."""
    return source.data[body : body + 16] == _ISO_BOX
