"""Where a report is, and what it needs: known without loading what writes it."""

from importlib.util import find_spec
from pathlib import Path

from batchgen.core.version import install_hint

FILE_NAME = "report.html"
FOLDER = "report"
"""The folder beside the page, for the scripts of a large report."""
IN_ONE_FILE = 10_000
"""Items up to which the page holds everything."""


def missing_extra() -> str | None:
    """Return the command that installs what a report needs; None: it is there."""
    return install_hint("report") if find_spec("jinja2") is None else None


def files_of_report(folder: Path) -> list[Path]:
    """Return the page in a run folder and the scripts beside it, sorted; also where some are missing."""
    return sorted([folder / FILE_NAME, *(path for path in (folder / FOLDER).rglob("*") if path.is_file())])
