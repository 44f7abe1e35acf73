"""Two manifests beside each other, offline: items and money, as text, JSON and Markdown."""

from batchgen.diff.compare import Changed, Comparison, ModelMoney, Money, change_of, compare_manifests
from batchgen.diff.formats import as_markdown, as_text, json_lines
from batchgen.diff.revision import checked_out

__all__ = [
    "Changed",
    "Comparison",
    "ModelMoney",
    "Money",
    "as_markdown",
    "as_text",
    "change_of",
    "checked_out",
    "compare_manifests",
    "json_lines",
]
