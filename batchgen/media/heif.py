"""AVIF and HEIC (ISO/IEC 23008-12, AV1 Image File Format): are all boxes whole, do all parts of the pictures lie inside
the file, and what is it?

A file that is cut short is noticed at any byte, since the last box or a part that lies there is incomplete then.
"""

from collections.abc import Iterator
from functools import partial
from itertools import islice

from batchgen.media.credentials import in_uuid_box
from batchgen.media.facts import Facts, known, picture_facts
from batchgen.media.mp4 import Box, boxes, children
from batchgen.media.source import Damaged, Source

_AVIF = frozenset({b"avif", b"avis"})
_HEIC = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
_ANY = frozenset({b"mif1", b"msf1", b"mif2", b"miaf"})
"""Brands that leave open how the picture is coded."""
_IN_FILE, _IN_IDAT = 0, 1
"""Where an item's extents lie (`construction_method`)."""


def still_extension(source: Source) -> str | None:
    """Return `avif` or `heic` where the brands of the `ftyp` box that a file begins with say so, else None."""
    end = min(source.number(0, 4), source.size, 4096)
    brands = [source.data[8:12], *(source.data[at : at + 4] for at in range(16, end - 3, 4))]
    if not {brands[0]} <= _AVIF | _HEIC | _ANY:
        return None
    return next(("avif" if brand in _AVIF else "heic" for brand in brands if brand in _AVIF | _HEIC), None)


def check_heif(source: Source) -> Facts:
    """Walk the boxes and the places of all items; raises `Damaged`."""
    meta, c2pa = None, False
    for box in boxes(source, 0, source.size, padded=True):
        if box.kind == b"meta" and _check_meta(source, box):
            meta = box
        elif box.kind == b"uuid":
            c2pa |= in_uuid_box(source, box.body)
    if meta is None:
        raise Damaged("is cut short or not an image: it has no items")
    width, height, turned = known(partial(_shape, meta=meta), source, (0, 0, False))
    return picture_facts(width, height, turned=turned, c2pa=c2pa)


def _shape(source: Source, meta: Box) -> tuple[int, int, bool]:
    """Return width, height and whether it is turned by a quarter, of the primary item (ISO/IEC 23008-12, 6.5)."""
    inner = {box.kind: box for box in boxes(source, meta.body + 4, meta.end)}
    first, tables = inner[b"pitm"], children(source, inner[b"iprp"], b"ipco", b"ipma")
    primary = source.number(first.body + 4, 2 if source.number(first.body, 1) == 0 else 4)
    properties = list(islice(boxes(source, tables[b"ipco"].body, tables[b"ipco"].end), 0x7FFF))
    coded, cropped, turned = (0, 0), None, False
    for index in _properties_of(source, tables[b"ipma"], primary):
        if not 0 < index <= len(properties):
            continue
        body = properties[index - 1].body
        match properties[index - 1].kind:
            case b"ispe":
                coded = source.number(body + 4, 4), source.number(body + 8, 4)
            case b"clap":  # two fractions; encoders of whole blocks cut off what is too much
                over, under, tall, low = (source.number(body + at, 4) for at in (0, 4, 8, 12))
                cropped = over // under, tall // low
            case b"irot":
                turned = bool(source.number(body, 1) & 1)
    return *(cropped or coded), turned


def _properties_of(source: Source, ipma: Box, item: int) -> Iterator[int]:
    """Yield the numbers of an item's properties, from 1."""
    id_width = 2 if source.number(ipma.body, 1) == 0 else 4
    wide = source.number(ipma.body + 3, 1) & 1
    position = ipma.body + 8
    for _ in range(source.number(ipma.body + 4, 4)):
        source.step()
        ours, count = source.number(position, id_width) == item, source.number(position + id_width, 1)
        position += id_width + 1
        for at in range(position, position + count * (1 + wide), 1 + wide):
            if ours:
                yield source.number(at, 1 + wide) & (0x7FFF if wide else 0x7F)
        position += count * (1 + wide)


def _check_meta(source: Source, meta: Box) -> bool:
    """Return whether there is any picture data, all of which must lie inside the file."""
    inner = {box.kind: box for box in boxes(source, meta.body + 4, meta.end)}
    if b"iloc" not in inner:
        return False
    idat, some = inner.get(b"idat"), False
    for method, start, length in _extents(source, inner[b"iloc"]):
        if method == _IN_FILE:
            source.need(start + length)
        elif method == _IN_IDAT and (idat is None or idat.body + start + length > idat.end):
            raise Damaged("has an item whose data is missing")
        some |= length > 0
    return some


def _extents(source: Source, iloc: Box) -> Iterator[tuple[int, int, int]]:
    """Yield where each extent of each item lies: method, start, length."""
    version = source.number(iloc.body, 1)
    sizes = source.number(iloc.body + 4, 2)
    offset_width, length_width, base_width = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_width = sizes & 15 if version in (1, 2) else 0
    wide = 4 if version == 2 else 2
    items, position = source.number(iloc.body + 6, wide), iloc.body + 6 + wide
    for _ in range(items):
        position += wide
        method = 0
        if version in (1, 2):
            method, position = source.number(position, 2) & 15, position + 2
        base = source.number(position + 2, base_width)
        position += 2 + base_width
        extents, position = source.number(position, 2), position + 2
        for _ in range(extents):
            source.step()
            position += index_width
            start = source.number(position, offset_width)
            length = source.number(position + offset_width, length_width)
            position += offset_width + length_width
            if position > iloc.end:
                raise Damaged("has a table that is longer than its box")
            yield method, base + start, length
