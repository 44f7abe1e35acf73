"""XMP packets that say that a picture or video was made by a model (IPTC Photo Metadata Standard 2025.1)."""

import html
import re
from dataclasses import dataclass

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""The term of IPTC's vocabulary of digital source types for what a trained model made."""
CREDENTIALS = "has C2PA credentials"
"""Why such a file is left as it is: they cover all of it, and any change would make them invalid."""
_IPTC = "Iptc4xmpExt"
_NAMESPACES = f'xmlns:{_IPTC}="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
_END = b"</rdf:RDF>"
# What XML 1.0 cannot carry, in any form (section 2.2).
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


class CannotMark(Exception):  # noqa: N818 - not an error: such a file is handed over as it is
    """A file that is left as it is; the text says why."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What is written into a file."""

    generator: str
    """The model."""
    date: str
    """When it was made, as in the ledger; empty if that is not known."""
    prompt: str | None = None
    """None: not written."""


def packet(mark: Mark) -> bytes:
    """Return a packet for a file that has none (XMP specification, part 1, section 7)."""
    lines = (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>',
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">',
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">',
        _description(mark, b""),
        "</rdf:RDF>",
        "</x:xmpmeta>",
        '<?xpacket end="w"?>',
    )
    return "\n".join(lines).encode()


def extended(existing: bytes, mark: Mark) -> bytes:
    """Return a packet with the mark added to it. Raises CannotMark where it has one, or has another form."""
    if f"{_IPTC}:DigitalSourceType".encode() in existing:
        raise CannotMark("already says how it was made")
    if b"dcterms:provenance" in existing:  # where C2PA credentials are that are not in the file itself
        raise CannotMark(CREDENTIALS)
    if existing.count(_END) != 1:
        raise CannotMark("has XMP that nothing can be added to")
    before, end, after = existing.partition(_END)
    return before + _description(mark, existing).encode() + b"\n" + end + after


def _description(mark: Mark, existing: bytes) -> str:
    """Return the properties as RDF, without those that a packet has: each may appear only once."""
    properties = {
        f"{_IPTC}:DigitalSourceType": SOURCE_TYPE,
        f"{_IPTC}:AISystemUsed": mark.generator,
        "xmp:CreatorTool": mark.generator,
        "xmp:CreateDate": mark.date,
        f"{_IPTC}:AIPromptInformation": mark.prompt or "",
    }
    lines = [f"<{name}>{_text(value)}</{name}>" for name, value in properties.items() if value]
    new = [line for line in lines if line[1:].partition(">")[0].encode() not in existing]
    return "\n".join([f'<rdf:Description rdf:about="" {_NAMESPACES}>', *new, "</rdf:Description>"])


def _text(text: str) -> str:
    return html.escape(_NOT_XML.sub(" ", text), quote=False)
