"""Ids, and what is derived from them. A change here renames items, and renamed items are bought again:
`tests/unit/core/test_digest.py` holds golden vectors for all of it.
"""

import hashlib
import re
from unicodedata import ucd_3_2_0

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""The form of an id before `~` and a seed or a number are added."""
COPY_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,149}")
"""An id with the suffix that `seeds`, `repeat` or identical twins add."""
ID_RULE = "is not a valid id; use letters, digits, `.`, `_` and `-`, starting with a letter or digit, at most 100"
_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")
_NO_SLUG = re.compile(r"[^a-z0-9]+")
_SLUG_LENGTH = 40


def fit(text: str) -> str:
    """Return `text` converted for an id or a path: letters without accents, each run of anything else one `-`, none at
    the ends. `16:9` becomes `16-9`, `Café au lait` becomes `Cafe-au-lait`; a text without letters becomes empty."""
    return _UNFIT.sub("-", _unaccented(text)).strip("-")


def generated_id(prompt: object, digest: str) -> str:
    """Return the id for an item without one: a slug of its prompt and the first ten digits of its digest."""
    start = _unaccented(prompt[:_SLUG_LENGTH]) if isinstance(prompt, str) else ""
    slug = _NO_SLUG.sub("-", start.lower())[:_SLUG_LENGTH].strip("-")
    return f"{slug or 'item'}-{digest[:10]}"


def derived_seed(item_id: str) -> int:
    """Return the seed of an item of `seeds: N`, from its id alone: 0 to 2**31 - 1."""
    return int.from_bytes(hashlib.sha256(b"batchgen seed 1\n" + item_id.encode()).digest()[:4]) & 0x7FFFFFFF


def sample_rank(item_id: str) -> int:
    """Return the rank of an item among those that `sample` draws from: the lowest are taken."""
    return int.from_bytes(hashlib.sha256(b"batchgen sample 1\n" + item_id.encode()).digest()[:8])


def shard(item_id: str) -> str:
    """Return two hex digits that spread items evenly over 256 folders."""
    return hashlib.sha256(item_id.encode()).hexdigest()[:2]


def _unaccented(text: str) -> str:
    if text.isascii():
        return text
    # The Unicode 3.2 tables, which Python keeps permanently, so that a new version of Python never renames an item.
    return "".join(c for c in ucd_3_2_0.normalize("NFKD", text) if not ucd_3_2_0.combining(c))
