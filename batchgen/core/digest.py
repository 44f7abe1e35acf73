"""The identity of a request: canonical JSON and its digest.

A release that changes either makes all finished work look new, and it would be paid for again:
`tests/unit/core/test_digest.py` holds golden vectors.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from json.encoder import encode_basestring
from typing import Any

# Built once: `json.dumps` builds an encoder for each call that has settings of its own.
_ENCODE = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode
_PREFIX = b"batchgen request 1\n"


def canonical_json(body: Mapping[str, Any]) -> str:
    """Return `body` as JSON with sorted keys, no blanks, and every character that JSON allows bare left bare.

    Raises ValueError for what JSON cannot carry (NaN, infinities).
    """
    return _ENCODE(body)


def canonical_form(body: Mapping[str, Any], varying: Iterable[str]) -> Callable[[Iterable[str | int]], str]:
    """Return what makes the canonical JSON of bodies that differ from `body` only in the values of `varying`.

    It takes these values, texts and integers, in the order of their sorted names; `body` has all of them.
    """
    names = frozenset(varying)
    entries = [canonical_json({name: 0 if name in names else value})[1:-1] for name, value in sorted(body.items())]
    forms = [
        f"{entry.removesuffix('0').replace('%', '%%')}%s" if name in names else entry.replace("%", "%%")
        for name, entry in zip(sorted(body), entries, strict=True)
    ]
    form = f"{{{','.join(forms)}}}"
    return lambda values: form % tuple(map(_canonical_scalar, values))


def _canonical_scalar(value: str | int) -> str:
    return encode_basestring(value) if isinstance(value, str) else int.__repr__(value)


def digest_of(canonical: str) -> str:
    """Return the digest of a canonical body: SHA-256 over a version prefix and its UTF-8 bytes, 64 hex digits."""
    return hashlib.sha256(_PREFIX + canonical.encode()).hexdigest()


def filled(canonical: str, values: Mapping[str, Any]) -> str:
    """Return a canonical body with these values at their places: `image`, or `images/0` for an entry of a list."""
    body = json.loads(canonical)
    for place, value in values.items():
        name, _, index = place.partition("/")
        if index:
            body[name][int(index)] = value
        else:
            body[name] = value
    return canonical_json(body)


def output_of(source_digest: str, output: int) -> dict[str, Any]:
    """Return what stands for another item's output in a body that is digested: never its address, which passes."""
    return {"output": output, "source": source_digest}
