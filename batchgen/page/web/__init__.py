"""The page that shows a run: its HTML skeleton, styles and scripts, for the report and the viewer alike.

Plain files without a build step. Scripts are classic scripts, so that a page opened from disk runs them; each adds to
the one global `batchgen`, and none of them puts a text into the page other than as text. uPlot is vendored with its
licence in `vendor/`.
"""

from html import escape
from pathlib import Path

_FOLDER = Path(__file__).parent

STYLES: tuple[str, ...] = (
    "vendor/uPlot.min.css",
    "styles/base.css",
    "styles/overview.css",
    "styles/gallery.css",
    "styles/detail.css",
    "styles/print.css",
)
"""The style sheets, in the order of loading."""

_BEFORE_SOURCE = (
    "vendor/uPlot.iife.min.js",
    "scripts/text.js",
    "scripts/dom.js",
    "scripts/filter.js",
)
_AFTER_SOURCE = (
    "scripts/picks.js",
    "scripts/scroll.js",
    "scripts/tile.js",
    "scripts/grid.js",
    "scripts/filters.js",
    "scripts/detail.js",
    "scripts/ask.js",
    "scripts/summary.js",
    "scripts/charts.js",
    "scripts/tables.js",
    "scripts/keys.js",
    "scripts/page.js",
)
STATIC_SCRIPTS: tuple[str, ...] = (
    *_BEFORE_SOURCE,
    "scripts/search.js",
    "scripts/columns.js",
    "scripts/picks-csv.js",
    "scripts/source-static.js",
    *_AFTER_SOURCE,
)
"""The scripts of a report, whose data are in the page or in scripts beside it, in the order of loading."""
LIVE_SCRIPTS: tuple[str, ...] = (*_BEFORE_SOURCE, "scripts/source-live.js", *_AFTER_SOURCE)
"""The scripts of the viewer, whose data come from its server, in the order of loading."""

_NAMES = frozenset({*STYLES, *STATIC_SCRIPTS, *LIVE_SCRIPTS})


def read_asset(name: str) -> str:
    """Return the text of a style sheet or script. Raises KeyError for a name that is not one of those listed."""
    if name not in _NAMES:
        raise KeyError(name)
    return (_FOLDER / name).read_text(encoding="utf-8")


def page_html(*, title: str, head: str = "", noscript: str = "", tail: str = "") -> str:
    """Return the page.

    `title` is text. The others are HTML that the caller answers for: `head` the security policy and the styles,
    `noscript` what is shown where scripts do not run, `tail` data and scripts.
    """
    rest = (_FOLDER / "page.html").read_text(encoding="utf-8")
    done = []
    for mark, value in (("title", escape(title)), ("head", head), ("noscript", noscript), ("tail", tail)):
        before, _, rest = rest.partition(f"<!--{mark}-->")  # never looks into what was filled in
        done += [before, value]
    return "".join([*done, rest])


def live_page(title: str) -> str:
    """Return the page of the viewer, which loads its assets from below `/page/`."""
    head = "\n".join(f'<link rel="stylesheet" href="/page/{name}">' for name in STYLES)
    tail = "\n".join(f'<script src="/page/{name}" defer></script>' for name in LIVE_SCRIPTS)
    return page_html(title=title, head=head, tail=tail)
