"""Is it text? An answer in plain words, HTML or JSON is not an output, whatever its status."""

import codecs
import re

_SAMPLE = 4096
_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_PLAIN = re.compile(rb"[\x09-\x0d\x20-\x7e]")
_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)
_MOSTLY = 0.7
_ZEROS_OF_UTF_16 = (0.3, 0.7)


def is_text(data: bytes) -> bool:
    """Return whether `data`, or the beginning of it, is text: UTF-8, UTF-16, or an older encoding for Latin letters."""
    sample = data[:_SAMPLE]
    if sample.startswith(_MARKS):
        return True
    zeros = sample.count(0)
    if zeros:
        least, most = _ZEROS_OF_UTF_16
        return least < zeros / len(sample) < most and is_text(sample.replace(b"\0", b""))
    if not sample or _CONTROLS.search(sample):
        return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)
    except UnicodeDecodeError:
        return len(_PLAIN.findall(sample)) > _MOSTLY * len(sample)
    return True
