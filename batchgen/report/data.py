"""JSON inside pages and scripts: whatever a prompt holds, it stays data."""

import json
from typing import Any


def in_page(value: Any) -> str:
    """Return JSON for a `<script type="application/json">`: ASCII alone, and nothing in it ends the element."""
    return _compact(value).replace("<", "\\u003c")


def in_script(name: str, value: Any) -> str:
    """Return a script that hands JSON to the page, as a text: browsers read that twice as quickly as a literal."""
    text = _compact(value).replace("\\", "\\\\").replace("'", "\\'").replace("<", "\\x3c")
    return f"batchgenPart({json.dumps(name)}, '{text}')\n"


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))
