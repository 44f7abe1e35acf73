"""batchgen: runs YAML manifests of paid image and video jobs, and never pays twice for one.

From Python, `batchgen.load` and `batchgen.open_run` are where to begin; see docs/python.md.
"""

from typing import TYPE_CHECKING, Any

from batchgen.core.version import __version__

if TYPE_CHECKING:
    from batchgen.core.errors import (
        BatchgenError,
        ConsentNeeded,
        DiskError,
        ManifestError,
        OutsideError,
        Problem,
        RunFolderError,
        StoreError,
        UsageError,
    )
    from batchgen.journal import ItemResult
    from batchgen.library.folders import LedgerEntry, Run, RunFile, open_run
    from batchgen.library.manifest import Manifest, load
    from batchgen.library.plans import ManifestPlan
    from batchgen.library.results import Results
    from batchgen.library.summaries import RunSummary
    from batchgen.plan import Change, PlanRow
    from batchgen.session.host import StopHandle

__all__ = [
    "BatchgenError",
    "Change",
    "ConsentNeeded",
    "DiskError",
    "ItemResult",
    "LedgerEntry",
    "Manifest",
    "ManifestError",
    "ManifestPlan",
    "OutsideError",
    "PlanRow",
    "Problem",
    "Results",
    "Run",
    "RunFile",
    "RunFolderError",
    "RunSummary",
    "StopHandle",
    "StoreError",
    "UsageError",
    "__version__",
    "load",
    "open_run",
]

_HOMES = {
    "core.errors": (
        "BatchgenError",
        "ConsentNeeded",
        "DiskError",
        "ManifestError",
        "OutsideError",
        "Problem",
        "RunFolderError",
        "StoreError",
        "UsageError",
    ),
    "journal": ("ItemResult",),
    "library.folders": ("LedgerEntry", "Run", "RunFile", "open_run"),
    "library.manifest": ("Manifest", "load"),
    "library.plans": ("ManifestPlan",),
    "library.results": ("Results",),
    "library.summaries": ("RunSummary",),
    "plan": ("Change", "PlanRow"),
    "session.host": ("StopHandle",),
}
"""The modules in which the names are, which are loaded when one of them is first used (PEP 562)."""


def __getattr__(name: str) -> Any:
    """Load what is first used: the command line starts without the rest."""
    home = next((home for home, names in _HOMES.items() if name in names), None)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"batchgen.{home}"), name)
