"""What the ledger's column `flags` may hold: what was found about delivered files."""

STALE = "stale"
"""It was made with an output that its source has since made again."""
_ERROR_TYPES = frozenset({"unknown_format"})
"""Error types of attempts that ended well."""


def flags_of(error_type: str | None, of_files: str | None, *, stale: bool) -> tuple[str, ...]:
    """Return the flags of an attempt, each once; `of_files` are those of its files, separated by `;`."""
    found = (error_type,) if error_type in _ERROR_TYPES and error_type else ()
    judged = of_files.split(";") if of_files else ()
    return tuple(dict.fromkeys((*found, *judged, *((STALE,) if stale else ()))))
