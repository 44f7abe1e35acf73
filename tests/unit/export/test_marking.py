"""Marks in copies: readers find them, and not a pixel or sample changes."""

import io
import tempfile
import xml.etree.ElementTree as ET
from contextlib import suppress
from pathlib import Path

import av
import pytest
from PIL import Image

from batchgen.export.marking import CannotMark, Mark, chunks, marked, packet
from batchgen.export.marking.xmp import SOURCE_TYPE
from batchgen.media import inspect
from batchgen.simulator.media import Drawing, encode

MARK = Mark("hera-1.0-text-to-image", "2026-01-31T23:00:00Z", 'Tea & "cake" <\x0b\u2028> für zwei 🎨')
NAMES = {
    "iptc": "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}",
    "xmp": "{http://ns.adobe.com/xap/1.0/}",
}
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description"
CLIP = encode(Drawing(64, 48, "Rain", "clip", 0.4, seconds=1))


def picture(mode: str = "RGB") -> Image.Image:
    image = Image.new(mode, (37, 23))
    image.putdata(
        [tuple((x * 7 + y * 13 + band * 40) % 256 for band in range(len(mode))) for y in range(23) for x in range(37)]
    )
    return image


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def written(data: bytes, extension: str, mark: Mark = MARK) -> bytes:
    return b"".join(chunks(data, marked(data, extension, mark)))


def pixels(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as image:
        return image.tobytes()


def xmp_of(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        found = image.info["xmp"]
        return found if isinstance(found, bytes) else found.encode()


def properties(xmp: bytes) -> dict[str, str]:
    return {
        element.tag: element.text or ""
        for description in ET.fromstring(xmp.strip(b"\0")).iter(RDF)  # noqa: S314 - this program's own XML
        for element in description
    }


PICTURES = {
    "png": saved(picture(), "PNG"),
    "png with alpha": saved(picture("RGBA"), "PNG"),
    "jpg": saved(picture(), "JPEG", quality=80),
    "jpg with exif": saved(picture(), "JPEG", exif=Image.Exif(), dpi=(72, 72), icc_profile=b"profile"),
    "webp, lossy": saved(picture(), "WEBP", quality=70),
    "webp, lossless": saved(picture(), "WEBP", lossless=True),
    "webp, lossless with alpha": saved(picture("RGBA"), "WEBP", lossless=True, exact=True),
    "webp, extended": saved(picture("RGBA"), "WEBP", quality=70, icc_profile=b"profile"),
    "webp, animated": saved(picture(), "WEBP", save_all=True, append_images=[picture().rotate(180)]),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_says_how_it_was_made_and_keeps_its_pixels(name: str, tmp_path: Path) -> None:
    before = PICTURES[name]
    extension = name[:4].strip(" ,")
    after = written(before, extension)
    assert pixels(after) == pixels(before)
    found = properties(xmp_of(after))
    assert found[f"{NAMES['iptc']}DigitalSourceType"] == SOURCE_TYPE
    assert found[f"{NAMES['iptc']}AISystemUsed"] == "hera-1.0-text-to-image"
    assert found[f"{NAMES['xmp']}CreateDate"] == "2026-01-31T23:00:00Z"
    assert found[f"{NAMES['iptc']}AIPromptInformation"] == 'Tea & "cake" < \u2028> für zwei 🎨'
    (tmp_path / "file").write_bytes(after)
    assert inspect(tmp_path / "file").extension == extension


@pytest.mark.parametrize("name", PICTURES)
def test_what_a_picture_holds_else_stays(name: str) -> None:
    before, after = PICTURES[name], written(PICTURES[name], name[:4].strip(" ,"))
    with Image.open(io.BytesIO(before)) as old, Image.open(io.BytesIO(after)) as new:
        kept = {key: value for key, value in new.info.items() if "xmp" not in key}
        assert {key: value for key, value in old.info.items() if "xmp" not in key} == kept
        assert getattr(old, "n_frames", 1) == getattr(new, "n_frames", 1)


def test_the_prompt_is_written_only_where_it_is_given() -> None:
    after = written(PICTURES["png"], "png", Mark("a-model", "", None))
    assert set(properties(xmp_of(after))) == {
        f"{NAMES['iptc']}DigitalSourceType", f"{NAMES['iptc']}AISystemUsed", f"{NAMES['xmp']}CreatorTool",
    }  # fmt: skip


def frames(data: bytes) -> list[bytes]:
    with av.open(io.BytesIO(data)) as container:
        return [bytes(frame.planes[0]) for frame in container.decode(video=0)]


def test_a_film_says_how_it_was_made_and_keeps_its_frames(tmp_path: Path) -> None:
    after = written(CLIP, "mp4")
    assert after.startswith(CLIP)
    assert frames(after) == frames(CLIP)
    box = after[len(CLIP) :]
    assert int.from_bytes(box[:4]) == len(box)
    assert box[4:24] == b"uuid" + bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
    assert properties(box[24:])[f"{NAMES['iptc']}DigitalSourceType"] == SOURCE_TYPE
    (tmp_path / "film").write_bytes(after)
    assert inspect(tmp_path / "film").extension == "mp4"


def test_a_box_stands_before_padding_and_before_the_index_of_fragments() -> None:
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        options = {"movflags": "frag_keyframe+empty_moov"}
        with av.open(io.BytesIO(CLIP)) as source, av.open(file.name, "w", format="mp4", options=options) as target:
            stream = target.add_stream_from_template(source.streams.video[0])
            for packet_ in source.demux(video=0):
                if packet_.dts is not None:
                    packet_.stream = stream
                    target.mux(packet_)
        fragmented = Path(file.name).read_bytes()
    after = written(fragmented, "mp4")
    assert fragmented[-16:-8] == after[-16:-8]  # the box that says how long the index is
    assert fragmented[-12:-8] == b"mfro"
    assert frames(after) == frames(fragmented)
    assert written(CLIP + b"\0" * 9, "mp4") == written(CLIP, "mp4") + b"\0" * 9


def chunk(kind: bytes, data: bytes) -> bytes:
    import zlib

    return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)


def with_chunk(kind: bytes, data: bytes) -> bytes:
    return PICTURES["png"][:33] + chunk(kind, data) + PICTURES["png"][33:]


def with_segment(marker: int, data: bytes) -> bytes:
    return b"\xff\xd8\xff" + bytes([marker]) + (len(data) + 2).to_bytes(2) + data + PICTURES["jpg"][2:]


def webp_with(kind: bytes, data: bytes) -> bytes:
    body = PICTURES["webp, lossy"][8:] + kind + len(data).to_bytes(4, "little") + data
    return b"RIFF" + len(body).to_bytes(4, "little") + body


C2PA_BOX = (8 + 16 + 4).to_bytes(4) + b"uuid" + bytes.fromhex("d8fec3d61b0e483c92975828877ec481") + b"data"
CREDENTIALED = {
    "png": with_chunk(b"caBX", b"jumb"),
    "jpg": with_segment(0xEB, b"JP\0\1\0\0\0\1jumbjumdc2pa"),
    "webp": webp_with(b"C2PA", b"jumb"),
    "mp4": CLIP + C2PA_BOX,
}


@pytest.mark.parametrize("extension", CREDENTIALED)
def test_files_with_c2pa_credentials_are_left_alone(extension: str) -> None:
    with pytest.raises(CannotMark, match="has C2PA credentials"):
        marked(CREDENTIALED[extension], extension, MARK)


def existing(inner: str) -> bytes:
    rdf = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
    return (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{rdf}"><rdf:Description rdf:about="" '
        f'xmlns:xmp="http://ns.adobe.com/xap/1.0/">{inner}</rdf:Description></rdf:RDF></x:xmpmeta>'
    ).encode()


OWN = existing("<xmp:CreatorTool>Easel</xmp:CreatorTool><xmp:Label>red</xmp:Label>")
WITH_XMP = {
    "png": with_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + OWN),
    "jpg": with_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + OWN),
    "webp": saved(picture(), "WEBP", xmp=OWN),
}


@pytest.mark.parametrize("extension", WITH_XMP)
def test_a_mark_is_added_to_the_xmp_that_a_file_has(extension: str) -> None:
    before = WITH_XMP[extension]
    assert properties(xmp_of(before)) == {f"{NAMES['xmp']}CreatorTool": "Easel", f"{NAMES['xmp']}Label": "red"}
    after = written(before, extension)
    found = properties(xmp_of(after))
    assert found[f"{NAMES['xmp']}CreatorTool"] == "Easel"  # what it says itself stands, and only once
    assert (found[f"{NAMES['xmp']}Label"], found[f"{NAMES['iptc']}DigitalSourceType"]) == ("red", SOURCE_TYPE)
    assert pixels(after) == pixels(before)
    with pytest.raises(CannotMark, match="already says how it was made"):
        marked(after, extension, MARK)


@pytest.mark.parametrize(
    ("data", "extension", "why"),
    [
        (with_chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + b"deflated"), "png", "nothing can be added to"),
        (with_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<rdf:Description/>"), "png", "nothing can be added to"),
        (with_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + existing("dcterms:provenance")), "jpg", "C2PA"),
        (
            CLIP + C2PA_BOX[:8] + packet(MARK)[:0] + bytes.fromhex("be7acfcb97a942e89c71999491e3afac") + b"data",
            "mp4",
            "XMP of its own",
        ),
        (CLIP + b"\0\0\0\0free", "mp4", "a last box without a length"),
        (PICTURES["png"][:40], "png", "is cut short"),
        (PICTURES["jpg"], "webp", "is cut short|has no image header"),
        (b"GIF89a", "gif", "is a .gif file, which cannot be marked"),
    ],
)
def test_what_cannot_be_marked_says_why(data: bytes, extension: str, why: str) -> None:
    with pytest.raises(CannotMark, match=why):
        marked(data, extension, MARK)


def test_a_prompt_that_does_not_fit_into_a_jpeg_leaves_it_alone() -> None:
    with pytest.raises(CannotMark, match="64 KB"):
        marked(PICTURES["jpg"], "jpg", Mark("a-model", "", "wide " * 20_000))


@pytest.mark.parametrize("name", PICTURES)
def test_no_cut_or_flipped_byte_ends_in_anything_but_a_picture_left_alone(name: str) -> None:
    data, extension = PICTURES[name], name[:4].strip(" ,")
    for position in range(0, len(data), max(1, len(data) // 200)):
        for broken in (data[:position], data[:position] + bytes([data[position] ^ 0xFF]) + data[position + 1 :]):
            with suppress(CannotMark):
                b"".join(chunks(broken, marked(broken, extension, MARK)))
