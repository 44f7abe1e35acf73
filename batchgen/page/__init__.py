"""What a page about a run shows: the values behind the static report and the viewer."""

from batchgen.journal.queries.page import Filter
from batchgen.page.run_page import Changed, RunPage

__all__ = ["Changed", "Filter", "RunPage"]
