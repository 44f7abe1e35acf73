"""Names an entry of `items` in lock files: the same wherever it stands, and however it is formatted."""

import hashlib
import json

from batchgen.manifest.entry.expectations import EXPECT
from batchgen.manifest.yaml.nodes import Map


def entry_key(entry: Map) -> str:
    """Return the template of its id, or where it has none, what it begins with and a digest of its content."""
    written = entry.get("id")
    if isinstance(written, str):
        return written
    sent = {key: value for key, value in entry.items() if key != EXPECT}
    content = json.dumps(sent, sort_keys=True, ensure_ascii=False, default=str)
    start = entry.get("rows") or entry.get("prompt") or "entry"
    return f"{str(start)[:60]} #{hashlib.sha256(content.encode(errors='replace')).hexdigest()[:10]}"
