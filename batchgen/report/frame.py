"""The frame of a report: policy, styles, scripts and data around the page, and what is shown without scripts."""

import base64
import hashlib
from pathlib import Path
from typing import Any

from batchgen.core.text import printable
from batchgen.page.web import STATIC_SCRIPTS, STYLES, page_html, read_asset
from batchgen.report.data import in_page

_HERE = Path(__file__).parent
_POLICY = (
    "default-src 'none'; script-src {script} file: 'self'; style-src {style}; img-src file: data: 'self';"
    " media-src file: 'self'; base-uri 'none'; form-action 'none'"
)
"""Nothing is loaded from a network. The hashes let exactly these scripts and styles work; `file:` and `'self'` the data
and pictures beside the page, which have no origin of their own where it is opened from disk (CSP Level 3, section 6.7).
"""

_DATA = "<!--data-->"
_LONGEST = 2000
"""Characters of a text that is shown without scripts."""


def frame_of(overview: dict[str, Any]) -> tuple[str, str]:
    """Return the page before and after its data, which are written between them, each by `element`."""
    script = "\n;\n".join(map(read_asset, STATIC_SCRIPTS))
    style = "\n".join([*map(read_asset, STYLES), (_HERE / "without_scripts.css").read_text(encoding="utf-8")])
    policy = _POLICY.format(script=_hash(script), style=_hash(style))
    before, _, after = page_html(
        title=f"{printable(overview['run'])} · batchgen",
        head=f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n<style>{style}</style>',
        noscript=_without_scripts(overview),
        tail=_DATA,
    ).partition(_DATA)
    return before, f"<script>{script}</script>{after}"


def element(name: str, value: Any) -> str:
    """Return the element that holds a JSON value, which the page's scripts find by its name."""
    return f'<script type="application/json" id="{name}">{in_page(value)}</script>\n'


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _without_scripts(overview: dict[str, Any]) -> str:
    """Return the sums as plain tables, for readers without scripts and for previews."""
    import jinja2  # the extra `report`

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: printable(value, _LONGEST) if isinstance(value, str) else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("without_scripts.html").render(run=overview)
