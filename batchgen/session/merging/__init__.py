"""One run folder out of several: `batchgen merge`."""

from batchgen.session.merging.merge import Merged, merge

__all__ = ["Merged", "merge"]
