"""What was found about delivered files, for summaries."""

from typing import Any

from batchgen.core.text import plural
from batchgen.journal.queries.judged import Flagged


def flagged_json(flagged: Flagged) -> dict[str, Any]:
    """Return the keys that a summary in JSON has for it."""
    return {"flagged": flagged.items, "flags": dict(flagged.by_flag), "unjudged_files": flagged.unjudged}


def found_text(flagged: Flagged) -> str:
    """Return how many items are flagged, and with what; empty if none is."""
    if not flagged.items:
        return ""
    found = ", ".join(f"{flag} {count:,}" for flag, count in flagged.by_flag.items())
    return f"{plural(flagged.items, 'item')} flagged: {found}"


def format_flagged(flagged: Flagged) -> str:
    """Return the same as a line for people, with where to look; empty if nothing is flagged."""
    found = found_text(flagged)
    return f"{found} (`batchgen check` lists the files)" if found else ""
