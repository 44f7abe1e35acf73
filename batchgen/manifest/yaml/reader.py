"""Prepares the manifest's bytes for the YAML parser: decoded, bounded, and acceptable to libyaml.

libyaml follows YAML 1.1. Characters that YAML 1.2 and JSON allow but libyaml does not are hidden from it: each is
replaced by one from a private-use block, and `restore` puts it back into the scalars. Columns stay correct, because
every replacement is as wide as the original (unless a text itself contains characters of that block). Hidden are:

- DEL and the C1 controls, U+FFFE and U+FFFF, which libyaml refuses (JSON allows them in strings, RFC 8259 section 7);
- NEL, LS and PS, which libyaml treats as line ends (YAML 1.2, section 5.4: they are not);
- the backslashes of `\\ud83c\\udfa8`, a surrogate pair, which is one character in a JSON string.
"""

import codecs
import re
from pathlib import Path
from typing import IO

from batchgen.manifest.yaml.shapes import Shapes

MAX_SCALAR = 1 << 20
"""The most bytes that one value, or one comment, may have."""
_BLOCK = 1 << 16
_CUT_AFTER = "\\uUx0123456789abcdefABCDEF"

_FIRST = 0x10FF00
_BACKSLASH = chr(_FIRST + 1)
_ITSELF = chr(_FIRST)
"""Precedes a character that was already in this block."""
_ODD = ["\x7f", *map(chr, range(0x80, 0xA0)), "\u2028", "\u2029", "\ufffe", "\uffff"]
_HIDDEN = {odd: chr(_FIRST + 2 + n) for n, odd in enumerate(_ODD)}
_SHOWN = {hidden: odd for odd, hidden in _HIDDEN.items()} | {_BACKSLASH: "\\"}
_BLOCK_CHARACTERS = f"[{chr(_FIRST)}-{chr(_FIRST + 63)}]"

_HEX = "[0-9A-Fa-f]"
_PAIR = rf"u[dD][89abAB]{_HEX}{{2}}\\u[dD][c-fC-F]{_HEX}{{2}}"
_TO_HIDE = re.compile(
    rf"\\\\|\\(?P<pair>{_PAIR})|\\(?P<long>U0010[fF][fF][0-3]{_HEX})"
    rf"|(?P<own>{_BLOCK_CHARACTERS})|(?P<odd>[{''.join(_ODD)}])"
)
_TO_RESTORE = re.compile(
    rf"(?P<own>{_ITSELF}{_BLOCK_CHARACTERS})"
    rf"|{_BACKSLASH}u(?P<high>{_HEX}{{4}}){_BACKSLASH}u(?P<low>{_HEX}{{4}})|{_BACKSLASH}U(?P<long>{_HEX}{{8}})"
    rf"|(?P<odd>{_BLOCK_CHARACTERS})"
)
_HASH = re.compile(r"[^\s#][ \t]+#")
_C1 = re.compile(rb"\xc2[\x80-\x9f]")


class UnfitError(Exception):
    """The file cannot be handed to the parser: `offset` is the faulty byte, None if no single byte is at fault."""

    def __init__(self, message: str, offset: int | None = None) -> None:
        super().__init__(message)
        self.offset = offset


class Reader:
    """A stream for the YAML parser, which pulls text from it piece by piece."""

    def __init__(self, file: IO[bytes], shapes: Shapes | None = None) -> None:
        """`shapes` may take entries out of the text before the parser gets it."""
        self.hidden = False
        """Whether anything has been hidden so far, so that scalars have to be restored."""
        self.quiet = 0
        """Bytes handed out since the parser last gave an event; the consumer of the events resets it to 0."""
        self.hashes = False
        """Whether a `#` has so far followed a blank, with something else before it on its line.

        Entries of known shapes do not count: they have no comments, and no `#` outside of quotes."""
        self._file = file
        self._shapes = shapes
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._taken = 0
        self._carried = ""
        self._begun = False

    def read(self, _size: int = -1) -> bytes:
        """Return the next piece, UTF-8, empty at the end of the file. Raises UnfitError."""
        while True:
            block = self._file.read(_BLOCK)
            self.quiet += len(block)
            if self.quiet > MAX_SCALAR + _BLOCK:
                raise UnfitError("a value or comment is longer than 1 MiB")
            text = self._carried + self._decode(block)
            self._carried = ""
            if not self._begun and text:
                text, self._begun = text.removeprefix("\ufeff"), True
            if block and self._shapes is not None:
                text, self._carried = self._shapes.take(text)
            if block and not self._carried:
                text = self._up_to_escape(text)
            if "#" in text and not self.hashes:
                # A `#` that begins a piece counts without looking back: a needless pass costs little.
                self.hashes = text[0] == "#" or _HASH.search(text) is not None
            piece = text.encode()
            if _to_be_hidden(piece):
                self.hidden = True
                piece = _TO_HIDE.sub(_hide, text).encode()
            if piece or not block:
                return piece

    def _decode(self, block: bytes) -> str:
        try:
            text = self._decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            # The error's position also counts the bytes that the decoder kept from the previous block; they come first.
            held = len(error.object) - len(block)
            raise UnfitError("the file is not UTF-8", self._taken - held + error.start) from error
        self._taken += len(block)
        return text

    def _up_to_escape(self, text: str) -> str:
        """Hold back what may be the first part of an escape, so that no escape is cut in two."""
        head = text.rstrip(_CUT_AFTER)
        if "\\" not in text[len(head) :]:
            return text
        self._carried = text[len(head) :]
        return head


def _to_be_hidden(piece: bytes) -> bool:
    """Return whether anything in `piece` may have to be hidden: plain searches, many times cheaper than the pattern."""
    if b"\\u" in piece or b"\\U" in piece or b"\x7f" in piece:
        return True
    if piece.isascii():
        return False
    odd = (b"\xe2\x80\xa8", b"\xe2\x80\xa9", b"\xef\xbf\xbe", b"\xef\xbf\xbf", b"\xf4\x8f\xbc")
    return any(sequence in piece for sequence in odd) or _C1.search(piece) is not None


def _hide(found: re.Match[str]) -> str:
    match found.lastgroup:
        case "pair":
            return _BACKSLASH + found["pair"].replace("\\", _BACKSLASH)
        case "long":
            return _BACKSLASH + found["long"]
        case "own":
            return _ITSELF + found["own"]
        case "odd":
            return _HIDDEN[found["odd"]]
    return found[0]


def restore(value: str, *, double_quoted: bool) -> str:
    """Return a scalar as it is in the file; hidden escapes are resolved where they count as escapes."""
    if value.isascii():
        return value

    def show(found: re.Match[str]) -> str:
        match found.lastgroup:
            case "own":
                return found[0][1]
            case "low" if double_quoted:
                return chr(0x10000 + ((int(found["high"], 16) & 0x3FF) << 10) + (int(found["low"], 16) & 0x3FF))
            case "long" if double_quoted:
                return chr(int(found["long"], 16))
            case "odd":
                return _SHOWN[found["odd"]]
        return found[0].replace(_BACKSLASH, "\\")

    return _TO_RESTORE.sub(show, value)


def line_of(path: Path, offset: int) -> tuple[int, int]:
    """Return line and column, from 0, of a byte of a file. The bytes before it must be UTF-8."""
    line, start, position, after_cr = 0, b"", 0, False
    with path.open("rb") as file:
        while position < offset and (block := file.read(min(_BLOCK, offset - position))):
            position += len(block)
            # CR, LF and CRLF each end one line (YAML 1.2, section 5.4).
            line += block.count(b"\n") + block.count(b"\r") - block.count(b"\r\n")
            line -= after_cr and block.startswith(b"\n")
            after_cr = block.endswith(b"\r")
            tail = block[max(block.rfind(b"\n"), block.rfind(b"\r")) + 1 :]
            start = tail if len(tail) < len(block) else (start + tail)[-MAX_SCALAR:]
    return line, len(start.decode("utf-8-sig", errors="replace"))


def first_control(path: Path) -> tuple[int, str] | None:
    """Return offset and name of the first control character that no manifest may contain; None if there is none."""
    offset = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            found = re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]", block)
            if found is not None:
                return offset + found.start(), f"U+{found[0][0]:04X}"
            offset += len(block)
    return None
