"""JSON inside pages and scripts: whatever a prompt holds, it stays data."""

import json
from typing import Any


def in_page(value: Any) -> str:
    """Return JSON for a `<script type="application/json">`: ASCII alone, and nothing in it ends the element."""
    return _compact(value).replace("<", "\\u003c")


def in_script(name: str, value: Any) -> str:
    """Return a script that hands JSON to the page, in the comment of a function that the page reads as text.

    A browser skips a comment; a literal it would read twice, and hold both as a script and as a text.
    """
    text = _compact(value).replace("*/", "*\\/")
    return f"batchgenPart({json.dumps(name)}, () => {{/*{text}*/}})\n"


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))
