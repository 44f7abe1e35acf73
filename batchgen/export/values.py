"""What is asked of an export, and what it did."""

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from batchgen.export.state import MARK, Exported
from batchgen.plan.selection import Selection


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What is exported, and what beside the files."""

    selection: Selection = field(default_factory=Selection)
    kept: bool = False
    """Only outputs that a person has kept."""
    costs: bool = False
    archive: bool = False
    sidecars: bool = False
    mark: bool = False
    prompts: bool = False
    """Write prompts into marked files."""


@dataclass(slots=True)
class ExportResult:
    """What an export did."""

    run: str
    simulated: bool
    folder: Path
    files: int = 0
    """Outputs that are in the export now."""
    outcomes: Counter[str] = field(default_factory=Counter)
    """How many of them are `new`, `replaced` and `unchanged`."""
    removed: int = 0
    """Files of an earlier export that were removed, since they are not wanted any more."""
    rejected: int = 0
    """Outputs left out since a person has rejected them."""
    problems: int = 0
    """Files that are not as they should be; each was told."""
    marked: int = 0
    unmarked: Counter[str] = field(default_factory=Counter)
    """How many were left as they are, by reason."""
    net: Decimal | None = None
    """USD: what the purchases of these files cost; None: not asked for."""
    archive: Path | None = None

    def count(self, file: Exported, outcome: str) -> None:
        """Count an output that is in the export."""
        self.files += 1
        self.outcomes[outcome] += 1
        if file.unmarked:
            self.unmarked[file.unmarked] += 1
        elif file.recipe.startswith(MARK):
            self.marked += 1
