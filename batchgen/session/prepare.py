"""From a manifest to a plan: nothing here writes to a run folder."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from batchgen.catalog import Catalog
from batchgen.core.errors import UsageError
from batchgen.core.records import UNSUCCESSFUL, State
from batchgen.item_table import index_items
from batchgen.journal import FILE_NAME, Journal, is_embedded
from batchgen.journal.queries.comparison import Comparison, compare
from batchgen.journal.requeueing import NOTHING_BOUGHT_AGAIN, BuyAgain
from batchgen.manifest import Manifest, load_manifest
from batchgen.plan import Plan, Selection, make_plan
from batchgen.session.checks.bought import skip_bought
from batchgen.session.file_moves import finish_moves
from batchgen.session.locate import run_folder, simulated_name
from batchgen.settings import BY_NAME, RUN_NAME, Settings, resolve_settings
from batchgen.store import LocalDisk

Renaming = Literal["adopt", "buy"]


@dataclass(frozen=True, slots=True)
class RunRequest:
    """Which manifest, which of its items, and what is asked for them."""

    manifest: Path
    environment: Mapping[str, str]
    catalog: Catalog
    """The parameter tables to check against and to price by."""
    output: str | None = None
    name: str | None = None
    simulate: bool = False
    """Whether it is about the pretended purchases of `--simulate`, which have a run folder of their own."""
    only: tuple[str, ...] = ()
    strict: bool = False
    """Whether warnings refuse the manifest."""
    flags: Mapping[str, str | None] | None = None
    retry: frozenset[State] = frozenset()
    again: BuyAgain = NOTHING_BOUGHT_AGAIN
    skip_bought: tuple[Path, ...] = ()
    renamed: Renaming | None = None
    """What is to become of purchases that are asked for under another id; None: to be asked."""
    buy_again: bool = False
    """Whether what other records show as bought may be paid for a second time; else that is asked."""
    yes: bool = False
    """Whether everything else that would be asked is confirmed."""


@dataclass(frozen=True, slots=True)
class PreparedRun:
    """A manifest that was read, checked and expanded into an item table, with the settings in force."""

    request: RunRequest
    manifest: Manifest
    item_table: Path
    name: str
    folder: Path
    settings: Settings
    selection: Selection
    skipped_as_bought: int

    def plan(self) -> Plan:
        """Return how the manifest stands against its run folder.

        Raises RunFolderError, and UsageError where `--only` or `--again` fits nothing: a typo is no finished night.
        """
        request = self.request
        with self._compared() as comparison:
            plan = make_plan(
                self.name,
                comparison.groups(request.again),
                comparison.tags(),
                request.retry,
                unlisted=comparison.unlisted(),
                renamed=comparison.renames(),
                simulated=comparison.simulated(),
            )
        if request.only and not plan.items:
            raise UsageError(f"--only {' '.join(request.only)}: no item of {request.manifest} matches")
        if request.again.globs and not plan.again:
            raise UsageError(f"--again {' '.join(request.again.globs)}: no finished item matches")
        return plan

    def edited_ids(self, most: int) -> list[str]:
        """Return the first ids that were bought before with another request."""
        with self._compared() as comparison:
            return comparison.edited_ids(most)

    def _compared(self) -> AbstractContextManager[Comparison]:
        return compare(
            self.item_table,
            self.folder / FILE_NAME,
            self.selection.wanted,
            with_renames=self.request.renamed != "buy",
        )


def adopt(prepared: PreparedRun, journal: Journal) -> int:
    """Give purchases to the items that ask for them under another id, and their files the new names.

    Returns how many items that were; none where it is pretend money. Raises DiskError.
    """
    adopted = 0 if is_embedded(journal.facts()) else journal.apply_renames(prepared.item_table)
    if adopted:
        finish_moves(LocalDisk(prepared.folder), journal)
    return adopted


def parse_states(text: str) -> frozenset[State]:
    """Return the states of `--retry failed,lost`; raises UsageError."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    allowed = ", ".join(UNSUCCESSFUL.ordered)
    for word in words:
        if word not in UNSUCCESSFUL:
            raise UsageError(f"--retry {word}: the states that can be retried are {allowed}")
    return frozenset(State(word) for word in words)


@contextmanager
def prepare(request: RunRequest) -> Iterator[PreparedRun]:
    """Read and check a manifest, and expand it into an item table in a scratch folder that lasts as long as the block.

    Raises ManifestError with every problem, UsageError, DiskError.
    """
    selection = Selection.parse(request.only)
    if request.name is not None and not RUN_NAME.fullmatch(request.name):
        raise UsageError(
            f"--run {request.name!r}: a run's name must have at most 64 characters of a-z, 0-9, '.', '_' and '-'"
        )
    with tempfile.TemporaryDirectory(prefix="batchgen-", ignore_cleanup_errors=True) as scratch:
        table = Path(scratch) / "items.sqlite3"
        template = request.environment.get(BY_NAME["path"].variable) or None
        manifest = load_manifest(
            request.manifest, table, request.catalog, path_template=template, strict=request.strict
        )
        settings = resolve_settings(request.flags or {}, request.environment, manifest.settings)
        name = request.name or (simulated_name(manifest.name) if request.simulate else manifest.name)
        folder = run_folder(request.manifest, name, request.output, request.environment)
        index_items(table)
        skipped = skip_bought(table, request.skip_bought, manifest.bought, simulated=request.simulate)
        yield PreparedRun(request, manifest, table, name, folder, settings, selection, skipped)
